"""`mmectl completion`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mmectl.commands.common import command
from mmectl.console.output import Result

if TYPE_CHECKING:
    from mmectl.app import App


@command(
    anywhere=True,
    examples='eval "$(mmectl completion bash)"        # in ~/.bashrc\n'
    'eval "$(mmectl completion zsh)"         # in ~/.zshrc, after compinit\n'
    "mmectl completion fish > ~/.config/fish/completions/mmectl.fish",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(_app: App, shell: str) -> Result:
    """Print the completion script of a shell.

    It completes commands, options, keys of the configuration and their values, files,
    and names: of environments, models, versions and endpoints. Names of the account are
    those of the last listing, kept below ~/.cache/mmectl for a week at most. What is
    older than a minute is listed anew in the background, unless the profile runs a
    program for its keys or asks for a code.
    """
    from mmectl.completion.shells import SCRIPTS

    return Result({"shell": shell, "script": SCRIPTS[shell]}, [SCRIPTS[shell]])

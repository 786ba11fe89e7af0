"""`mmectl completion`."""

from __future__ import annotations

import click

from mmectl.app import App
from mmectl.commands.common import command
from mmectl.console.output import Result


@command(
    examples='eval "$(mmectl completion bash)"\nmmectl completion fish > '
    "~/.config/fish/completions/mmectl.fish"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(_app: App, shell: str) -> Result:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"no completion for {shell}")
    root = click.get_current_context().find_root().command
    script = made(root, {}, "mmectl", "_MMECTL_COMPLETE").source()
    return Result({"shell": shell, "script": script}, [script])

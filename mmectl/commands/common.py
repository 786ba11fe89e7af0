"""Options that every command has, and the runner of commands."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mmectl.commands import candidates

if TYPE_CHECKING:
    from mmectl.console.output import Result

Body = Callable[..., "Result"]
_COMMON = {"config_file", "settings", "platform", "as_json", "quiet", "verbose"}
F = TypeVar("F", bound=Callable[..., Any])


def command(
    *,
    examples: str = "",
    parent: click.Group | None = None,
    name: str | None = None,
    begins: bool = False,
) -> Callable[[Body], click.Command]:
    """Make a click command of a function `(app, **options) -> Result`.

    The docstring is the help; `examples` are shown under it as they are to be typed. One that
    `begins` may start the embedded platform in a folder where there was none.
    """

    def decorate(function: Body) -> click.Command:
        @functools.wraps(function)
        def run(**options: Any) -> Result:
            from mmectl.app import App

            context = click.get_current_context()
            app = (context.obj or App).of_options(options)  # tests hand an App of their own in
            app.begins = begins
            result = function(app, **options)
            path = context.command_path
            app.out.result(path.removeprefix("mmectl").strip(), result)
            return result

        wrap = parent.command if parent is not None else click.command
        epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples.splitlines())
        made = wrap(name, epilog=epilog if examples else None)(_options(run))
        made.params.sort(key=lambda parameter: parameter.name in _COMMON)  # ours first
        made.context_settings = {"help_option_names": ["-h", "--help"], "max_content_width": 80}
        return made

    return decorate


def _options(function: F) -> F:
    """The options that every command takes, last in its help."""
    for option in (
        click.option("--verbose", "-v", is_flag=True, help="Print more on stderr."),
        click.option("--quiet", "-q", is_flag=True, help="Print nothing on stderr but errors."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON envelope."),
        click.option(
            "--platform", type=click.Choice(["local", "aws"]), help="Override `platform`."
        ),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="Override one configuration key.",
            shell_complete=candidates.settings,
        ),
        click.option(
            "--config",
            "-c",
            "config_file",
            type=click.Path(path_type=Path),
            envvar="MMECTL_CONFIG",
            help="Configuration file [config.yaml].",
        ),
    ):
        function = option(function)
    return function

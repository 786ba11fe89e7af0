"""Options that every command has, groups of commands, and the runner of commands."""

from __future__ import annotations

import difflib
import functools
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from mmectl.base.errors import MmectlError, UsageError
from mmectl.commands import candidates

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.console.output import Result

Body = Callable[..., "Result"]
_COMMON = {"config_file", "environment", "settings", "platform", "as_json", "json_lines"}
_COMMON |= {"quiet", "verbose"}
F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Call:
    """One call of the command line: `app` makes the command's services (None: the usual ones).

    `command` is the command's name as results carry it, such as `config show`, once known.
    """

    app: type[App] | None = None
    command: str = ""

    def found(self, path: str) -> None:
        """Note the command of that command path."""
        self.command = path.removeprefix("mmectl").strip()


def command(
    *,
    examples: str = "",
    parent: click.Group | None = None,
    name: str | None = None,
    begins: bool = False,
    anywhere: bool = False,
) -> Callable[[Body], click.Command]:
    """Make a click command of a function `(app, **options) -> Result`.

    The docstring is the help; `examples` are shown under it as they are to be typed. One that
    `begins` may start the embedded platform in a folder where there was none; one that works
    `anywhere` needs no config.yaml.
    """

    def decorate(function: Body) -> click.Command:
        @functools.wraps(function)
        def run(**options: Any) -> Result:
            from mmectl.app import App

            context = click.get_current_context()
            call = context.ensure_object(Call)
            call.found(context.command_path)
            app = (call.app or App).of_options(options, begins=begins, anywhere=anywhere)
            app.out.begin(call.command)
            result = function(app, **options)
            app.out.result(call.command, result)
            app.remember(call.command)
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
    for option in _SHARED:
        function = option(function)
    return function


_SHARED: tuple[Callable[[Any], Any], ...] = (
    click.option("--verbose", "-v", is_flag=True, help="Print more on stderr."),
    click.option("--quiet", "-q", is_flag=True, help="Print nothing on stderr but errors."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON envelope."),
    click.option(
        "--json-lines",
        is_flag=True,
        help="Print what happens as JSON, a line each; the result last.",
    ),
    click.option("--platform", type=click.Choice(["local", "aws"]), help="Override `platform`."),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override one configuration key.",
        shell_complete=candidates.settings,
    ),
    click.option(
        "--env",
        "environment",
        metavar="NAME",
        envvar="MMECTL_ENV",
        help="One of the configuration's environments.",
        shell_complete=candidates.environments,
    ),
    click.option(
        "--config",
        "-c",
        "config_file",
        type=click.Path(path_type=Path),
        envvar="MMECTL_CONFIG",
        help="Configuration file [config.yaml here or above].",
    ),
)


def wants_json(group: click.Group, arguments: Sequence[str]) -> bool:
    """Whether --json is an option of a command line, even of one that click refuses."""
    return wants(group, arguments, "as_json")


def wants_lines(group: click.Group, arguments: Sequence[str]) -> bool:
    """As `wants_json`, for --json-lines."""
    return wants(group, arguments, "json_lines")


def wants(group: click.Group, arguments: Sequence[str], flag: str) -> bool:
    """Whether a flag, by its parameter's name, stands on a command line.

    Read by click's own parser: behind ``--``, or as another option's value, it is no option.
    """
    command: click.Command | None = group
    left = list(arguments)
    while command is not None:
        values, left = _read(command, left)
        if values.get(flag) or values.get(f"misplaced_{flag}"):
            return True
        if not isinstance(command, click.Group) or not left:
            return False
        name = left.pop(0)
        try:
            command = command.get_command(click.Context(command), name)
        except MmectlError:  # what is told: its module cannot be imported
            break
    return bool(_read(_nothing, left)[0].get(flag))  # of an unknown command


def _read(command: click.Command, arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """The options of a command and what is left, without those that are used wrongly."""
    words = list(arguments)
    parser = command.make_parser(click.Context(command, ignore_unknown_options=True))
    while True:
        try:
            values, left, _ = parser.parse_args(list(words))
        except click.UsageError as error:
            option = getattr(error, "option_name", None) or ""
            wrong = (n for n, word in enumerate(words) if word.partition("=")[0] == option)
            del words[next(wrong, -1)]
        else:
            return values, left


class CommandGroup(click.Group):
    """A group of commands. Options that belong behind a command are shown their place.

    `words` are taken as commands, too.
    """

    words: tuple[str, ...] = ("help",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params += _misplaced_options()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raise UsageError for an option that stands before the command."""
        parser = self.make_parser(ctx)
        try:
            _, rest, order = parser.parse_args(args=list(args))
            found = [item for item in order if isinstance(item, _Misplaced)]
        except click.BadOptionUsage as error:  # the last one, without its value
            named = (item for item in self.params if error.option_name in item.opts)
            found, rest = [item for item in named if isinstance(item, _Misplaced)], []
        if found:
            raise self._misplaced(ctx, found[0], args[: len(args) - len(rest)], rest)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Note the command's name, for whatever it ends with; name the near miss of an unknown one.

        `help COMMAND` is the help of the command.
        """
        if args[0] == "help":
            _asked_for_help(ctx, self, args[1:])
        ctx.ensure_object(Call).found(f"{ctx.command_path} {args[0]}")
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise self._unknown(ctx, args[0])
        return super().resolve_command(ctx, args)

    def meant(self, ctx: click.Context, name: str) -> str | None:
        """The command line that an unknown name comes nearest to, from this group on."""
        close = difflib.get_close_matches(name, [*self.list_commands(ctx), *self.words], n=1)
        return f"{ctx.command_path} {close[0]}" if close else None

    def _unknown(self, ctx: click.Context, name: str) -> UsageError:
        close = self.meant(ctx, name)
        return UsageError(
            f"no such command: {' '.join([*ctx.command_path.split()[1:], name])}",
            hint=f"did you mean: {close}" if close else f"list them: {ctx.command_path} --help",
            code="no_such_command",
        )

    def _misplaced(
        self, ctx: click.Context, option: click.Parameter, given: list[str], rest: Sequence[str]
    ) -> UsageError:
        path, rest = self._command_in(ctx, rest)
        ctx.ensure_object(Call).found(path)
        name = next((item for item in given if item in option.opts), option.opts[0])
        where = path if path != "mmectl" else "mmectl COMMAND"
        return UsageError(
            f"{name} stands before the command",
            hint=f"put {name} after the command: {where} {shlex.join([*given, *rest])}",
            code="option_before_command",
        )

    def _command_in(self, ctx: click.Context, rest: Sequence[str]) -> tuple[str, list[str]]:
        """The path of the command that `rest` begins with, and what follows it."""
        path, left = ctx.command_path, list(rest)
        command: click.Command | None = self
        while left and isinstance(command, click.Group):
            command = command.get_command(ctx, left[0])
            if command is not None or path == ctx.command_path:  # an unknown one is named, too
                path += f" {left.pop(0)}"
        return path, left


def _asked_for_help(ctx: click.Context, group: click.Group, words: Sequence[str]) -> NoReturn:
    """Print the help of the command that the words lead to.

    An option that this command has ends the words, as behind `--help`; a group has none. Raises
    Exit; UsageError or click's own where one of the words leads nowhere.
    """
    command: click.Command = group
    for word in words:
        if word in ctx.help_option_names:
            continue
        if word.startswith("-"):
            known = {name for one in command.get_params(ctx) for name in one.opts}
            if word.partition("=")[0] in known and not isinstance(command, click.Group):
                break
            raise click.NoSuchOption(word, ctx=ctx)
        if not isinstance(command, click.Group):
            path = ctx.command_path
            raise UsageError(
                f"no such command: {' '.join([*path.split()[1:], word])}",
                hint=f"{path} has no commands of its own; see: {path} --help",
                code="no_such_command",
            )
        name, found, _ = command.resolve_command(ctx, [word])
        if found is not None:
            command, ctx = found, click.Context(found, parent=ctx, info_name=name)
    click.echo(command.get_help(ctx))
    ctx.exit()


class _Misplaced(click.Option):
    """An option of every command, before the command."""


@click.command()
@_options
@click.argument("rest", nargs=-1)
def _nothing() -> None:
    """Carry the options that every command takes."""


def _misplaced_options() -> list[click.Parameter]:
    return [
        _Misplaced(
            [*option.opts, f"misplaced_{option.name}"],
            is_flag=option.is_flag,
            hidden=True,
            expose_value=False,
        )
        for option in _nothing.params
        if isinstance(option, click.Option)
    ]

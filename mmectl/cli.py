"""The command line: the commands, exit codes, and what is written at the end.

Commands live in `mmectl/commands/`, one module each, and are imported only when called: help
starts in milliseconds. Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 a bug (traceback
in a log file whose path is shown), 130 interrupted by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import errno
import importlib
import itertools
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, cast

import click

from mmectl import __version__
from mmectl.base.errors import Interrupted, MmectlError, UsageError
from mmectl.base.os_errors import refused
from mmectl.commands.common import Call, CommandGroup, wants, wants_json, wants_lines
from mmectl.console import menu
from mmectl.console.menu import COMMANDS

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.console.output import Result


_FEW = 30  # values of an option that are listed
# what people type who know other tools
MEANT = {
    "create": "deploy",
    "delete": "destroy",
    "describe": "status",
    "diff": "plan",
    "list": "models list",
    "ls": "models list",
    "new": "init",
    "predict": "invoke",
    "push": "upload",
    "remove": "destroy",
    "rm": "destroy",
    "start": "local up",
    "stop": "local down",
    "update": "deploy",
    "validate": "config check",
}


class LazyGroup(CommandGroup):
    """Knows its commands by name and imports the one that is called."""

    words = ("help", "version")

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the story, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the command's module."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"mmectl.commands.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command

    def meant(self, ctx: click.Context, name: str) -> str | None:
        """The command that an unknown name comes nearest to; its meaning, or one of a group."""
        if name in MEANT:
            return f"{ctx.command_path} {MEANT[name]}"
        return super().meant(ctx, name) or self._in_a_group(ctx, name)

    def _in_a_group(self, ctx: click.Context, name: str) -> str | None:
        """The one command of that name in a group of commands."""
        groups = {one: self.get_command(ctx, one) for one in ("models", "local", "config", "iam")}
        found = [
            f"{ctx.command_path} {one} {name}"
            for one, group in groups.items()
            if isinstance(group, click.Group) and name in group.commands
        ]
        return " or ".join(found) or None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Answer --version, which --json may stand beside, and the word version."""
        if args[:1] == ["version"]:
            args = ["--version", *args[1:]]
        options = list(itertools.takewhile(lambda word: word.startswith("-"), args))
        if "--version" not in options or set(options) & set(ctx.help_option_names):
            return super().parse_args(ctx, args)
        if set(options) - {"--version", "--json"}:
            return super().parse_args(ctx, [word for word in args if word != "--version"])
        _tell_version(as_json="--json" in options)
        raise click.exceptions.Exit(0)

    def get_help(self, ctx: click.Context) -> str:
        """The menu, which needs no click."""
        return menu.text(ctx.terminal_width or menu.columns())


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, help="Show what is installed and exit.")
def cli(version: bool) -> None:  # see LazyGroup.parse_args
    """Serve many models from one SageMaker multi-model endpoint."""


def _tell_version(*, as_json: bool) -> None:
    from mmectl.commands import version

    found = version.look()
    if not as_json:
        click.echo(version.text(*found))
        return
    from mmectl.console.output import Mode, Output, Result

    Output(Mode(json=True)).result("version", Result(version.data(*found)))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code."""
    if sys.stderr is None:  # closed; what is said there must not go elsewhere
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str], app: type[App] | None = None) -> int:
    """Run one command; print its result or its failure; give the exit code.

    `app` is what commands get their services from; tests hand one of their own in.
    """
    call = Call(app)
    if sys.stdout is None:
        return _unwritten(call, "stdout", OSError(errno.EBADF, "it is closed"))
    try:
        with _guarded_streams(), _sigterm_interrupts():
            return _exit_code(_call(arguments, call))
    except MmectlError as error:
        return _failed(call, error, arguments)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        return _failed(call, _usage(error, call), arguments)
    except (KeyboardInterrupt, click.Abort) as stop:
        by = "SIGTERM" if isinstance(stop, _Terminated) else "Ctrl-C"
        return _failed(call, Interrupted(f"stopped by {by}"), arguments)
    except _Unwritable as error:
        return _unwritten(call, error.stream, error.why)
    except Exception as error:  # noqa: BLE001
        known = refused(error) if isinstance(error, OSError) else None
        return _failed(call, known, arguments) if known else _bug(call, error, arguments)


def _call(arguments: list[str], call: Call) -> Result | int | None:
    """Call the command; click's own `main` would take any broken pipe for one of stdout."""
    if "_MMECTL_COMPLETE" in os.environ:
        cli.main(arguments, prog_name="mmectl")
    with cli.make_context("mmectl", list(arguments), obj=call) as context:
        result: Result | int | None = cli.invoke(context)
        return result


class _Terminated(KeyboardInterrupt):
    """SIGTERM came: commands clean up as they do at Ctrl-C."""


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Raise `_Terminated` at SIGTERM, where signals are ours to handle and are not ignored."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        yield
        return

    def interrupt(*_: object) -> NoReturn:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _exit_code(result: Result | int | None) -> int:
    return result if isinstance(result, int) else getattr(result, "exit_code", 0)


def _usage(error: click.ClickException, call: Call) -> UsageError:
    context = getattr(error, "ctx", None) or _context(call)
    path = context.command_path
    if isinstance(error, click.NoSuchOption):
        meant = _meant(error.option_name, context.command.get_params(context))
        close = f"; did you mean {meant}?" if meant else ""
        return UsageError(
            f"no such option '{error.option_name}'{close}",
            hint=f"see: {path} --help",
            code="no_such_option",
        )
    text = " ".join(error.format_message().split())
    listed = _choices(error, context) if isinstance(error, click.BadOptionUsage) else None
    return UsageError(text[:1].lower() + text[1:].rstrip("."), hint=listed or f"see: {path} --help")


def _context(call: Call) -> click.Context:
    """That of the command which was found; click's parser names none."""
    context = click.Context(cli, info_name="mmectl", obj=call)
    for word in call.command.split():
        command = context.command
        found = command.get_command(context, word) if isinstance(command, click.Group) else None
        if found is None:
            break
        context = click.Context(found, parent=context, info_name=word)
    return context


def _choices(error: click.BadOptionUsage, context: click.Context) -> str | None:
    """The values that the option takes, where there are few."""
    options = context.command.get_params(context)
    found = next((one for one in options if error.option_name in one.opts), None)
    if found is None:
        return None
    values = [one.value for one in found.shell_complete(context, "") if one.type == "plain"]
    return f"one of: {', '.join(values)}" if 0 < len(values) <= _FEW else None


def _meant(name: str, parameters: Sequence[click.Parameter]) -> str | None:
    """The option that comes nearest to a name: by its letters, else by what its help says."""
    import difflib

    options = [item for item in parameters if isinstance(item, click.Option)]
    names = {long: item for item in options for long in item.opts if long.startswith("--")}
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    if close:
        return f"'{close[0]}'" if close[0] != name else None
    word = name.strip("-").partition("-")[0].lower().rstrip("s")
    if len(word) < 3:
        return None
    says = re.compile(rf"{re.escape(word)}s?\b")
    found = [
        f"'{long}' ({(item.help or '').rstrip('.')})"
        for long, item in names.items()
        if long[2:].startswith(word) or says.match((item.help or "").lower())
    ]
    return " or ".join(found[:3]) or None


def _failed(call: Call, error: MmectlError, arguments: Sequence[str]) -> int:
    from mmectl.console.options import colour_wanted
    from mmectl.console.output import Mode, Output

    if error.exit_code == UsageError.exit_code and wants(cli, arguments, "detailed_exitcode"):
        error.exit_code = MmectlError.exit_code  # 2 says there that something is to do
    lines = wants_lines(cli, arguments)
    mode = Mode(json=lines or wants_json(cli, arguments), lines=lines, color=colour_wanted())
    try:
        Output(mode).error(call.command or "mmectl", error)
    except OSError:
        _discard(sys.stdout if mode.json else sys.stderr)
        if mode.json:
            Output(replace(mode, json=False, lines=False)).error(call.command or "mmectl", error)
    return error.exit_code


class _Unwritable(Exception):
    """One of our own streams takes no more: `stream` is its name, `why` what it said."""

    def __init__(self, stream: str, why: OSError) -> None:
        super().__init__(stream)
        self.stream, self.why = stream, why


class _Guarded:
    """A stream whose failures are told apart from every other OSError."""

    def __init__(self, stream: Any, name: str) -> None:
        self._stream, self._name = stream, name

    def write(self, data: Any) -> Any:
        """Write; raises _Unwritable."""
        try:
            return self._stream.write(data)
        except OSError as error:
            raise _Unwritable(self._name, error) from error

    def flush(self) -> None:
        """Write what is held back; raises _Unwritable."""
        try:
            self._stream.flush()
        except OSError as error:
            raise _Unwritable(self._name, error) from error

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._stream, name)
        return _Guarded(value, self._name) if name == "buffer" else value


@contextmanager
def _guarded_streams() -> Iterator[None]:
    """Let writing to stdout and stderr raise `_Unwritable`."""
    stdout, stderr = _Guarded(sys.stdout, "stdout"), _Guarded(sys.stderr, "stderr")
    with redirect_stdout(cast(TextIO, stdout)), redirect_stderr(cast(TextIO, stderr)):
        yield


def _unwritten(call: Call, stream: str, why: OSError) -> int:
    """Say that a result was not written; nothing where its reader has seen enough."""
    _discard(getattr(sys, stream))
    if stream == "stderr":
        return 1
    if isinstance(why, BrokenPipeError):
        return 0
    error = MmectlError(
        f"the result could not be written to stdout: {why.strerror or why}",
        hint="send it elsewhere, or free some space",
        code="stdout",
    )
    return _failed(call, error, ())


def _discard(stream: TextIO | None) -> None:
    """Let go nowhere what Python still writes to a stream when it ends."""
    with suppress(OSError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())  # type: ignore[union-attr]
        os.close(null)


def _bug(call: Call, error: Exception, arguments: Sequence[str]) -> int:
    """Write the traceback to a log file and name it: exit code 3."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="mmectl-bug-", suffix=".log", delete=False, encoding="utf-8"
    ) as log:
        log.write(f"mmectl {__version__}, command {call.command}\n")
        log.write("".join(traceback.format_exception(error)))
    bug = MmectlError(
        f"a bug in mmectl: {type(error).__name__}: {error}",
        hint=f"mmectl bug-report   # collects what to report; the traceback is in {log.name}",
        code="bug",
    )
    bug.exit_code = 3
    return _failed(call, bug, arguments)

"""The command line: which commands there are, and what leaves the process.

Commands live in `mmectl/commands/`, one module each, and are imported only when called: help
starts in milliseconds. Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 a bug (traceback
in a log file whose path is shown), 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from mmectl import __version__, menu
from mmectl.errors import Interrupted, MmectlError, UsageError
from mmectl.menu import COMMANDS

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.output import Result


class LazyGroup(click.Group):
    """Knows its commands by name and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the story, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the command's module."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"mmectl.commands.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the near miss of an unknown command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean: mmectl {close[0]}" if close else "list them: mmectl --help"
            raise UsageError(f"no such command: {args[0]}", hint=hint)
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        """The menu, which needs no click."""
        return menu.text()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mmectl")
def cli() -> None:
    """Serve many models from one SageMaker multi-model endpoint."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str], app: type[App] | None = None) -> int:
    """Run one command; print its result or its failure; give the exit code.

    `app` is what commands get their services from; tests hand one of their own in.
    """
    command = _command_of(arguments)
    try:
        result = cli.main(arguments, prog_name="mmectl", standalone_mode=False, obj=app)
    except MmectlError as error:
        return _failed(command, error, arguments)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as error:
        return _failed(command, _usage(error), arguments)
    except (KeyboardInterrupt, click.Abort):
        return _failed(command, Interrupted("stopped by Ctrl-C"), arguments)
    except BrokenPipeError:
        # Whoever read us has gone; keep Python from complaining while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001
        return _bug(command, error, arguments)
    return _exit_code(result)


def _command_of(arguments: Sequence[str]) -> str:
    """The command's name as results carry it: `deploy`, `config show`."""
    words = [word for word in arguments if not word.startswith("-")]
    return " ".join(words[: 2 if words[:1] in (["config"], ["local"]) else 1]) or "mmectl"


def _exit_code(result: Result | int | None) -> int:
    return result if isinstance(result, int) else getattr(result, "exit_code", 0)


def _usage(error: click.ClickException) -> UsageError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "mmectl"
    text = error.format_message()
    return UsageError(text[:1].lower() + text[1:].rstrip("."), hint=f"see: {path} --help")


def _failed(command: str, error: MmectlError, arguments: Sequence[str]) -> int:
    from mmectl.output import Mode, Output

    mode = Mode(json="--json" in arguments, color="NO_COLOR" not in os.environ)
    Output(mode).error(command, error)
    return error.exit_code


def _bug(command: str, error: Exception, arguments: Sequence[str]) -> int:
    """Write the traceback to a log file and name it: exit code 3."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="mmectl-bug-", suffix=".log", delete=False, encoding="utf-8"
    ) as log:
        log.write(f"mmectl {__version__}, command {command}\n")
        log.write("".join(traceback.format_exception(error)))
    bug = MmectlError(
        f"a bug in mmectl: {type(error).__name__}: {error}",
        hint=f"the traceback is in {log.name}; please report it",
        code="bug",
    )
    bug.exit_code = 3
    return _failed(command, bug, arguments)

"""Prints: results to stdout; progress and errors to stderr; plain, rich or JSON.

On a terminal rich draws bars and tables; in a pipe the same facts are plain lines. `--json`
prints exactly one envelope, whatever happens.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from mmectl.base import codes
from mmectl.base.errors import MmectlError
from mmectl.base.text import size as size
from mmectl.base.values import Event, Report
from mmectl.console.events import Stream
from mmectl.console.progress import Bars, Lines, bars, said

RESULT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under column names; columns named in `right` are right-aligned."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Result:
    """What a command gives back: `data` for machines, `view` for people, `body` as it is.

    `errors` are what failed of something that went on all the same. With `done` another exit code
    than 0 tells of no failure. One that was `printed` is not printed again.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    view: Sequence[str | Table] = ()
    body: bytes | None = None
    exit_code: int = 0
    errors: Sequence[MmectlError] = ()
    done: bool = False
    printed: bool = False


@dataclass(frozen=True, slots=True)
class Mode:
    """How to speak. With `lines` (and `json`) what happens is told as it happens, a line each."""

    json: bool = False
    lines: bool = False
    quiet: bool = False
    verbose: bool = False
    color: bool = True


class Output:
    """Renders results, events and errors for one command."""

    def __init__(
        self, mode: Mode, stdout: TextIO | None = None, stderr: TextIO | None = None
    ) -> None:
        self.mode = mode
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._told: set[str] = set()
        colour = None if mode.color else True
        self._console = Console(file=self._stdout, no_color=colour, highlight=False)
        self._status = Console(file=self._stderr, no_color=colour, highlight=False)
        self._stream = Stream(self._written) if mode.lines else None

    @property
    def interactive(self) -> bool:
        """Whether somebody can be asked."""
        stdin = sys.stdin  # None when it was closed
        return bool(stdin) and stdin.isatty() and self._status.is_terminal and not self.mode.json

    @property
    def terminal(self) -> bool:
        """Whether results go to a terminal."""
        return self._console.is_terminal and not self.mode.json

    @contextmanager
    def live(self) -> Iterator[Callable[[Sequence[str | Table]], None]]:
        """Give a place to show blocks in, each time in place of the last; for terminals."""
        with Live(console=self._console, screen=True, auto_refresh=False) as live:

            def show(blocks: Sequence[str | Table]) -> None:
                parts = [
                    escape(b) if isinstance(b, str) else _rich_table(b, self._console.width)
                    for b in blocks
                ]
                live.update(Group(*parts), refresh=True)

            yield show

    def result(self, command: str, result: Result) -> None:
        """Print a command's result."""
        if result.printed:
            return
        if self.mode.json:
            ok = result.done or result.exit_code == 0
            self._envelope(command, result.exit_code, result.data, result.errors, ok=ok)
            return
        if result.body is not None:
            self._write_body(result.body)
        for block in result.view:
            self._block(block)
        self._stdout.flush()
        for error in result.errors:
            self.error(command, error)

    def begin(self, command: str) -> None:
        """Tell, where what happens is told, which command begins."""
        if self._stream:
            self._stream.start(command)

    def line(self, text: str) -> None:
        """Print one line of a result that comes bit by bit."""
        if self._stream:
            self._stream.line(text)
        else:
            self._written(text)

    def _written(self, text: str) -> None:
        self._stdout.write(text + "\n")
        self._stdout.flush()

    def _write_body(self, body: bytes) -> None:
        binary = getattr(self._stdout, "buffer", None)
        self._stdout.flush()
        if binary is not None:
            binary.write(body if body.endswith(b"\n") or not _is_text(body) else body + b"\n")
            binary.flush()
        else:
            self._stdout.write(body.decode("utf-8", "replace"))

    def _block(self, block: str | Table) -> None:
        if isinstance(block, str):
            self._stdout.write(block + "\n")
        elif self._console.is_terminal:
            shown = _rich_table(block, self._console.width)
            self._console.print(shown, soft_wrap=isinstance(shown, Text))
        else:
            self._stdout.write(plain_table(block))

    def error(
        self, command: str, error: MmectlError, data: Mapping[str, Any] | None = None
    ) -> None:
        """Print a failure: message and next command on stderr, or the envelope on stdout."""
        if self.mode.json:
            self._envelope(command, error.exit_code, data or {}, (error,))
            return
        label = "interrupted" if error.exit_code == 130 else "error"
        self._sentence(f"[bold red]{label}:[/] {escape(error.message)}")
        if error.hint:
            self._status.print(f"[bold]next:[/]  {escape(error.hint)}", soft_wrap=True)
        if codes.tells_more(error.code, hint=bool(error.hint) or label == "interrupted"):
            self._status.print(f"[bold]more:[/]  mmectl explain {error.code}", soft_wrap=True)

    def _sentence(self, markup: str) -> None:
        """Print on stderr: broken between words on a terminal, in one line elsewhere.

        A hint is not broken: it is a command, to be copied as it stands.
        """
        if self._status.is_terminal:
            self._status.print(markup, overflow="ignore", crop=False)
        else:
            self._status.print(markup, soft_wrap=True)

    def _envelope(
        self,
        command: str,
        exit_code: int,
        data: Mapping[str, Any],
        errors: Sequence[MmectlError],
        *,
        ok: bool = False,
    ) -> None:
        envelope = {
            "mmectl_result_version": RESULT_VERSION,
            "command": command,
            "status": "ok" if ok else "failed",
            "exit_code": exit_code,
            "data": data,
            "errors": [
                {
                    "code": error.code,
                    "kind": error.kind,
                    "message": error.message,
                    "hint": error.hint,
                }
                for error in errors
            ],
        }
        if self._stream:
            self._stream.result(envelope)
        else:
            self._written(json.dumps(envelope, indent=2, default=str))

    @contextmanager
    def progress(self) -> Iterator[Report]:
        """Give a place to report events to, while long work goes on."""
        if self.mode.quiet:
            yield lambda event: self._warning(event)
        elif self._stream:
            yield self._stream.happened
        elif self._status.is_terminal and not self.mode.json:
            with bars(self._status) as progress:
                yield Bars(progress)
        else:
            yield Lines(self._stderr, self.mode.verbose)

    def _warning(self, event: Event) -> None:
        if event.kind == "warning" and self._stream:
            self._stream.happened(event)
        elif event.kind == "warning":
            self._stderr.write(f"warning: {said(event)}\n")

    def note(self, text: str, *, warning: bool = False) -> None:
        """One line beside the result, unless --quiet."""
        if self.mode.quiet:
            return
        if self._stream:
            self._stream.happened(Event("warning" if warning else "note", "", text))
        else:
            self._sentence(escape(f"warning: {text}" if warning else text))

    def once(self, text: str, *, warning: bool = False) -> None:
        """The same, but not again what was said before."""
        if text not in self._told:
            self._told.add(text)
            self.note(text, warning=warning)


def _is_text(body: bytes) -> bool:
    return b"\x00" not in body[:1024]


def milliseconds(seconds: float) -> str:
    """A duration for people: '12 ms' or '3.42 s'."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def plain_table(table: Table) -> str:
    """Columns padded with blanks, nothing cut: for pipes and files."""
    rows = [list(table.columns), *[list(row) for row in table.rows]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.columns))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if name in table.right else cell.ljust(width)
            for name, cell, width in zip(table.columns, row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def _records(table: Table) -> Text:
    """Every row as lines of its own: the first cell, then the others with their names."""
    wide = max(map(len, table.columns[1:]), default=0)
    lines = []
    for first, *others in table.rows:
        lines.append(first)
        named = zip(table.columns[1:], others, strict=True)
        lines += [f"  {name:{wide}}  {cell}" for name, cell in named if cell]
    return Text("\n".join(lines), no_wrap=True, overflow="ignore")


def _rich_table(table: Table, width: int = 80) -> RichTable | Text:
    """The table for so many columns: its first column and its headers are whole.

    Where there is no room for that, one line for each cell.
    """
    first = max((len(row[0]) for row in table.rows), default=0)
    whole = [max(first, len(table.columns[0])), *map(len, table.columns[1:])]
    if sum(whole) + 2 * len(whole) > width:
        return _records(table)
    rich = RichTable(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name, least in zip(table.columns, whole, strict=True):
        side: Literal["right", "left"] = "right" if name in table.right else "left"
        rich.add_column(name, justify=side, overflow="fold", min_width=least)
    for row in table.rows:
        rich.add_row(*(escape(cell) for cell in row))
    return rich

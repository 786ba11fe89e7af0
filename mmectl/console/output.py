"""Prints: results to stdout; progress and errors to stderr; plain, rich or JSON.

On a terminal rich draws bars and tables; in a pipe the same facts are plain lines. `--json`
prints exactly one envelope, whatever happens.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable
from rich.text import Text

from mmectl.base.errors import MmectlError
from mmectl.base.values import Event, Report

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
    than 0 tells of no failure.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    view: Sequence[str | Table] = ()
    body: bytes | None = None
    exit_code: int = 0
    errors: Sequence[MmectlError] = ()
    done: bool = False


@dataclass(frozen=True, slots=True)
class Mode:
    """How to speak."""

    json: bool = False
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
        colour = None if mode.color else True
        self._console = Console(file=self._stdout, no_color=colour, highlight=False)
        self._status = Console(file=self._stderr, no_color=colour, highlight=False)

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

    def line(self, text: str) -> None:
        """Print one line of a result that comes bit by bit."""
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
                {"code": error.code, "message": error.message, "hint": error.hint}
                for error in errors
            ],
        }
        self.line(json.dumps(envelope, indent=2, default=str))

    @contextmanager
    def progress(self) -> Iterator[Report]:
        """Give a place to report events to, while long work goes on."""
        if self.mode.quiet:
            yield lambda event: self._warning(event)
        elif self._status.is_terminal and not self.mode.json:
            with _bars(self._status) as progress:
                yield _Bars(progress)
        else:
            yield _Lines(self._stderr, self.mode.verbose)

    def _warning(self, event: Event) -> None:
        if event.kind == "warning":
            self._stderr.write(f"warning: {_said(event)}\n")

    def note(self, text: str) -> None:
        """One line beside the result, unless --quiet."""
        if not self.mode.quiet:
            self._sentence(escape(text))


class _Lines:
    """Events as plain lines; of progress only what changes."""

    def __init__(self, stream: TextIO, verbose: bool) -> None:
        self._stream = stream
        self._verbose = verbose
        self._last: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        if event.kind == "start" and not self._verbose:
            return
        if event.kind == "progress":
            text = event.text or "..."
            if self._last.get(event.subject) == text:
                return
            self._last[event.subject] = text
        if event.kind == "progress" and event.total is not None and not self._verbose:
            return
        prefix = "warning: " if event.kind == "warning" else ""
        self._stream.write(f"{prefix}{_said(event)}\n")
        self._stream.flush()


class _Bars:
    """Events as rich progress bars; what is done becomes a line above them."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        if event.kind in ("start", "progress"):
            self._update(event)
            return
        if event.subject in self._tasks and event.kind == "done":
            self._progress.remove_task(self._tasks.pop(event.subject))
        mark = {"done": "[green]✓[/]", "warning": "[yellow]![/]"}.get(event.kind, "[dim]·[/]")
        self._progress.console.print(f"{mark} {escape(_said(event))}", soft_wrap=True)

    def _update(self, event: Event) -> None:
        if event.subject not in self._tasks:
            self._tasks[event.subject] = self._progress.add_task("", total=None, note="")
            self._began[event.subject] = time.monotonic()
        amount = _amount(event)
        self._progress.update(
            self._tasks[event.subject],
            description=escape(_shortened(event.subject, 36)),
            completed=event.done if event.total else 0,
            total=event.total,
            note=escape(_shortened(amount or event.text, 24)),
        )


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=16),
        TextColumn("{task.fields[note]}", markup=True),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def _said(event: Event) -> str:
    return f"{event.subject}: {event.text}" if event.text else event.subject


def _amount(event: Event) -> str:
    if event.total is None:
        return ""
    shown = size if event.unit == "B" else str
    return f"{shown(event.done)} of {shown(event.total)}"


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _is_text(body: bytes) -> bool:
    return b"\x00" not in body[:1024]


def size(number: float) -> str:
    """A number of bytes for people: '12.3 MB' (powers of 1000, as S3's console has them)."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(number) < 1000 or unit == "GB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    raise AssertionError("unreachable")


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

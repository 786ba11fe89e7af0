"""Long work as it goes on: bars on a terminal, a line now and then elsewhere; rate and time left.

How fast it goes is rich's estimate over the last half minute, in both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from mmectl.base.text import size
from mmectl.base.values import Event

EVERY = 10.0  # seconds between two lines of one transfer, where stderr is no terminal
_STEP = "step"  # the unit of a builder's output, which counts nothing
_RATE, _LEFT = len("99.9 MB/s"), len("59 s left")


class Pace:
    """How far each subject is, how fast it goes and how long it takes yet."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._moving: set[str] = set()

    def follow(self, event: Event) -> Task:
        """Note an event of kind start or progress; gives the subject's state after it."""
        total = None if event.unit == _STEP else event.total
        task = self._task(event.subject)
        moved = event.kind == "progress" and total is not None
        known = event.subject in self._moving and task.total == total
        task.total = total
        task.fields |= {"unit": event.unit, "note": event.text}
        if moved and known:
            self._progress.update(task.id, completed=event.done)
        elif moved:  # what was there before is no speed
            self._moving.add(event.subject)
            self._progress.reset(task.id, completed=event.done)
        return task

    def _task(self, subject: str) -> Task:
        if subject not in self._tasks:
            self._tasks[subject] = self._progress.add_task(subject, total=None, unit="B", note="")
        return next(one for one in self._progress.tasks if one.id == self._tasks[subject])

    def end(self, subject: str) -> None:
        """Forget a subject."""
        self._moving.discard(subject)
        if subject in self._tasks:
            self._progress.remove_task(self._tasks.pop(subject))


def span(seconds: float) -> str:
    """A duration for people: '21 s', '2:05', '1:02:05'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, hours = whole // 60 % 60, whole // 3600
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _shown(number: float, unit: str) -> str:
    if unit == "B":
        return size(number)
    return f"{number:.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"


def _rate(task: Task) -> str:
    if task.finished:  # what follows, as the joining of parts, has no figures
        return "finishing"
    return f"{_shown(task.speed, task.fields['unit'])}/s" if task.speed else ""


def _left(task: Task) -> str:
    left = task.time_remaining
    return f"{span(left)} left" if left and not task.finished else ""


def _percent(task: Task) -> str:
    return f"{task.percentage:.0f}%"


def _amount(task: Task) -> str:
    unit = task.fields["unit"]
    return f"{_shown(task.completed, unit)} of {_shown(task.total or 0, unit)}"


def figures(task: Task, room: int | None = None) -> str:
    """What is known of a subject in at most `room` columns: amount or percentage, rate, time left.

    What is chosen depends on the total alone, so that a line keeps its form.
    """
    if task.total is None:
        text = task.fields["note"]
        took = span(task.elapsed or 0)
        text = text if room is None else shortened(text, max(room - len(took) - 1, 0))
        return f"{text} {took}".strip()
    widest = 2 * len(_shown(task.total, task.fields["unit"])) + len(" of ")
    forms: tuple[tuple[int, tuple[Callable[[Task], str], ...]], ...] = (
        (widest + _RATE + _LEFT + 4, (_amount, _rate, _left)),
        (4 + _RATE + _LEFT + 4, (_percent, _rate, _left)),
        (4 + _LEFT + 2, (_percent, _left)),
        (0, (_percent,)),
    )
    parts = next(parts for width, parts in forms if room is None or width <= room)
    return ", ".join(filter(None, (part(task) for part in parts)))


class Lines:
    """Events as plain lines; of progress what changes, and how far a transfer is now and then."""

    def __init__(
        self, stream: TextIO, verbose: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._verbose = verbose
        self._clock = clock
        self._pace = Pace(Progress(auto_refresh=False, disable=True, get_time=clock))
        self._last: dict[str, str] = {}
        self._told: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Print what the event is worth."""
        if event.kind in ("start", "progress"):
            self._told.setdefault(event.subject, self._clock())
            task = self._pace.follow(event)
            if task.total is not None and event.kind == "progress":
                self._transfer(event, task)
            elif self._news(event):
                self._line(said(event))
            return
        if event.kind == "done":
            self._pace.end(event.subject)
            self._told.pop(event.subject, None)
        self._line(f"warning: {said(event)}" if event.kind == "warning" else said(event))

    def _news(self, event: Event) -> bool:
        if (event.kind == "start" or event.unit == _STEP) and not self._verbose:
            return False
        text = event.text or "..."
        before = None if event.kind == "start" else self._last.get(event.subject)
        if event.kind == "progress":
            self._last[event.subject] = text
        return before != text

    def _transfer(self, event: Event, task: Task) -> None:
        now = self._clock()
        if now - self._told[event.subject] >= EVERY:
            self._told[event.subject] = now
            self._line(f"{event.subject}: {figures(task)}")

    def _line(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


class Bars:
    """Events as rich progress bars; what is done becomes a line above them."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._pace = Pace(progress)

    def __call__(self, event: Event) -> None:
        """Show the event."""
        if event.kind in ("start", "progress"):
            self._pace.follow(event)
            return
        if event.kind == "done":
            self._pace.end(event.subject)
        mark = {"done": "[green]✓[/]", "warning": "[yellow]![/]"}.get(event.kind, "[dim]·[/]")
        self._progress.console.print(f"{mark} {escape(said(event))}", soft_wrap=True)


class _Name(ProgressColumn):
    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width

    def render(self, task: Task) -> RenderableType:
        return Text(shortened(task.description, self._width).ljust(self._width), no_wrap=True)


class _Figures(ProgressColumn):
    max_refresh = 0.5

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    def render(self, task: Task) -> RenderableType:
        return Text(figures(task, self._room), no_wrap=True)


def bars(console: Console) -> Progress:
    """Bars for a terminal of any width."""
    name, bar, room = layout(console.width)
    columns: list[ProgressColumn] = [TextColumn(" "), _Name(name)]
    if bar:
        columns.append(BarColumn(bar_width=bar))
    return Progress(*columns, _Figures(room), console=console, transient=True)


def layout(width: int) -> tuple[int, int, int]:
    """Columns of a name, of a bar (0: none) and of the figures, with blanks between them."""
    name = min(36, width * 3 // 10)
    bar = 16 if width >= 100 else 10 if width >= 56 else 0
    return name, bar, max(width - 2 - name - bar - 2 - bool(bar), 4)


def said(event: Event) -> str:
    """An event in one line."""
    return f"{event.subject}: {event.text}" if event.text else event.subject


def shortened(text: str, width: int) -> str:
    """A text in at most so many columns."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"[: max(width, 0)]

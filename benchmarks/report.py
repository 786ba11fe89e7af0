"""What a benchmark gives back, and how it is shown."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


class Unavailable(Exception):
    """The benchmark cannot run here; the message says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Result:
    """One figure against its goal: `met` is None where there is no goal."""

    what: str
    figure: str
    goal: str
    met: bool | None

    def __str__(self) -> str:
        verdict = {True: "met", False: "MISSED", None: ""}[self.met]
        goal = f"goal: {self.goal}" if self.goal else ""
        return f"  {self.what:<44} {self.figure:<30} {goal:<24} {verdict}".rstrip()


def printed(title: str, lines: Sequence[Result]) -> int:
    """Print figures below their title; the exit code, 1 where a goal was missed."""
    for line in (title, *lines):
        print(line)
    return int(any(line.met is False for line in lines))


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def alternating(
    left: Callable[[], object], right: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """The median seconds of two calls that take turns, so that both meet the same noise."""
    pairs = [(seconds(left), seconds(right)) for _ in range(rounds)]
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)

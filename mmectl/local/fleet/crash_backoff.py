"""Backs off from models whose load ended their worker, so that not every request tries again.

One crash may have been the kernel's or an operator's doing, so a model is refused only after
two, and for a bounded time: `first` seconds, twice as long after each further crash, `most` at
most. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmectl.local.instance.http_client import Answer

CRASHES = 2  # of loads of one object, until it is refused
_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Crash:
    """How the last load ended: the server's answer, why (from the log), and refused until when."""

    count: int
    answer: Answer
    why: str | None
    until: float


class CrashBackoff:
    """Crashes by the object's file: a replaced object is another file, and is tried at once."""

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._crashes: dict[Path, Crash] = {}

    def crashed(self, archive: Path, answer: Answer, why: str | None, now: float) -> None:
        """Count a load that ended its worker."""
        before = self._crashes.pop(archive, None)
        count = 1 + (before.count if before is not None else 0)
        pause = min(self._first * 2.0 ** min(count - CRASHES, 30), self._most)
        until = now + pause if count >= CRASHES else now
        self._crashes[archive] = Crash(count, answer, why, until)
        if len(self._crashes) > _REMEMBERED:
            del self._crashes[next(iter(self._crashes))]

    def loaded(self, archive: Path) -> None:
        """Forget the crashes of an object that loads."""
        self._crashes.pop(archive, None)

    def refused(self, archive: Path, now: float) -> Crash | None:
        """The last crash of an object that is not to be loaded now; None for one that may be."""
        crash = self._crashes.get(archive)
        return crash if crash is not None and now < crash.until else None

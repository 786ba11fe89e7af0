"""Models whose load ended their worker, remembered so that not every request tries it again.

One death may be the kernel's or somebody's doing, so a model is refused only after two, and for a
bounded time: `first` seconds, twice as long after each further death, `most` at most. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmectl.local.instance.http_client import Answer

DEATHS = 2  # of loads of one object, until it is refused
_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Death:
    """How the last load ended: the server's answer and why, from the log; refused until then."""

    count: int
    answer: Answer
    why: str | None
    until: float


class DeadlyLoads:
    """Deaths by the object's file: a changed object has another, and is tried at once."""

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._deaths: dict[Path, Death] = {}

    def died(self, archive: Path, answer: Answer, why: str | None, now: float) -> None:
        """Count a load that ended its worker."""
        before = self._deaths.pop(archive, None)
        count = 1 + (before.count if before is not None else 0)
        pause = min(self._first * 2.0 ** min(count - DEATHS, 30), self._most)
        until = now + pause if count >= DEATHS else now
        self._deaths[archive] = Death(count, answer, why, until)
        if len(self._deaths) > _REMEMBERED:
            del self._deaths[next(iter(self._deaths))]

    def loaded(self, archive: Path) -> None:
        """Forget what was somebody else's doing."""
        self._deaths.pop(archive, None)

    def refused(self, archive: Path, now: float) -> Death | None:
        """The last death of an object that is not to be loaded now; None for one that may be."""
        death = self._deaths.get(archive)
        return death if death is not None and now < death.until else None

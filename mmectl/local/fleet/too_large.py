"""Negative cache of archives that did not fit even on an empty instance. Pure.

Each further try would cost as much again, perhaps all other models of the instance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TooLarge:
    """An archive that does not fit, why, and until when it is not tried again."""

    archive: Path
    why: str
    until: float


class TooLargeCache:
    """Archives by TargetModel, for `seconds` each: a replaced object is another archive."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._found: dict[str, TooLarge] = {}

    def add(self, target: str, archive: Path, why: str, now: float) -> None:
        """Remember that an archive does not fit."""
        self._found[target] = TooLarge(archive, why, now + self._seconds)

    def get(self, target: str, now: float) -> TooLarge | None:
        """The archive of that model that is not to be tried now, if there is one."""
        found = self._found.get(target)
        return found if found is not None and now < found.until else None

"""Reads that are behind: what was answered before a change is answered for a while after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Answer = TypeVar("Answer")
BEHIND = 10.0  # seconds after a change from which on nothing is behind any more


@dataclass(slots=True)
class _Seen(Generic[Answer]):
    """The newest answer of one read; `before` it `left` more reads may get."""

    newest: Answer
    read: float
    before: Answer | None = None
    changed: float = 0.0
    left: int = 0


class Replicas(Generic[Answer]):
    """Answers of reads by key; `depth` says for how many reads a change is not seen."""

    def __init__(self, depth: Callable[[str], int], clock: Callable[[], float]) -> None:
        self._depth, self._clock = depth, clock
        self._seen: dict[str, _Seen[Answer]] = {}
        self._written: dict[str, float] = {}

    def wrote(self, subject: str) -> None:
        """That thing was changed just now."""
        self._written[subject] = self._clock()

    def answer(self, key: str, subject: str, newest: Answer) -> Answer:
        """What this read gets: the newest answer, or the one before it."""
        now = self._clock()
        seen = self._seen.get(key)
        if seen is None:
            self._seen[key] = _Seen(newest, now)
            return newest
        if seen.newest != newest:
            written = self._written.get(subject, float("-inf"))
            recent = now - max(seen.read, written) < BEHIND
            seen.before, seen.newest, seen.changed = seen.newest, newest, now
            seen.left = self._depth(key) if recent else 0
        seen.read = now
        if seen.left > 0 and seen.before is not None and now - seen.changed < BEHIND:
            seen.left -= 1
            return seen.before
        return newest

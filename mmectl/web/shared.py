"""Commands whose answers all pages share for a while: listing thousands of models takes time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mmectl.web.values import Commands, Data

SHARED = (("models", "list", "--all"), ("models", "list", "--all", "--details"))
"""The commands whose answers are kept."""
FRESH = 5.0
"""Seconds that an answer is kept at least."""
REST = 50
"""An answer that took long is kept that many times as long: a fiftieth of the time is spent."""
LONGEST = 60.0
"""Seconds that an answer is kept at most."""


@dataclass(slots=True)
class _Kept:
    data: Data | None = None
    until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


def _nothing() -> dict[tuple[str, ...], _Kept]:
    return {words: _Kept() for words in SHARED}


class Shared:
    """Calls commands as `commands` does; each of `SHARED` is under way once at a time."""

    def __init__(self, commands: Commands, clock: Callable[[], float] = time.monotonic) -> None:
        self._commands, self._clock = commands, clock
        self._kept = _nothing()

    def __call__(self, *arguments: str) -> Data:
        """What the command gives, or gave a moment ago. Raises MmectlError."""
        kept = self._kept.get(arguments)
        if kept is None:
            return self._commands(*arguments)
        with kept.lock:
            began = self._clock()
            if kept.data is None or began >= kept.until:
                kept.data = self._commands(*arguments)
                now = self._clock()
                kept.until = now + min(max(FRESH, REST * (now - began)), LONGEST)
            return kept.data

    def line(self, *arguments: str) -> str:
        """The command as somebody would type it."""
        return self._commands.line(*arguments)

    def process(self, *arguments: str) -> Sequence[str]:
        """The words that run the command as a process of its own."""
        return self._commands.process(*arguments)

    def forget(self) -> None:
        """Something was changed: ask anew."""
        self._kept = _nothing()

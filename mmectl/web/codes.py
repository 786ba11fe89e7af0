"""Codes that sign a browser's tab in, each once and for a short time. Pure."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable

LIFETIME = 120.0
"""Seconds that a code is good for."""
WRONG, WITHIN = 10, 60.0
"""Wrong codes that are heard within so many seconds; then none is, until they are over."""
MOST = 50
"""Codes at a time; the oldest goes for the next one."""


def new() -> str:
    """A code that nobody guesses."""
    return secrets.token_urlsafe(24)


def digest(code: str) -> str:
    """What is kept of a code: it cannot be told from it."""
    return hashlib.sha256(code.encode("utf-8", "surrogateescape")).hexdigest()


class Codes:
    """The codes of one console.

    `elsewhere` spends one that was left outside this process; it is given the digest.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        elsewhere: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._clock, self._elsewhere = clock, elsewhere
        self._until: OrderedDict[str, float] = OrderedDict()
        self._wrong: deque[float] = deque(maxlen=WRONG)

    def issue(self) -> str:
        """A code, good for `LIFETIME` seconds."""
        code = new()
        self._until[digest(code)] = self._clock() + LIFETIME
        while len(self._until) > MOST:
            self._until.popitem(last=False)
        return code

    def wait(self) -> float:
        """Seconds until codes are heard again; 0 where too few were wrong."""
        if len(self._wrong) < WRONG:
            return 0.0
        return max(0.0, self._wrong[0] + WITHIN - self._clock())

    def spend(self, code: str) -> bool:
        """Whether the code was good; it is no more. Nothing is good while `wait` is not 0."""
        if self.wait():
            return False
        kept = digest(code)
        until = self._until.pop(kept, None)
        good = until > self._clock() if until is not None else self._elsewhere(kept)
        if not good:
            self._wrong.append(self._clock())
        return good

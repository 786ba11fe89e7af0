"""Runs a task in the worker's one thread once the worker is idle.

The worker waits for the server's next request, so a timer's signal is what can wake it; the
interrupted read goes on by itself (PEP 475).
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping

SECONDS = 1.0


def seconds(environ: Mapping[str, str]) -> float:
    """Read MMECTL_IDLE_SECONDS, after which a worker rests; 0 is never, nonsense the default."""
    try:
        return max(float(environ.get("MMECTL_IDLE_SECONDS", SECONDS)), 0.0)
    except ValueError:
        return SECONDS


class Idle:
    """Calls `action` when nothing was done for so many seconds; 0 means never.

    It is called again after as many seconds where it returns True.

    The signal is taken over by the first use of `busy`. Must be used in the main thread.
    """

    def __init__(self, seconds: float, action: Callable[[], bool]) -> None:
        self._seconds = seconds
        self._action = action
        self._busy = 0
        self._ready = False

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Be at work: the action waits until some time after the end of the block."""
        if self._seconds and not self._ready:
            signal.signal(signal.SIGALRM, self._fire)
            self._ready = True
        self._busy += 1
        self._arm(0)
        try:
            yield
        finally:
            self._busy -= 1
            self._arm(self._seconds)

    def leave(self, seconds: float) -> None:
        """End the process by the signal, so soon, whatever it does or waits for then."""
        self._seconds, self._ready = 0.0, False
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def _arm(self, seconds: float) -> None:
        if self._ready:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def _fire(self, *_: object) -> None:
        if not self._busy and self._action():
            self._arm(self._seconds)

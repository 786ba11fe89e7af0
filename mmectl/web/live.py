"""One look at the fleet for all pages that are open, and none while there is no page."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from mmectl.base.errors import MmectlError
from mmectl.web.events import events
from mmectl.web.fleet import changes, snapshot
from mmectl.web.threads import in_thread

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks."""
SELDOM = 15.0
"""Seconds between two looks at most: one may have waited for a platform that was restarted."""
KEPT = 200
"""Events that are remembered, and shown."""
_SPANS = 2_000  # times that pages were open

Look = Callable[[], Mapping[str, Any]]
"""The endpoint with its instances, as the embedded platform tells it. Raises MmectlError."""


class Live:
    """The fleet as it is now, for as many pages as want it."""

    def __init__(
        self, look: Look, every: float = EVERY, clock: Callable[[], float] = time.time
    ) -> None:
        self._look, self._every, self._clock = look, every, clock
        self._now: dict[str, Any] = {}
        self._error: str | None = None
        self._changed = asyncio.Condition()
        self.pages = 0
        self._looking: asyncio.Task[None] | None = None
        self.events: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._watched: deque[list[float]] = deque(maxlen=_SPANS)  # from, to

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """What a page is to be told: at first all, then what changed; never ends."""
        shown: dict[str, Any] = {}
        error: str | None = None
        self.pages += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._watch())
        try:
            while True:
                found = changes(shown, self._now) if self._now else {}
                if self._error != error:
                    error = self._error
                    found["error"] = error
                shown = self._now
                if found:
                    yield found
                async with self._changed:
                    await self._changed.wait()
        finally:
            self.pages -= 1
            if not self.pages:
                self.close()

    def saw(self, time: float) -> bool:
        """Whether a page was open then, so that what happened is among the events.

        The oldest of them go for new ones.
        """
        if len(self.events) == KEPT and time < self.events[0]["time"]:
            return False
        return any(start <= time <= end for start, end in self._watched)

    async def _watch(self) -> None:
        while True:
            began = time.monotonic()
            await self._once()
            async with self._changed:
                self._changed.notify_all()
            await asyncio.sleep(pause(self._every, time.monotonic() - began))

    async def _once(self) -> None:
        try:
            found, now = await in_thread(self._look), self._clock()
            seen = snapshot(found, now)
        except MmectlError as error:
            self._error = error.message + (f"; next: {error.hint}" if error.hint else "")
            return
        except Exception as error:  # pages are told, and the next look may go well
            log.exception("a look at the fleet failed")
            self._error = f"a bug in mmectl: {type(error).__name__}: {error}"
            return
        if self._now:
            for what, instance, which in events(self._now, seen):
                self.events.append(
                    {"time": now, "what": what, "instance": instance, "about": which}
                )
        else:  # what happened before this look is no event
            self._watched.append([now, math.inf])
        self._now, self._error = seen, None

    def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            if self._now:  # it had begun
                self._watched[-1][1] = self._clock()
        self._looking, self._now = None, {}


def pause(every: float, took: float) -> float:
    """Seconds until the next look: a fiftieth of the time goes to looks that take long."""
    return max(every, min(50 * took, SELDOM))

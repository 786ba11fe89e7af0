"""A task that goes on in the background until it is stopped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Background:
    """At most one task; `name` is shown where asyncio names tasks."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it from now on."""
        self._task = asyncio.create_task(work, name=self._name)

    def repeat(
        self,
        look: Callable[[], Awaitable[None]],
        pause: Callable[[], Awaitable[object]],
        failed: str,
    ) -> None:
        """Look after each pause from now on; a look that fails is logged, and the next is made."""
        self.start(_repeated(look, pause, failed))

    async def stop(self) -> bool:
        """Cancel it and wait for its end; False where none was running, so that twice is fine."""
        if self._task is None:
            return False
        self._task.cancel()
        await asyncio.wait((self._task,))
        self._task = None
        return True


async def _repeated(
    look: Callable[[], Awaitable[None]], pause: Callable[[], Awaitable[object]], failed: str
) -> None:
    while True:
        await pause()
        try:
            await look()
        except Exception:
            log.exception(failed)

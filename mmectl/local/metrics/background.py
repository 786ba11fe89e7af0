"""A task that goes on in the background until it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Background:
    """At most one task; `name` is shown where asyncio names tasks."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it from now on."""
        self._task = asyncio.create_task(work, name=self._name)

    async def stop(self) -> bool:
        """Cancel it and wait for its end; False where none was running, so that twice is fine."""
        if self._task is None:
            return False
        self._task.cancel()
        await asyncio.wait((self._task,))
        self._task = None
        return True

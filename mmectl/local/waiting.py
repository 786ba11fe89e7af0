"""Waiting for tasks: for all of them, with a timeout, or for a change."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

_T = TypeVar("_T")


class _TimeIsUp(asyncio.TimeoutError):
    """As told from a TimeoutError of the work's own."""


async def gather_all(tasks: Sequence[asyncio.Future[None]]) -> None:
    """Wait for all; where one fails, the others are cancelled and have ended before it raises."""
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        raise


async def result_within(timeout: float, work: Coroutine[Any, Any, _T]) -> _T:
    """The result of that within so many seconds; else it is called off: asyncio.TimeoutError.

    Unlike asyncio.wait_for before Python 3.12 it ends when it is cancelled, even at the moment
    when the work ends.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,), timeout=timeout)
        if not task.done():
            raise _TimeIsUp
        return task.result()
    finally:
        task.cancel()


async def within(timeout: float, work: Coroutine[Any, Any, object]) -> bool:
    """Whether that has ended within so many seconds; else it is called off."""
    try:
        await result_within(timeout, work)
    except _TimeIsUp:
        return False
    return True


class Changes:
    """Lets tasks wait until something in the fleet changes."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def tell(self) -> None:
        """Wake everybody who waits."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, timeout: float) -> bool:
        """Wait for a change; False when time is up."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await asyncio.wait((future,), timeout=max(timeout, 0))
            return future.done()
        finally:
            self._waiting.discard(future)

"""Bounds the memory and time of request bodies whose sender is not yet verified.

Clients of every service but S3 sign the digest of the body, so it must be read before the
signature can be checked. Whoever knows the access key's id could fill the memory with bodies, or
hold room for ever by sending them by drops.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mmectl.local.values import AwsError

TOTAL = 64 * 1024 * 1024  # bytes of large bodies that are read at once
SMALL = 64 * 1024  # bytes of a body that need no room
WAIT = 60.0  # seconds that a large body waits for room
GRACE = 20.0  # seconds that every body may take
SLOWEST = 128 * 1024  # bytes a second that a large one must reach besides


class BodyBudget:
    """The memory for bodies, given in the order in which it is asked for."""

    def __init__(self, total: int = TOTAL, wait: float = WAIT) -> None:
        self._left, self._wait = total, wait
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def of(self, size: int) -> AsyncIterator[None]:
        """Hold so many bytes; an AwsError ServiceUnavailable (503) when there is no room."""
        if size <= SMALL:
            yield
            return
        await self._take(size)
        try:
            yield
        finally:
            self._left += size
            self._serve()

    async def _take(self, size: int) -> None:
        if not self._waiting and size <= self._left:
            self._left -= size
            return
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, given))
        self._serve()
        try:
            await asyncio.wait_for(asyncio.shield(given), self._wait)
        except BaseException as error:
            if given.done() and not given.cancelled():
                self._left += size
            given.cancel()
            self._serve()
            if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
                text = "Too many large requests are being read; try again."
                raise AwsError("ServiceUnavailable", text, 503) from None
            raise

    def _serve(self) -> None:
        while self._waiting:
            size, given = self._waiting[0]
            if not given.done():
                if size > self._left:
                    return
                self._left -= size
                given.set_result(None)
            self._waiting.popleft()


def patience(size: int) -> float:
    """Seconds in which a body of that size must be there as a whole."""
    return GRACE + size / SLOWEST

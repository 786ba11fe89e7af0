"""Captures requests: a part of them by chance, kept for seconds, then written as one object."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress

from mmectl.local.capture.lines import Config, Event, folder, line, name
from mmectl.local.values import AwsError, InvokeRequest, InvokeResponse

PAUSE = 2.0  # seconds for which lines are gathered
MOST = 64 << 20  # characters that wait to be written; what comes then is not captured

Write = Callable[[str, str, bytes, str | None], Awaitable[None]]
"""Writes an object: bucket, key, body, KMS key. Raises AwsError."""
Place = tuple[str, str, str | None]  # bucket, folder, KMS key


class Captures:
    """Notes answered requests; `close` writes what is left.

    What cannot be written is dropped, as on AWS: a request is not refused because of it.
    """

    def __init__(
        self,
        write: Write,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        pause: float = PAUSE,
    ) -> None:
        self._write, self._clock, self._chance, self._pause = write, clock, chance, pause
        self._lines: dict[Place, list[str]] = {}
        self._waiting = 0
        self._writing: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def note(
        self, endpoint: str, config: Config, request: InvokeRequest, response: InvokeResponse
    ) -> None:
        """Capture a request, if it is one of those that the percentage lets be captured."""
        if self._chance() * 100 >= config["InitialSamplingPercentage"] or self._waiting > MOST:
            return
        now = self._clock()
        text = line(config, Event(str(uuid.uuid4()), now, request, response))
        bucket, where = folder(config, endpoint, response.variant, now)
        self._lines.setdefault((bucket, where, config.get("KmsKeyId")), []).append(text)
        self._waiting += len(text)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._later())

    async def _later(self) -> None:
        with suppress(asyncio.TimeoutError, TimeoutError):
            await asyncio.wait_for(self._closing.wait(), self._pause)
        while self._lines:
            await self._flush()

    async def _flush(self) -> None:
        lines, self._lines, self._waiting = self._lines, {}, 0
        for (bucket, where, key), some in lines.items():
            body = "".join(some).encode()
            with suppress(AwsError, OSError):
                await self._write(bucket, where + name(self._clock(), str(uuid.uuid4())), body, key)

    async def close(self) -> None:
        """Write what is left."""
        self._closing.set()
        if self._writing is not None:
            await self._writing

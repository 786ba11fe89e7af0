"""Drives endpoints to their wanted state: one asyncio task per endpoint with pending work."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import ClassVar

from mmectl.local.control.database import Records
from mmectl.local.control.start import attempt, start
from mmectl.local.control.states import (
    Step,
    at_stage,
    brought_up,
    lost,
    next_step,
    refreshed,
    restored,
    resumed,
    retry_pause,
    rolled_back,
    stopped,
)
from mmectl.local.control.updates import Surroundings, Updates
from mmectl.local.control.values import Endpoint
from mmectl.local.values import AwsError, Fleets, Image

log = logging.getLogger(__name__)
AGAIN = 1.0  # seconds between two attempts to store a change on a full disk


class Runner:
    """Starts and stops fleets until every endpoint is what its record says.

    Each change is stored under `lock`, which the control plane shares; tasks are cancelled
    only by a holder of that lock, so never in the middle of storing. `image` gives an image as it
    is registered now.
    """

    def __init__(
        self,
        records: Records,
        fleets: Fleets,
        lock: asyncio.Lock,
        around: Surroundings,
        image: Callable[[Image], Image],
    ) -> None:
        self._records = records
        self._fleets = fleets
        self._lock = lock
        self._around = around
        self._image = image
        self._clock = around.clock
        self._updates = Updates(fleets, around, self._change)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._settled: dict[str, asyncio.Event] = {}
        self._failures: dict[str, int] = {}  # starts in a row that failed, by endpoint

    def wake(self, key: str) -> None:
        """See to an endpoint whose record has changed."""
        if key not in self._tasks:
            self._begin(key, None)

    def interrupt(self, key: str) -> None:
        """Drop what is being done for an endpoint and look at its record afresh."""
        running = self._tasks.get(key)
        if running is not None:
            running.cancel()
        self._begin(key, running)

    def settled(self, key: str) -> asyncio.Event:
        """Set when the serving fleet is up, or found to be lost, in this process."""
        return self._settled.setdefault(key, asyncio.Event())

    def is_settled(self, key: str) -> bool:
        """Whether it is so by now."""
        return key in self._settled and self._settled[key].is_set()

    async def idle(self) -> None:
        """Wait until nothing is left to do; never while an endpoint is tried again and again."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    async def close(self) -> None:
        """Cancel everything; the records say where to go on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _begin(self, key: str, before: asyncio.Task[None] | None) -> None:
        task = asyncio.create_task(self._run(key, before), name=f"endpoint {key}")
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))

    def _ended(self, key: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("endpoint %s: %s", key, error, exc_info=error)

    async def _run(self, key: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        while step := next_step(self._records.endpoints.get(key), settled=self.is_settled(key)):
            endpoint = self._records.endpoints[key]
            await self._STEPS[step](self, endpoint)

    async def _restore(self, endpoint: Endpoint) -> None:
        now = endpoint
        with contextlib.suppress(OSError):  # as it was registered before
            now = await asyncio.to_thread(refreshed, endpoint, self._image)
        await self._change(endpoint, lambda _: now)
        serving, target = resumed(now)
        reason = await start(self._fleets, serving)
        if reason is not None:
            await self._change(endpoint, lambda now: lost(now, reason, self._clock()))
        else:
            missing = await start(self._fleets, target)
            if missing is not None:
                await self._change(endpoint, lambda now: _without_target(now, self._clock()))
                await self._updates.give_up(endpoint, missing)
            else:
                await self._change(endpoint, lambda now: restored(now, self._clock()))
        key = endpoint.name.lower()
        self._failures[key] = self._failures.get(key, 0) + 1 if reason is not None else 0
        self.settled(key).set()

    async def _retry(self, endpoint: Endpoint) -> None:
        """Start what served before once more: a full disk, memory or a lost image may be back."""
        failures = self._failures.get(endpoint.name.lower(), 0)
        await self._around.sleep(retry_pause(max(failures, 1)))
        await self._restore(endpoint)

    async def _bring_up(self, endpoint: Endpoint) -> None:
        target = endpoint.target
        if endpoint.in_place and target is not None:
            reason = await attempt(self._fleets.resize(target.specs))
        else:
            reason = await start(self._fleets, target)
        if reason is None:
            await self._change(endpoint, lambda now: brought_up(now, self._clock()))
        else:
            await self._change(endpoint, lambda now: rolled_back(now, reason, self._clock()))
        self.settled(endpoint.name.lower()).set()

    async def _shift(self, endpoint: Endpoint) -> None:
        await self._updates.step(endpoint)

    async def _retire(self, endpoint: Endpoint) -> None:
        await self._stop(endpoint.name, endpoint.retired)
        await self._change(endpoint, lambda now: stopped(now, endpoint.retired))

    async def _remove(self, endpoint: Endpoint) -> None:
        await self._stop(endpoint.name, endpoint.keys)
        await self._stored(lambda: self._records.remove(endpoint))
        # nobody may wait for an endpoint that is gone, and its successor starts anew
        self._settled.pop(endpoint.name.lower(), asyncio.Event()).set()
        self._failures.pop(endpoint.name.lower(), None)

    async def _stop(self, endpoint: str, keys: tuple[str, ...]) -> None:
        await asyncio.gather(*(self._fleets.stop(endpoint, key) for key in keys))

    async def _change(self, endpoint: Endpoint, change: Callable[[Endpoint], Endpoint]) -> None:
        """Store a change of what the record is by now; an endpoint being deleted stays so."""

        async def store() -> None:
            now = self._records.endpoints.get(endpoint.name.lower())
            if now is None or now.status == "Deleting":
                return
            changed = change(now)
            if changed != now:
                await self._records.put(changed)

        await self._stored(store)

    async def _stored(self, change: Callable[[], Awaitable[None]]) -> None:
        """Store a change, however long the disk is full: what was done cannot be undone."""
        while True:
            try:
                async with self._lock:
                    return await change()
            except AwsError as error:
                log.error("%s", error)  # noqa: TRY400 - the reason is in its text
                await asyncio.sleep(AGAIN)

    _STEPS: ClassVar[dict[Step, Callable[[Runner, Endpoint], Awaitable[None]]]] = {
        Step.RESTORE: _restore,
        Step.BRING_UP: _bring_up,
        Step.SHIFT: _shift,
        Step.RETIRE: _retire,
        Step.REMOVE: _remove,
        Step.RETRY: _retry,
    }


def _without_target(endpoint: Endpoint, now: float) -> Endpoint:
    """The target did not come back after a restart: it has no instances and no traffic."""
    rollout = endpoint.rollout
    nothing = (0,) * len(rollout.target) if rollout else ()
    return at_stage(endpoint, "Creating", now, target=nothing, share=0.0)

"""Carries an update out, stage by stage (see `states` and `deployments`).

Creating starts instances, ActivatingTraffic shifts a part of the traffic, Baking watches the
alarms, Deleting stops what is needed no more; then the next shift, until none is left. Before
every stage there is a durable record, so that one that was interrupted goes on, or back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from mmectl.local.control import deployments
from mmectl.local.control.start import attempt, start
from mmectl.local.control.states import at_stage, rolling_back, shifted, sized, stuck
from mmectl.local.control.values import Counts, Endpoint, Fleet, Rollout, Stage
from mmectl.local.values import Fleets

ALARM_POLL = 2.0
"""Seconds between two looks at the alarms of an update."""

AlarmState = Callable[[str], Awaitable["str | None"]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the runner has from outside.

    `clock` gives epoch seconds; `sleep` waits for some of them; `alarm_state` gives the state
    of a CloudWatch alarm (``OK``, ``ALARM``, ``INSUFFICIENT_DATA``), None for no such alarm;
    without it alarms are not looked at.
    """

    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    alarm_state: AlarmState | None = None


Change = Callable[[Endpoint, Callable[[Endpoint], Endpoint]], Awaitable[None]]


class Updates:
    """Takes the stages; `change` stores a change of what the endpoint's record is by then."""

    def __init__(self, fleets: Fleets, around: Surroundings, change: Change) -> None:
        self._fleets = fleets
        self._around = around
        self._clock = around.clock
        self._change = change

    async def step(self, endpoint: Endpoint) -> None:
        """Take the present stage and store what came of it."""
        rollout = endpoint.rollout
        if rollout is not None:
            await self._STAGES[rollout.stage](self, endpoint, rollout)

    async def _create(self, endpoint: Endpoint, rollout: Rollout) -> None:
        """Start the instances that the shift needs."""
        serving, target = deployments.grown(rollout)
        reason = await self._in_time(endpoint, rollout, self._grow(endpoint, rollout))
        if reason is not None:
            await self.give_up(endpoint, reason)
        else:
            await self._to(endpoint, "ActivatingTraffic", serving=serving, target=target)

    async def _activate(self, endpoint: Endpoint, rollout: Rollout) -> None:
        """Give the new fleet its part of the traffic; a rollback is not watched."""
        after: Stage = "Baking" if rollout.reason is None else "Deleting"
        await self._to(endpoint, after, share=rollout.shifts[0].share)

    async def _bake(self, endpoint: Endpoint, rollout: Rollout) -> None:
        """Watch the alarms for as long as the policy says."""
        names = deployments.alarms(endpoint.deployment)
        times = deployments.times(endpoint.deployment)
        limit = _deadline(rollout, times)
        until = rollout.since + times.bake
        while True:
            now = self._clock()
            reason = await self._tripped(names)
            if reason is None and limit is not None and now >= limit:
                reason = _too_long(times)
            if reason is not None:
                await self.give_up(endpoint, reason)
                return
            if now >= until:
                await self._to(endpoint, "Deleting")
                return
            await self._around.sleep(min(until - now, ALARM_POLL) if names else until - now)

    async def _delete(self, endpoint: Endpoint, rollout: Rollout) -> None:
        """Stop the instances that the shift needs no more; a fleet without any is retired."""
        shift, last = rollout.shifts[0], len(rollout.shifts) == 1
        if last and rollout.reason is None:
            wait = rollout.since + deployments.times(endpoint.deployment).termination
            while (left := wait - self._clock()) > 0:
                await self._around.sleep(left)
        for fleet, runs, wanted in (
            (endpoint.serving, rollout.serving, shift.serving),
            (endpoint.target, rollout.target, shift.target),
        ):
            if fleet is not None and runs != wanted and any(wanted):
                reason = await attempt(self._fleets.resize(sized(fleet, wanted).specs))
                if reason is not None:
                    await self.give_up(endpoint, reason)
                    return
        await self._change(endpoint, lambda now: shifted(now, self._clock()))

    async def _grow(self, endpoint: Endpoint, rollout: Rollout) -> str | None:
        serving, target = deployments.grown(rollout)
        reason = await self._bring(endpoint.target, rollout.target, target)
        return reason or await self._bring(endpoint.serving, rollout.serving, serving)

    async def _bring(self, fleet: Fleet | None, runs: Counts, wanted: Counts) -> str | None:
        if fleet is None or runs == wanted:
            return None
        if not any(runs):
            return await start(self._fleets, sized(fleet, wanted) if fleet.specs else fleet)
        return await attempt(self._fleets.resize(sized(fleet, wanted).specs))

    async def _in_time(
        self, endpoint: Endpoint, rollout: Rollout, work: Coroutine[Any, Any, str | None]
    ) -> str | None:
        """Do that work, or say that the update's time was over first."""
        times = deployments.times(endpoint.deployment)
        limit = _deadline(rollout, times)
        if limit is None:
            return await work
        working = asyncio.create_task(work, name="update")
        left = max(limit - self._clock(), 0)
        alarm = asyncio.create_task(_slept(self._around.sleep(left)), name="update's time limit")
        try:
            await asyncio.wait((working, alarm), return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else _too_long(times)
        finally:
            for task in (working, alarm):
                task.cancel()
            await asyncio.wait((working, alarm))

    async def _tripped(self, names: tuple[str, ...]) -> str | None:
        if self._around.alarm_state is None:
            return None
        states = {name: await self._around.alarm_state(name) for name in names}
        tripped = [name for name, state in states.items() if state == "ALARM"]
        if not tripped:
            return None
        return f"The deployment was rolled back: alarm {', '.join(tripped)} is in state ALARM."

    async def _to(self, endpoint: Endpoint, stage: Stage, **changes: Any) -> None:
        change = partial(at_stage, stage=stage, now=self._clock(), **changes)
        await self._change(endpoint, change)

    async def give_up(self, endpoint: Endpoint, reason: str) -> None:
        """Roll an update back; one that is being rolled back stays as it stands."""
        rollout = endpoint.rollout
        change = stuck if rollout is not None and rollout.reason is not None else rolling_back
        await self._change(endpoint, lambda now: change(now, reason, self._clock()))

    _STAGES: ClassVar[dict[Stage, Callable[[Updates, Endpoint, Rollout], Awaitable[None]]]] = {
        "Creating": _create,
        "ActivatingTraffic": _activate,
        "Baking": _bake,
        "Deleting": _delete,
    }


async def _slept(sleep: Awaitable[None]) -> None:
    await sleep


def _deadline(rollout: Rollout, times: deployments.Times) -> float | None:
    """When the time of an update is over; a rollback takes as long as it takes."""
    if times.limit is None or rollout.reason is not None:
        return None
    return rollout.began + times.limit


def _too_long(times: deployments.Times) -> str:
    return (
        f"The deployment did not complete within MaximumExecutionTimeoutInSeconds "
        f"({times.limit:g} seconds)."
    )

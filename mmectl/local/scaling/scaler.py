"""Scales variants: follows the schedules, looks at the datapoints, asks for instances, waits.

Every second it looks what has to be done; every period a datapoint of each variant is complete.
Nothing is scaled while the endpoint is being changed. An activity that a restart interrupts has
failed, and the next look begins a new one where that is still wanted.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone

from mmectl.base.schedules import read
from mmectl.local.metrics.background import Background
from mmectl.local.scaling.counts import Counts
from mmectl.local.scaling.records import Records
from mmectl.local.scaling.tracking import BELOW, wish, within
from mmectl.local.scaling.values import Capacity, Endpoints, Part, Target
from mmectl.local.values import AwsError

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds between two looks
PERIOD = 60.0  # seconds of a datapoint, as CloudWatch has them
MINUTE = 60.0
_MOST_TIMES = 10_000  # times of one schedule that are caught up with after a stop
AGAIN = 60.0  # seconds after an activity that failed
_WATCH = 0.5  # seconds between two looks at an activity


class Scaler:
    """`period` is the length of a datapoint in seconds; values are per minute all the same."""

    def __init__(
        self,
        records: Records,
        endpoints: Endpoints,
        counts: Counts,
        *,
        period: float = PERIOD,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._records, self._endpoints, self._counts = records, endpoints, counts
        self._period, self._clock, self._sleep = period, clock, sleep
        self._points: dict[str, deque[float]] = {}
        self._due = 0.0
        self._busy: dict[str, asyncio.Task[None]] = {}  # by endpoint: one change at a time
        self._failed: dict[str, float] = {}  # by endpoint: when its last activity failed
        self._background = Background("autoscaling")

    async def open(self, *, begin: bool = True) -> None:
        """Read the records and begin to look, or leave that to the caller."""
        await self._records.open()
        for activity in self._records.state.activities:
            if activity["StatusCode"] == "InProgress":
                _end(activity, self._clock(), "Failed", "The platform was stopped meanwhile.")
        self._begin_period()
        if begin:
            self._background.repeat(
                self.look,
                lambda: self._sleep(min(EVERY, self._period)),
                "the variants could not be scaled",
            )

    async def close(self) -> None:
        """Look no more; twice is fine. What was asked for goes on."""
        await self._background.stop()
        for task in self._busy.values():
            task.cancel()
        if self._busy:
            await asyncio.wait(self._busy.values())

    async def idle(self) -> None:
        """Wait until no activity is under way."""
        while self._busy:
            await asyncio.wait(self._busy.values())

    async def look(self) -> None:
        """Look once."""
        now = self._clock()
        complete = now >= self._due
        await self._follow_schedules(now)
        if complete:
            await self._add_points()
        for target in list(self._records.state.targets.values()):
            if self._may(target, now):
                await self._see_to(target, judged=complete)
        if complete:
            self._begin_period()

    def _may(self, target: Target, now: float) -> bool:
        endpoint, _ = target.place
        return endpoint not in self._busy and now >= self._failed.get(endpoint, 0.0) + AGAIN

    # schedules

    async def _follow_schedules(self, now: float) -> None:
        """Set the limits of every scheduled action that was due since the last look."""
        state = self._records.state
        since, state.checked = min(state.checked or now, now), now
        due = [
            (moment, target, action)
            for target in state.targets.values()
            if not target.suspended.get("ScheduledScalingSuspended")
            for action in target.actions.values()
            if (moment := last_time(action, since, now)) is not None
        ]
        for _, target, action in sorted(due, key=lambda one: one[0]):
            change = action["ScalableTargetAction"]
            target.low = change.get("MinCapacity", target.low)
            target.high = change.get("MaxCapacity", target.high)
            target.low = min(target.low, target.high)
            target.cause = f"scheduled action name {action['ScheduledActionName']} was triggered"
        if due:
            await self._records.save()

    # datapoints

    def _begin_period(self) -> None:
        now = self._clock()
        self._due = (now // self._period + 1) * self._period

    async def _add_points(self) -> None:
        """Complete a datapoint of every variant: invocations per instance and minute."""
        counted = self._counts.take()
        points: dict[str, deque[float]] = {}
        for name, target in self._records.state.targets.items():
            found = await self._endpoints.capacity(*target.place)
            points[name] = self._points.get(name, deque(maxlen=BELOW))
            if found is not None:
                per_instance = counted[target.place] / max(found.running, 1)
                points[name].append(per_instance * MINUTE / self._period)
        self._points = points

    # activities

    async def _see_to(self, target: Target, *, judged: bool) -> None:
        found = await self._endpoints.capacity(*target.place)
        if found is None or found.status == "Deleting":
            await self._forget(target)
            return
        if found.status != "InService":
            return
        if target.cause is not None:
            wanted, cause = within(target, found.desired), target.cause
            if wanted == found.desired:
                target.cause = None
                await self._records.save()
                return
        else:
            points = self._points.get(target.resource, ())
            wish_ = wish(target, list(points), found.desired, self._clock()) if judged else None
            if wish_ is None:
                return
            wanted, cause = wish_.count, wish_.cause
        self._begin(target, found, wanted, cause)

    async def _forget(self, target: Target) -> None:
        """An endpoint that goes takes its scalable targets with it, as on AWS."""
        self._records.state.targets.pop(target.resource, None)
        await self._records.save()

    def _begin(self, target: Target, found: Capacity, wanted: int, cause: str) -> None:
        work = self._scale(target, found, wanted, cause)
        task = asyncio.create_task(work, name=f"scaling {target.resource}")
        endpoint, _ = target.place
        self._busy[endpoint] = task
        task.add_done_callback(lambda done: self._ended(endpoint, done))

    def _ended(self, endpoint: str, task: asyncio.Task[None]) -> None:
        self._busy.pop(endpoint, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("scaling %s: %s", endpoint, error, exc_info=error)

    async def _scale(self, target: Target, found: Capacity, wanted: int, cause: str) -> None:
        """One activity, until the endpoint has the instances or has not."""
        activity = self._activity(target, wanted, cause)
        self._records.note(activity)
        await self._records.save()
        try:
            await self._endpoints.scale(*target.place, wanted)
            reason = await self._outcome(target, wanted)
        except AwsError as error:
            reason = error.message
        now = self._clock()
        if reason is None:
            text = f"Successfully set desired instance count to {wanted}. Change successfully "
            _end(activity, now, "Successful", f"{text}fulfilled by sagemaker.")
            if within(target, wanted) == wanted:  # other limits may have been set meanwhile
                target.cause = None
        else:
            text = f"Failed to set desired instance count to {wanted}. Reason: {reason}"
            _end(activity, now, "Failed", text)
            self._failed[target.place[0]] = now
        if wanted > found.desired:
            target.grown = now
        else:
            target.shrunk = now
        log.info("%s: %s", target.resource, activity["StatusMessage"])
        await self._records.save()

    def _activity(self, target: Target, wanted: int, cause: str) -> Part:
        return {
            "ActivityId": str(uuid.uuid4()),
            **target.key(),
            "Description": f"Setting desired instance count to {wanted}.",
            "Cause": cause,
            "StartTime": self._clock(),
            "StatusCode": "InProgress",
            "StatusMessage": f"Setting desired instance count to {wanted}.",
        }

    async def _outcome(self, target: Target, wanted: int) -> str | None:
        """Why the endpoint has not got the instances; None where it has them."""
        while True:
            await self._sleep(min(_WATCH, self._period))
            found = await self._endpoints.capacity(*target.place)
            if found is None:
                return "The endpoint was deleted."
            if found.status == "Updating":
                continue
            if (found.running, found.desired) == (wanted, wanted):
                return None
            return found.reason or f"it has {found.running} instances and is {found.status}"


def _end(activity: Part, now: float, code: str, text: str) -> None:
    activity |= {"EndTime": now, "StatusCode": code, "StatusMessage": text}


def last_time(action: Part, since: float, until: float) -> float | None:
    """When a scheduled action was due last, after `since`; None for not at all."""
    begins = action.get("StartTime", since)
    if begins > until:
        return None
    schedule = read(action["Schedule"], action.get("Timezone"))
    moment, found = _moment(max(since, begins - 1)), None
    for _ in range(_MOST_TIMES):
        following = schedule.next(moment)
        if following is None or following.timestamp() > min(until, action.get("EndTime", until)):
            break
        moment = found = following
    return found.timestamp() if found else None


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)

"""Waits for endpoint states on AWS, with a clock that tests control.

We poll ourselves: botocore's waiters look every 30 s and give no reason for a failure. What AWS
shows may be older than what it accepted, for seconds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmectl.base.errors import DeployError, ServiceError
from mmectl.base.values import Event
from mmectl.planning.control_plane import IN_PROGRESS, ControlPlane
from mmectl.planning.observed import Observed
from mmectl.planning.serving import attempted
from mmectl.planning.step import Step
from mmectl.spec.capacity import Capacities, reached, summary
from mmectl.spec.capacity import desired as capacities_of
from mmectl.spec.desired import Desired
from mmectl.spec.policy import progress
from mmectl.spec.tags import Update, moment, noted_update

LOG_LINES = 15
# Seconds for which what AWS shows may still be older than what we asked for.
LAG = 30.0
BLIPS = 5  # descriptions in a row that may fail while we wait


@dataclass(frozen=True, slots=True)
class Timing:
    """How we wait, all in seconds; clock and sleep are handed in so that tests can turn them."""

    timeout: float = 1800.0
    first: float = 0.5
    longest: float = 15.0
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def pauses(self) -> Iterator[float]:
        """Yield the time since the start before every look, until the deadline has passed."""
        start, pause = self.clock(), self.first
        while (elapsed := self.clock() - start) <= self.timeout:
            yield elapsed
            self.sleep(min(pause * (0.75 + self.jitter() / 2), self.timeout))
            pause = min(pause * 1.3, self.longest)


def looks(
    aws: ControlPlane, name: str, timing: Timing
) -> Iterator[tuple[float, Mapping[str, Any] | None]]:
    """Describe the endpoint again and again; one that fails now and then ends no long wait."""
    failed = 0
    for elapsed in timing.pauses():
        try:
            found = aws.describe_endpoint(name)
        except ServiceError:
            failed += 1
            if failed > BLIPS:
                raise
        else:
            failed = 0
            yield elapsed, found


def await_serving(
    aws: ControlPlane, wanted: Desired, timing: Timing, *, before: Observed | None = None
) -> Iterator[Event]:
    """Wait until the endpoint serves the wanted configuration.

    InService alone is no success: a rolled-back update ends InService with the old one. `before`
    is what AWS showed before the change was asked for, and may show for a while after it.
    """
    name, since = wanted.endpoint, timing.now()
    before = before or Observed()
    previous = before.config
    yield Event("start", name, "waiting for InService")
    for elapsed, described in looks(aws, name, timing):
        found = described or {}
        status = found.get("EndpointStatus")
        if status == "InService" and found.get("EndpointConfigName") == wanted.config:
            yield Event("done", name, f"InService after {elapsed:.1f} s, serving {wanted.config}")
            return
        shown = found.get("EndpointConfigName"), found.get("FailureReason")
        stale = (shown == (previous, before.reason) and _unmodified(found, before)) or not found
        if status not in IN_PROGRESS and not (stale and elapsed < LAG):
            raise _failure(aws, wanted, found, previous, since)
        yield Event("progress", name, progress(found), int(elapsed), None, "s")
    raise DeployError(
        f"endpoint {name} is not InService after {timing.timeout:.0f} s; SageMaker goes on",
        hint="see: mmectl status; to go on waiting: mmectl wait",
        code="deploy_timeout",
    )


def _unmodified(found: Mapping[str, Any], before: Observed) -> bool:
    return bool(found.get("LastModifiedTime") == before.modified)


def await_scaled(
    aws: ControlPlane, step: Step, timing: Timing, *, before: Observed | None = None
) -> Iterator[Event]:
    """Wait until the endpoint has the counts and weights that the step asked for.

    InService alone is no success: SageMaker may have found no instances. Raises DeployError.
    """
    name, before = step.name, before or Observed()
    wanted = step.request["DesiredWeightsAndCapacities"]
    yield Event("start", name, "waiting for the instances")
    for elapsed, described in looks(aws, name, timing):
        found = described or {}
        status = found.get("EndpointStatus")
        if status == "InService" and reached(found, wanted):
            said = summary(capacities_of(found))
            yield Event("done", name, f"InService after {elapsed:.1f} s, {said}")
            return
        stale = found.get("FailureReason") == before.reason and _unmodified(found, before)
        if status not in IN_PROGRESS and not (stale and elapsed < LAG):
            raise _not_scaled(name, found)
        yield Event("progress", name, progress(found), int(elapsed), None, "s")
    raise DeployError(
        f"endpoint {name} is not scaled after {timing.timeout:.0f} s; SageMaker goes on",
        hint="see: mmectl status; to go on waiting: mmectl wait",
        code="deploy_timeout",
    )


def _not_scaled(name: str, found: Mapping[str, Any]) -> DeployError:
    if not found:
        return _elsewhere(f"endpoint {name} was deleted meanwhile")
    reason = found.get("FailureReason") or (
        "SageMaker gives no reason; autoscaling or somebody else may have changed it meanwhile"
    )
    return DeployError(
        f"endpoint {name} was not scaled: {reason}"
        f"\nit is {found.get('EndpointStatus')}, with {summary(capacities_of(found))}",
        hint="see: mmectl status; to try again: mmectl deploy, or mmectl scale",
        code="not_scaled",
    )


def await_outcome(aws: ControlPlane, name: str, timing: Timing) -> Iterator[Event]:
    """Wait until nobody's change of the endpoint is under way; the last event tells the outcome.

    Raises DeployError: the endpoint does not exist or serves nothing; code ``rolled_back`` where
    it serves another configuration than the last change was to bring, ``not_scaled`` where it
    has other instance counts or weights than that.
    """
    wanted: str | None = None
    sizes: Capacities | None = None
    for elapsed, described in looks(aws, name, timing):
        found = described or {}
        wanted = attempted(found) or wanted
        settled = found.get("EndpointStatus") not in IN_PROGRESS
        noted = noted_update(aws.tags("endpoint", name)) if found and settled else Update()
        if settled and not (elapsed < LAG and _is_unseen(found, noted)):
            if sizes and found and wanted is None and sizes != capacities_of(found):
                raise _not_scaled(name, found)
            yield _outcome(name, found, wanted, noted, elapsed)
            return
        sizes = capacities_of(found)
        yield Event("progress", name, progress(found), int(elapsed), None, "s")
    raise _still_changing(name, timing, "see: mmectl status; to go on waiting: mmectl wait")


def _is_unseen(found: Mapping[str, Any], noted: Update) -> bool:
    """Whether an update was asked for, and the endpoint is shown as it was before that."""
    if noted.wanted in (None, found.get("EndpointConfigName")):
        return False
    return noted.modified == moment(found.get("LastModifiedTime"))


def _outcome(
    name: str,
    found: Mapping[str, Any],
    wanted: str | None,
    noted: Update,
    elapsed: float,
) -> Event:
    status, reason = found.get("EndpointStatus"), found.get("FailureReason")
    if status is None:
        raise DeployError(f"endpoint {name} does not exist", hint="mmectl deploy", code="not_found")
    serving = found.get("EndpointConfigName")
    failed = reason and not _is_unseen(found, noted)
    wanted = wanted or (noted.wanted if failed else serving)
    if status == "InService" and serving == (wanted or serving):
        return Event("done", name, f"InService after {elapsed:.1f} s, serving {serving}")
    if status == "InService":
        raise rolled_back(name, str(wanted), serving, reason)
    raise DeployError(
        f"endpoint {name} is {status}: {reason or 'SageMaker gives no reason'}",
        hint="fix the cause and run: mmectl deploy (or remove it: mmectl destroy)",
        code="endpoint_failed",
    )


def rolled_back(name: str, wanted: str, serving: str | None, reason: str | None) -> DeployError:
    """The error for an update that SageMaker took back."""
    reason = reason or (
        "SageMaker gives no reason; autoscaling or somebody else may have changed it since"
    )
    return DeployError(
        f"the update of {name} to {wanted} was rolled back: {reason}\nstill serving: {serving}",
        hint="fix the cause and run: mmectl deploy (to try the same update: mmectl deploy --again)",
        code="rolled_back",
    )


def _failure(
    aws: ControlPlane,
    wanted: Desired,
    found: Mapping[str, Any],
    previous: str | None,
    since: float,
) -> DeployError:
    reason = found.get("FailureReason") or "SageMaker gives no reason"
    status = found.get("EndpointStatus") or "gone"
    if status == "gone":
        return _elsewhere(f"endpoint {wanted.endpoint} was deleted meanwhile, not by this deploy")
    if status == "InService" and found.get("EndpointConfigName") != previous:
        config = found.get("EndpointConfigName")
        return _elsewhere(f"somebody else deployed {config} to {wanted.endpoint} meanwhile")
    hint = "fix the cause and run: mmectl deploy (or remove it: mmectl destroy)"
    code = "endpoint_failed"
    if status == "InService":
        told = found.get("FailureReason")
        taken_back = rolled_back(wanted.endpoint, wanted.config, previous, told)
        text, hint, code = taken_back.message, str(taken_back.hint), taken_back.code
    elif status == "UpdateRollbackFailed":
        code = "rollback_failed"
        text = f"the update of {wanted.endpoint} failed, and so did its rollback: {reason}"
        text += f"\nserving: instances of {previous} and of {wanted.config}, mixed"
    else:
        text = f"endpoint {wanted.endpoint} is {status}: {reason}"
        text += f"\nserving: nothing{f' (was {previous})' if previous else ''}"
    lines = aws.log_tail(wanted.endpoint, LOG_LINES, since)
    if lines:
        text += "\nlast log lines of the containers:" + "".join(f"\n  {line}" for line in lines)
    return DeployError(text, hint=hint, code=code)


def _elsewhere(text: str) -> DeployError:
    return DeployError(text, hint="see: mmectl status; then: mmectl deploy", code="overtaken")


def await_gone_or_settled(aws: ControlPlane, name: str, timing: Timing) -> Iterator[Event]:
    """Wait while somebody's change of the endpoint is under way."""
    for elapsed, found in looks(aws, name, timing):
        status = (found or {}).get("EndpointStatus")
        if status not in IN_PROGRESS:
            return
        yield Event("progress", name, str(status), int(elapsed), None, "s")
    raise _still_changing(name, timing, "see: mmectl status")


def _still_changing(name: str, timing: Timing, hint: str) -> DeployError:
    text = f"endpoint {name} is still being changed after {timing.timeout:.0f} s"
    return DeployError(text, hint=hint, code="deploy_timeout")


def await_gone(
    aws: ControlPlane, name: str, timing: Timing, *, before: Mapping[str, Any] | None = None
) -> Iterator[Event]:
    """Wait until the endpoint is gone. Raises DeployError with the reason where it stays.

    `before` is what AWS showed before the removal was asked for, and may show for a while.
    """
    for elapsed, found in looks(aws, name, timing):
        if found is None:
            return
        stale = elapsed < LAG and found == before
        if found.get("EndpointStatus") not in IN_PROGRESS and not stale:
            reason = found.get("FailureReason")
            if reason is None:
                status = found.get("EndpointStatus")
                raise _elsewhere(
                    f"endpoint {name} is {status} again: somebody deployed it meanwhile"
                )
            raise DeployError(
                f"endpoint {name} could not be deleted: {reason}",
                hint="try: mmectl destroy",
                code="not_removed",
            )
        yield Event("progress", name, "Deleting", int(elapsed), None, "s")
    raise DeployError(
        f"endpoint {name} is still there after {timing.timeout:.0f} s; SageMaker goes on deleting",
        hint="run again: mmectl destroy",
        code="deploy_timeout",
    )

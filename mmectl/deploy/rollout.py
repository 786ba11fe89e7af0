"""Carrying plans out: deploy, wait, destroy; yields what happens.

We poll ourselves, with a clock that tests turn: botocore's waiters look every 30 s and give no
reason for a failure. What AWS shows may be older than what it accepted, for seconds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmectl.base.errors import DeployError, ServiceError
from mmectl.base.values import Event
from mmectl.endpoint import IN_PROGRESS, ControlPlane, Desired, Plan, Step, observe, plan, removal
from mmectl.spec.policy import progress

LOG_LINES = 15
# Seconds for which what AWS shows may still be older than what we asked for.
LAG = 30.0
# "Could not assume role", or that its policy must allow "sts:AssumeRole"
_ASSUMED = "assumerole"
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


def deploy(
    aws: ControlPlane, wanted: Desired, *, timing: Timing, wait: bool = True
) -> Iterator[Event]:
    """Observe, plan and execute until the endpoint is as wanted; yields what happens.

    With `wait` False it returns as soon as the change is accepted. Raises DeployError with
    FailureReason and the containers' last log lines.
    """
    for _ in range(4):
        found = observe(aws, wanted)
        steps = plan(wanted, found)
        if not steps:
            yield Event("done", wanted.endpoint, f"up to date, serving {wanted.config}")
            return
        yield from execute(aws, steps, timing=timing, serving=found.config)
        if not wait:
            return
        if steps[-1].action == "Wait":
            yield from await_gone_or_settled(aws, wanted.endpoint, timing)
            continue
        yield from await_serving(aws, wanted, timing, previous=found.config)
        return
    raise DeployError(
        f"endpoint {wanted.endpoint} keeps changing: somebody else is deploying it",
        hint="look with: mmectl status",
    )


def execute(
    aws: ControlPlane, steps: Plan, *, timing: Timing, serving: str | None = None
) -> Iterator[Event]:
    """Take the steps in order; each is accepted by AWS before the next one begins."""
    for step in steps:
        yield Event("start", str(step), step.why)
        yield from _take(aws, step, timing)
        yield Event("done", str(step), f"instead of {serving}" if "Update" in step.action else "")


def _take(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    if step.action == "CreateModel":
        _create_model(aws, step.request, timing)
    elif step.action == "CreateEndpointConfig":
        aws.create_endpoint_config(step.request)
    elif step.action == "CreateEndpoint":
        aws.create_endpoint(step.request)
    elif step.action == "UpdateEndpoint":
        aws.update_endpoint(step.request)
    elif step.action == "AddTags":
        aws.add_tags(step.request["kind"], step.name, step.request["tags"])
    elif step.action == "DeleteTags":
        aws.delete_tags(step.request["kind"], step.name, step.request["keys"])
    elif step.action == "DeleteEndpoint":
        yield from _delete_endpoint(aws, step.name, timing)
    elif step.action == "DeleteEndpointConfig":
        aws.delete_endpoint_config(step.name)
    elif step.action == "DeleteModel":
        aws.delete_model(step.name)


def _create_model(aws: ControlPlane, request: Mapping[str, Any], timing: Timing) -> None:
    """IAM takes seconds to spread a role that was just made: then ask again."""
    for elapsed in timing.pauses():
        try:
            aws.create_model(request)
        except ServiceError as error:
            if _ASSUMED not in error.message.lower().replace(" ", "") or elapsed > LAG:
                raise
        else:
            return


def _looks(
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
    aws: ControlPlane, wanted: Desired, timing: Timing, *, previous: str | None = None
) -> Iterator[Event]:
    """Wait until the endpoint serves the wanted configuration.

    InService alone is no success: a rolled-back update ends InService with the old one.
    """
    name, since = wanted.endpoint, timing.now()
    yield Event("start", name, "waiting for InService")
    for elapsed, described in _looks(aws, name, timing):
        found = described or {}
        status = found.get("EndpointStatus")
        if status == "InService" and found.get("EndpointConfigName") == wanted.config:
            yield Event("done", name, f"InService after {elapsed:.1f} s, serving {wanted.config}")
            return
        stale = found.get("EndpointConfigName") == previous and not found.get("FailureReason")
        if status not in IN_PROGRESS and not (stale and elapsed < LAG):
            raise _failure(aws, wanted, found, previous, since)
        yield Event("progress", name, progress(found), int(elapsed), None, "s")
    raise DeployError(
        f"endpoint {name} is not InService after {timing.timeout:.0f} s; SageMaker goes on",
        hint="follow it with: mmectl status; wait on with: mmectl deploy",
        code="deploy_timeout",
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
    if status == "InService":
        text = f"the update of {wanted.endpoint} was rolled back: {reason}"
        text += f"\nstill serving: {found.get('EndpointConfigName')}"
    elif status == "UpdateRollbackFailed":
        text = f"the update of {wanted.endpoint} failed, and so did its rollback: {reason}"
        text += f"\nserving: instances of {previous} and of {wanted.config}, mixed"
    else:
        text = f"endpoint {wanted.endpoint} is {status}: {reason}"
        text += f"\nserving: nothing{f' (was {previous})' if previous else ''}"
    lines = aws.log_tail(wanted.endpoint, LOG_LINES, since)
    if lines:
        text += "\nthe containers' last words:" + "".join(f"\n  {line}" for line in lines)
    return DeployError(text, hint="mend it and run: mmectl deploy (remove it with: mmectl destroy)")


def _elsewhere(text: str) -> DeployError:
    return DeployError(text, hint="look with: mmectl status; then: mmectl deploy", code="overtaken")


def await_gone_or_settled(aws: ControlPlane, name: str, timing: Timing) -> Iterator[Event]:
    """Wait while somebody's change of the endpoint is under way."""
    for elapsed, found in _looks(aws, name, timing):
        status = (found or {}).get("EndpointStatus")
        if status not in IN_PROGRESS:
            return
        yield Event("progress", name, str(status), int(elapsed), None, "s")
    raise DeployError(
        f"endpoint {name} is still being changed after {timing.timeout:.0f} s",
        hint="look with: mmectl status",
        code="deploy_timeout",
    )


def _delete_endpoint(aws: ControlPlane, name: str, timing: Timing) -> Iterator[Event]:
    """AWS may refuse while a change is under way: then wait for its end and ask again."""
    try:
        aws.delete_endpoint(name)
    except ServiceError:
        if (aws.describe_endpoint(name) or {}).get("EndpointStatus") not in IN_PROGRESS:
            raise
        yield from await_gone_or_settled(aws, name, timing)
        if aws.describe_endpoint(name) is None:
            return
        aws.delete_endpoint(name)
    yield from _await_gone(aws, name, timing)


def _await_gone(aws: ControlPlane, name: str, timing: Timing) -> Iterator[Event]:
    for elapsed, found in _looks(aws, name, timing):
        if found is None:
            return
        if found.get("EndpointStatus") not in IN_PROGRESS:
            reason = found.get("FailureReason")
            if reason is None:
                status = found.get("EndpointStatus")
                raise _elsewhere(
                    f"endpoint {name} is {status} again: somebody deployed it meanwhile"
                )
            raise DeployError(
                f"endpoint {name} could not be deleted: {reason}", hint="try: mmectl destroy"
            )
        yield Event("progress", name, "Deleting", int(elapsed), None, "s")
    raise DeployError(
        f"endpoint {name} is still there after {timing.timeout:.0f} s; SageMaker goes on deleting",
        hint="run again: mmectl destroy",
        code="deploy_timeout",
    )


def destroy(aws: ControlPlane, name: str, *, timing: Timing) -> Iterator[Event]:
    """Remove endpoint, configurations and models, then look whether they are gone."""
    steps = removal(aws, name)
    yield from execute(aws, steps, timing=timing)
    left = steps
    for elapsed in timing.pauses():
        left = tuple(step for step in left if _exists(aws, step))
        if not left or elapsed > LAG:
            break
    if left:
        raise DeployError(
            "still there after removal: " + ", ".join(step.name for step in left),
            hint="run again: mmectl destroy",
        )
    yield Event("done", name, "nothing is left: endpoint, configurations and models are gone")


def _exists(aws: ControlPlane, removed: Step) -> bool:
    describe = {
        "DeleteEndpoint": aws.describe_endpoint,
        "DeleteEndpointConfig": aws.describe_endpoint_config,
        "DeleteModel": aws.describe_model,
    }[removed.action]
    return describe(removed.name) is not None

"""The steps that change an endpoint: each waits until AWS shows what it has accepted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from mmectl.base.errors import ServiceError
from mmectl.base.values import Event
from mmectl.deploy.persist import BEGUN, not_seen, persist
from mmectl.deploy.update_note import write_note
from mmectl.deploy.wait import LAG, Timing, await_gone, await_gone_or_settled
from mmectl.planning.control_plane import IN_PROGRESS, ControlPlane
from mmectl.planning.serving import attempted
from mmectl.planning.step import Step
from mmectl.spec.capacity import reached
from mmectl.spec.tags import UPDATE_TAG, update_note

# what was surely not done; after any other failure it may have been
_REFUSED = (
    "aws_ValidationException",
    "aws_ResourceLimitExceeded",
    "aws_AccessDeniedException",
    "aws_ThrottlingException",
)
# SageMaker developer guide, deployment-guardrails-configuration
_WATCHES = (
    "the execution role, too, needs cloudwatch:DescribeAlarms on the alarms of update.alarms: "
    "SageMaker watches them in its name"
)


def create_endpoint(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    """It is built on a configuration that was made just now, and may not be seen yet."""
    there = lambda: _brings(aws, step)  # noqa: E731
    persist(lambda: aws.create_endpoint(step.request), timing, not_seen, there)
    _await_shown(aws, step, timing, {})
    return iter(())


def update_endpoint(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    """Update it, and note on it before what to: SageMaker forgets what it has rolled back."""
    before = aws.describe_endpoint(step.name) or {}
    begun = lambda: _brings(aws, step, before)  # noqa: E731
    earlier = aws.tags("endpoint", step.name).get(UPDATE_TAG)
    known = before.get("EndpointConfigName"), before.get("LastModifiedTime")
    note = update_note(step.request["EndpointConfigName"], *known)[UPDATE_TAG]
    write_note(aws, step.name, note, timing)
    try:
        persist(lambda: aws.update_endpoint(step.request), timing, not_seen, begun)
    except ServiceError as error:
        if error.code in _REFUSED and BEGUN not in error.message.lower():
            with contextlib.suppress(ServiceError):  # what was met before is what counts
                write_note(aws, step.name, earlier, timing)
        if "DeploymentConfig" not in step.request or "alarm" not in error.message.lower():
            raise
        raise ServiceError(error.message, hint=_WATCHES, code=error.code) from error
    _await_shown(aws, step, timing, before)
    return iter(())


def scale(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    """Change counts and weights in place."""
    listed = step.request["DesiredWeightsAndCapacities"]

    def begun() -> bool | None:
        return reached(aws.describe_endpoint(step.name) or {}, listed, running=False) or None

    before = aws.describe_endpoint(step.name) or {}
    persist(lambda: aws.update_capacities(step.request), timing, lambda _: False, begun)
    _await_shown(aws, step, timing, before)
    return iter(())


def delete_endpoint(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    """AWS may refuse while a change is under way: then wait for its end and ask again."""
    name = step.name
    met: ServiceError | None = None
    for _ in timing.pauses():
        before = aws.describe_endpoint(name)
        try:
            aws.delete_endpoint(name)
        except ServiceError as error:
            met = error
            busy = (aws.describe_endpoint(name) or {}).get("EndpointStatus") in IN_PROGRESS
            if not busy and BEGUN not in error.message.lower():
                raise
            yield from await_gone_or_settled(aws, name, timing)
            if aws.describe_endpoint(name) is None:
                return
        else:
            yield from await_gone(aws, name, timing, before=before)
            return
    if met is not None:  # the time is over, and it is there still
        raise met


def _await_shown(aws: ControlPlane, step: Step, timing: Timing, before: Mapping[str, Any]) -> None:
    """Wait for AWS to show what it has accepted, so that whoever looks next is told the truth."""
    with contextlib.suppress(ServiceError):  # it is accepted, whether or not we may look
        for elapsed in timing.pauses():
            found = aws.describe_endpoint(step.name)
            if (found is not None and found != before) or elapsed > LAG:
                return


def _brings(aws: ControlPlane, step: Step, before: Mapping[str, Any] | None = None) -> bool | None:
    """Whether the endpoint is being brought to what the step asks for, or has it already.

    So it is, too, where a change was taken back since `before`. None where AWS shows neither this
    nor another change.
    """
    found = aws.describe_endpoint(step.name) or {}
    wanted, coming = step.request["EndpointConfigName"], attempted(found)
    if wanted in (coming, found.get("EndpointConfigName")):
        return True
    if coming is not None:
        return False
    taken_back = before is not None and all(
        found.get(key) != before.get(key) for key in ("LastModifiedTime", "FailureReason")
    )
    return True if taken_back else None

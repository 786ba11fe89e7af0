"""The table of a plan's actions: how each step is executed and verified on AWS.

A new step is one row of ACTIONS. What a plan names and no row knows is refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from mmectl.base.errors import DeployError, ServiceError
from mmectl.base.values import Event
from mmectl.deploy.wait import LAG, Timing, await_gone, await_gone_or_settled
from mmectl.endpoint import IN_PROGRESS, ControlPlane, Step, attempted
from mmectl.spec.capacity import reached
from mmectl.spec.tags import update_note

# "Could not assume role", or that its policy must allow "sts:AssumeRole"
_ASSUMED = "assumerole"
# What a step is built on was made just now, and SageMaker does not see it everywhere yet
# (API reference, CreateEndpoint: "retry logic is recommended")
_NOT_SEEN = "could not find"
# A call whose answer was lost was made; a client that asks again hears so
_MADE, _BEGUN = "already existing", "in-progress"


# SageMaker developer guide, deployment-guardrails-configuration
_WATCHES = (
    "the execution role, too, needs cloudwatch:DescribeAlarms on the alarms of update.alarms: "
    "SageMaker watches them in its name"
)


class Action(NamedTuple):
    """`execute` asks AWS and yields what happens; `exists`: whether what it removed is left."""

    execute: Callable[[ControlPlane, Step, Timing], Iterator[Event]]
    exists: Callable[[ControlPlane, Step], bool] | None = None


def execute(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    """Take one step; it is accepted by AWS at the end. Raises ServiceError, DeployError."""
    return _action(step).execute(aws, step, timing)


def exists(aws: ControlPlane, removed: Step) -> bool:
    """Whether AWS still shows what a step removed."""
    look = _action(removed).exists
    if look is None:
        raise DeployError(f"step {removed} removes nothing that can be verified")
    return look(aws, removed)


def _action(step: Step) -> Action:
    try:
        return ACTIONS[step.action]
    except KeyError:
        raise DeployError(f"unknown step in the plan: {step}", code="unknown_step") from None


def _create_model(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    """IAM takes seconds to spread a role that was just made: then ask again."""
    there = lambda: aws.describe_model(step.name) is not None  # noqa: E731
    try:
        _persist(lambda: aws.create_model(step.request), timing, _not_assumed, there)
    except ServiceError as error:
        if not _not_assumed(error.message.lower()):
            raise
        raise ServiceError(error.message, hint=_access(step.request), code=error.code) from error
    return iter(())


def _not_assumed(text: str) -> bool:
    return _ASSUMED in text.replace(" ", "")


def _access(request: Mapping[str, Any]) -> str:
    """What the role needs: SageMaker has one text for whatever it cannot read of the models.

    Source: SageMaker developer guide, sagemaker-roles, CreateModel API: execution role permissions.
    """
    role = str(request.get("ExecutionRoleArn", "")).rpartition("/")[2]
    url = str(request.get("PrimaryContainer", {}).get("ModelDataUrl", ""))
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return (
        f"the role {role} must trust sagemaker.amazonaws.com, and needs s3:GetObject on "
        f"{bucket}/{prefix}* and s3:ListBucket on {bucket}"
    )


def _create_endpoint_config(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    there = lambda: aws.describe_endpoint_config(step.name) is not None  # noqa: E731
    _persist(lambda: aws.create_endpoint_config(step.request), timing, _not_seen, there)
    return iter(())


def _create_endpoint(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    there = lambda: _brings(aws, step)  # noqa: E731
    _persist(lambda: aws.create_endpoint(step.request), timing, _not_seen, there)
    return iter(())


def _update_endpoint(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    """Update it, and note on it what to: SageMaker forgets what it has rolled back."""
    begun = lambda: _brings(aws, step)  # noqa: E731
    before = aws.describe_endpoint(step.name) or {}
    try:
        _persist(lambda: aws.update_endpoint(step.request), timing, _not_seen, begun)
    except ServiceError as error:
        if "DeploymentConfig" not in step.request or "alarm" not in error.message.lower():
            raise
        raise ServiceError(error.message, hint=_WATCHES, code=error.code) from error
    with contextlib.suppress(ServiceError):  # who may not tag can still update
        known = before.get("EndpointConfigName"), before.get("LastModifiedTime")
        note = update_note(step.request["EndpointConfigName"], *known)
        aws.add_tags("endpoint", step.name, note)
    return iter(())


def _scale(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    listed = step.request["DesiredWeightsAndCapacities"]

    def begun() -> bool:
        return reached(aws.describe_endpoint(step.name) or {}, listed, running=False)

    _persist(lambda: aws.update_capacities(step.request), timing, lambda _: False, begun)
    return iter(())


def _not_seen(text: str) -> bool:
    return _NOT_SEEN in text


def _brings(aws: ControlPlane, step: Step) -> bool:
    """Whether the endpoint is being brought to what the step asks for, or has it already."""
    found = aws.describe_endpoint(step.name) or {}
    wanted = step.request["EndpointConfigName"]
    return wanted in (attempted(found), found.get("EndpointConfigName"))


def _persist(
    call: Callable[[], object],
    timing: Timing,
    passing: Callable[[str], bool],
    made: Callable[[], bool],
) -> None:
    """Call until SageMaker sees what is there, for LAG seconds at most.

    A call that is refused because it was made before, as that of a client whose answer was lost or
    of another deploy of the same, has succeeded where `made` says so: names come from content.
    """
    for elapsed in timing.pauses():
        try:
            call()
        except ServiceError as error:
            text = error.message.lower()
            if (_MADE in text or _BEGUN in text) and made():
                return
            if not passing(text) or elapsed > LAG:
                raise
        else:
            return


def _delete_endpoint(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    """AWS may refuse while a change is under way: then wait for its end and ask again."""
    name = step.name
    try:
        aws.delete_endpoint(name)
    except ServiceError:
        if (aws.describe_endpoint(name) or {}).get("EndpointStatus") not in IN_PROGRESS:
            raise
        yield from await_gone_or_settled(aws, name, timing)
        if aws.describe_endpoint(name) is None:
            return
        aws.delete_endpoint(name)
    yield from await_gone(aws, name, timing)


def _once(call: Callable[[ControlPlane, Step], object]) -> Action:
    """An action that is one request."""

    def execute(aws: ControlPlane, step: Step, _: Timing) -> Iterator[Event]:
        call(aws, step)
        return iter(())

    return Action(execute)


def _removing(
    call: Callable[[ControlPlane, Step], object],
    describe: Callable[[ControlPlane, str], Mapping[str, Any] | None],
) -> Action:
    """An action that removes something, which `describe` shows as long as it is there."""
    return Action(_once(call).execute, lambda aws, step: describe(aws, step.name) is not None)


def _autoscaling(aws: ControlPlane, step: Step) -> None:
    aws.autoscale(step.action, step.request)


def _is_scaled(aws: ControlPlane, step: Step) -> bool:
    """Whether the target, the policy or the scheduled action of a step is there still."""
    endpoint, variant = step.request["ResourceId"].split("/")[1::2]
    names = (step.request.get("PolicyName"), step.request.get("ScheduledActionName"))
    wanted = next((name for name in names if name), None)
    return any(
        wanted is None or wanted in target.names
        for target in aws.scalable_targets(endpoint) or ()
        if target.variant == variant
    )


def _wait(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    """Wait for somebody's change of the endpoint to end."""
    return await_gone_or_settled(aws, step.name, timing)


ACTIONS: Mapping[str, Action] = {
    "Wait": Action(_wait),
    "CreateModel": Action(_create_model),
    "CreateEndpointConfig": Action(_create_endpoint_config),
    "CreateEndpoint": Action(_create_endpoint),
    "UpdateEndpoint": Action(_update_endpoint),
    "Scale": Action(_scale),
    "AddTags": _once(
        lambda aws, step: aws.add_tags(step.request["kind"], step.name, step.request["tags"])
    ),
    "DeleteTags": _once(
        lambda aws, step: aws.delete_tags(step.request["kind"], step.name, step.request["keys"])
    ),
    "DeleteEndpoint": Action(
        _delete_endpoint, lambda aws, step: aws.describe_endpoint(step.name) is not None
    ),
    "DeleteEndpointConfig": _removing(
        lambda aws, step: aws.delete_endpoint_config(step.name),
        lambda aws, name: aws.describe_endpoint_config(name),
    ),
    "DeleteModel": _removing(
        lambda aws, step: aws.delete_model(step.name),
        lambda aws, name: aws.describe_model(name),
    ),
    **dict.fromkeys(
        ("RegisterScalableTarget", "PutScalingPolicy", "PutScheduledAction"), _once(_autoscaling)
    ),
    **dict.fromkeys(
        ("DeleteScalingPolicy", "DeleteScheduledAction", "DeregisterScalableTarget"),
        Action(_once(_autoscaling).execute, _is_scaled),
    ),
}
"""The steps that plans have (`endpoint.plan`, `endpoint.removal`)."""

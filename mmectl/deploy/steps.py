"""The table of a plan's actions: how each step is executed and verified on AWS.

A new step is one row of ACTIONS. What a plan names and no row knows is refused.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from mmectl.base.errors import DeployError, ServiceError
from mmectl.base.values import Event
from mmectl.deploy.wait import LAG, Timing, await_gone, await_gone_or_settled
from mmectl.planning.control_plane import IN_PROGRESS, ControlPlane
from mmectl.planning.serving import attempted
from mmectl.planning.step import Step
from mmectl.spec.capacity import reached
from mmectl.spec.tags import UPDATE_TAG, update_note

# "Could not assume role" is what a role says that has not spread yet; that its policy must allow
# "sts:AssumeRole" stands in every text about models that cannot be read
_UNASSUMED, _ASSUMED = "could not assume role", "assumerole"
YOUNG = 60.0  # seconds after which a role is known everywhere
# What a step is built on was made just now, and SageMaker does not see it everywhere yet
# (API reference, CreateEndpoint: "retry logic is recommended")
_NOT_SEEN = "could not find"
# A call whose answer was lost was made; a client that asks again hears so
_MADE, _BEGUN = "already existing", "in-progress"
_FORBIDDEN = ("aws_AccessDeniedException", "aws_AccessDenied")
_UNANSWERED = 3  # calls without an answer, after each of which nothing was to be seen
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
    there = lambda: aws.describe_model(step.name) is not None or None  # noqa: E731
    role = str(step.request.get("ExecutionRoleArn", ""))
    try:
        _persist(
            lambda: aws.create_model(step.request),
            timing,
            lambda text: _UNASSUMED in text or (_not_assumed(text) and _is_young(aws, role)),
            there,
        )
    except ServiceError as error:
        if not _not_assumed(error.message.lower()):
            raise
        raise ServiceError(error.message, hint=_access(step.request), code=error.code) from error
    return iter(())


def _not_assumed(text: str) -> bool:
    return _ASSUMED in text.replace(" ", "")


def _is_young(aws: ControlPlane, role: str) -> bool:
    """Whether a role may not be known everywhere; also one whose age nobody tells."""
    age = aws.role_age(role)
    return age is None or age < YOUNG


def _access(request: Mapping[str, Any]) -> str:
    """What the role needs: SageMaker has one text for whatever it cannot read of the models.

    Source: SageMaker developer guide, sagemaker-roles, CreateModel API: execution role permissions.
    """
    arn = str(request.get("ExecutionRoleArn", ""))
    role, partition = arn.rpartition("/")[2], arn.split(":")[1] if ":" in arn else "aws"
    url = str(request.get("PrimaryContainer", {}).get("ModelDataUrl", ""))
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    reading = {
        "s3:GetObject": f"arn:{partition}:s3:::{bucket}/{prefix}*",
        "s3:ListBucket": f"arn:{partition}:s3:::{bucket}",
    }
    allowed = [
        {"Effect": "Allow", "Action": action, "Resource": resource}
        for action, resource in reading.items()
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed}, separators=(",", ":"))
    return (
        f"the role {role} must trust sagemaker.amazonaws.com, and needs s3:GetObject on "
        f"{bucket}/{prefix}* and s3:ListBucket on {bucket}: aws iam put-role-policy --role-name "
        f"{role} --policy-name mmectl-models --policy-document '{policy}'"
    )


def _create_endpoint_config(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    there = lambda: aws.describe_endpoint_config(step.name) is not None or None  # noqa: E731
    _persist(lambda: aws.create_endpoint_config(step.request), timing, _not_seen, there)
    return iter(())


def _create_endpoint(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    there = lambda: _brings(aws, step)  # noqa: E731
    _persist(lambda: aws.create_endpoint(step.request), timing, _not_seen, there)
    _await_shown(aws, step, timing, {})
    return iter(())


def _update_endpoint(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    """Update it, and note on it before what to: SageMaker forgets what it has rolled back."""
    before = aws.describe_endpoint(step.name) or {}
    begun = lambda: _brings(aws, step, before)  # noqa: E731
    earlier = aws.tags("endpoint", step.name).get(UPDATE_TAG)
    known = before.get("EndpointConfigName"), before.get("LastModifiedTime")
    note = update_note(step.request["EndpointConfigName"], *known)[UPDATE_TAG]
    _write_note(aws, step.name, note, timing)
    try:
        _persist(lambda: aws.update_endpoint(step.request), timing, _not_seen, begun)
    except ServiceError as error:
        if error.code in _REFUSED and _BEGUN not in error.message.lower():
            with contextlib.suppress(ServiceError):  # what was met before is what counts
                _write_note(aws, step.name, earlier, timing)
        if "DeploymentConfig" not in step.request or "alarm" not in error.message.lower():
            raise
        raise ServiceError(error.message, hint=_WATCHES, code=error.code) from error
    _await_shown(aws, step, timing, before)
    return iter(())


def _scale(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    listed = step.request["DesiredWeightsAndCapacities"]

    def begun() -> bool | None:
        return reached(aws.describe_endpoint(step.name) or {}, listed, running=False) or None

    before = aws.describe_endpoint(step.name) or {}
    _persist(lambda: aws.update_capacities(step.request), timing, lambda _: False, begun)
    _await_shown(aws, step, timing, before)
    return iter(())


def _write_note(aws: ControlPlane, name: str, value: str | None, timing: Timing) -> None:
    """Note an update, until AWS shows the note; who may not tag can still update.

    Any other failure ends the deploy before the update: without the note it might be made twice.
    """
    if value is None:
        aws.delete_tags("endpoint", name, [UPDATE_TAG])
        return
    try:
        aws.add_tags("endpoint", name, {UPDATE_TAG: value})
    except ServiceError as error:
        if error.code not in _FORBIDDEN:
            raise
        return
    for elapsed in timing.pauses():
        if aws.tags("endpoint", name).get(UPDATE_TAG) == value or elapsed > LAG:
            return


def _await_shown(aws: ControlPlane, step: Step, timing: Timing, before: Mapping[str, Any]) -> None:
    """Wait for AWS to show what it has accepted, so that whoever looks next is told the truth."""
    with contextlib.suppress(ServiceError):  # it is accepted, whether or not we may look
        for elapsed in timing.pauses():
            found = aws.describe_endpoint(step.name)
            if (found is not None and found != before) or elapsed > LAG:
                return


def _not_seen(text: str) -> bool:
    return _NOT_SEEN in text


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


def _persist(
    call: Callable[[], object],
    timing: Timing,
    passing: Callable[[str], bool],
    made: Callable[[], bool | None],
) -> None:
    """Call until SageMaker sees what is there, for LAG seconds at most.

    A call that is refused because it was made before, as that of a client whose answer was lost or
    of another deploy of the same, has succeeded where `made` says so: names come from content.
    One without an answer is looked for before it is made again.
    """
    unanswered = 0
    for elapsed in timing.pauses():
        try:
            call()
        except ServiceError as error:
            text = error.message.lower()
            silent = error.code == "unreachable"
            unanswered += silent
            if silent or _MADE in text or _BEGUN in text:
                if _turns_out(made, timing):
                    return
                if silent and unanswered < _UNANSWERED:
                    continue
                raise
            if not passing(text) or elapsed > LAG:
                raise
        else:
            return


def _turns_out(made: Callable[[], bool | None], timing: Timing) -> bool:
    """Look until AWS shows who made what it refuses to make again; False: somebody else."""
    for elapsed in timing.pauses():
        found = made()
        if found is not None or elapsed > LAG:
            return bool(found)
    return False


def _delete_endpoint(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    """AWS may refuse while a change is under way: then wait for its end and ask again."""
    name = step.name
    for _ in timing.pauses():
        before = aws.describe_endpoint(name)
        try:
            aws.delete_endpoint(name)
        except ServiceError as error:
            busy = (aws.describe_endpoint(name) or {}).get("EndpointStatus") in IN_PROGRESS
            if not busy and _BEGUN not in error.message.lower():
                raise
            yield from await_gone_or_settled(aws, name, timing)
            if aws.describe_endpoint(name) is None:
                return
        else:
            yield from await_gone(aws, name, timing, before=before)
            return


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
"""The steps that plans have (`endpoint.plan`, `removal.removal`)."""

"""The table of a plan's actions: how each step is executed and verified on AWS.

A new step is one row of ACTIONS. What a plan names and no row knows is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from mmectl.base.errors import DeployError, ServiceError
from mmectl.base.values import Event
from mmectl.deploy.wait import LAG, Timing, await_gone, await_gone_or_settled
from mmectl.endpoint import IN_PROGRESS, ControlPlane, Step

# "Could not assume role", or that its policy must allow "sts:AssumeRole"
_ASSUMED = "assumerole"


class Action(NamedTuple):
    """`execute` asks AWS and yields what happens; `exists`: whether what it removed is left."""

    execute: Callable[[ControlPlane, Step, Timing], Iterator[Event]]
    exists: Callable[[ControlPlane, str], bool] | None = None


def execute(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    """Take one step; it is accepted by AWS at the end. Raises ServiceError, DeployError."""
    return _action(step).execute(aws, step, timing)


def exists(aws: ControlPlane, removed: Step) -> bool:
    """Whether AWS still shows what a step removed."""
    look = _action(removed).exists
    if look is None:
        raise DeployError(f"step {removed} removes nothing that can be verified")
    return look(aws, removed.name)


def _action(step: Step) -> Action:
    try:
        return ACTIONS[step.action]
    except KeyError:
        raise DeployError(f"unknown step in the plan: {step}", code="unknown_step") from None


def _create_model(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    """IAM takes seconds to spread a role that was just made: then ask again."""
    for elapsed in timing.pauses():
        try:
            aws.create_model(step.request)
        except ServiceError as error:
            if _ASSUMED not in error.message.lower().replace(" ", "") or elapsed > LAG:
                raise
        else:
            break
    return iter(())


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
    return Action(_once(call).execute, lambda aws, name: describe(aws, name) is not None)


def _wait(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    """Wait for somebody's change of the endpoint to end."""
    return await_gone_or_settled(aws, step.name, timing)


ACTIONS: Mapping[str, Action] = {
    "Wait": Action(_wait),
    "CreateModel": Action(_create_model),
    "CreateEndpointConfig": _once(lambda aws, step: aws.create_endpoint_config(step.request)),
    "CreateEndpoint": _once(lambda aws, step: aws.create_endpoint(step.request)),
    "UpdateEndpoint": _once(lambda aws, step: aws.update_endpoint(step.request)),
    "AddTags": _once(
        lambda aws, step: aws.add_tags(step.request["kind"], step.name, step.request["tags"])
    ),
    "DeleteTags": _once(
        lambda aws, step: aws.delete_tags(step.request["kind"], step.name, step.request["keys"])
    ),
    "DeleteEndpoint": Action(
        _delete_endpoint, lambda aws, name: aws.describe_endpoint(name) is not None
    ),
    "DeleteEndpointConfig": _removing(
        lambda aws, step: aws.delete_endpoint_config(step.name),
        lambda aws, name: aws.describe_endpoint_config(name),
    ),
    "DeleteModel": _removing(
        lambda aws, step: aws.delete_model(step.name),
        lambda aws, name: aws.describe_model(name),
    ),
}
"""The steps that plans have (`endpoint.plan`, `endpoint.removal`)."""

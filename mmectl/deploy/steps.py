"""The table of a plan's actions: how each step is executed and verified on AWS.

A new step is one row of ACTIONS. What a plan names and no row knows is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from mmectl.base.errors import DeployError
from mmectl.base.values import Event
from mmectl.deploy.endpoint_changes import create_endpoint, delete_endpoint, scale, update_endpoint
from mmectl.deploy.model_creation import create_endpoint_config, create_model
from mmectl.deploy.wait import Timing, await_gone_or_settled
from mmectl.planning.control_plane import ControlPlane
from mmectl.planning.step import Step


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
        raise DeployError(
            f"step {removed} removes nothing that can be verified", code="unknown_step"
        )
    return look(aws, removed)


def _action(step: Step) -> Action:
    try:
        return ACTIONS[step.action]
    except KeyError:
        raise DeployError(f"unknown step in the plan: {step}", code="unknown_step") from None


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
    "CreateModel": Action(create_model),
    "CreateEndpointConfig": Action(create_endpoint_config),
    "CreateEndpoint": Action(create_endpoint),
    "UpdateEndpoint": Action(update_endpoint),
    "Scale": Action(scale),
    "AddTags": _once(
        lambda aws, step: aws.add_tags(step.request["kind"], step.name, step.request["tags"])
    ),
    "DeleteTags": _once(
        lambda aws, step: aws.delete_tags(step.request["kind"], step.name, step.request["keys"])
    ),
    "DeleteEndpoint": Action(
        delete_endpoint, lambda aws, step: aws.describe_endpoint(step.name) is not None
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

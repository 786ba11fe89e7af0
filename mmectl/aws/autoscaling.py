"""Application Auto Scaling of an endpoint's variants, as `planning.control_plane` needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mmectl.aws.errors import translated
from mmectl.base.errors import ServiceError
from mmectl.spec.scaling import DIMENSION, Target

_CALLS = {
    "RegisterScalableTarget": "register_scalable_target",
    "DeregisterScalableTarget": "deregister_scalable_target",
    "PutScalingPolicy": "put_scaling_policy",
    "DeleteScalingPolicy": "delete_scaling_policy",
    "PutScheduledAction": "put_scheduled_action",
    "DeleteScheduledAction": "delete_scheduled_action",
}
_DENIED = ("aws_AccessDenied", "aws_AccessDeniedException", "aws_403")
_GONE = "aws_ObjectNotFoundException"
_POLICY = (
    "PolicyName",
    "PolicyType",
    "TargetTrackingScalingPolicyConfiguration",
    "StepScalingPolicyConfiguration",
    "PredictiveScalingPolicyConfiguration",
)
_ACTION = (
    "ScheduledActionName",
    "Schedule",
    "Timezone",
    "StartTime",
    "EndTime",
    "ScalableTargetAction",
)


class Autoscaling:
    """`client` makes a boto3 client when it is first needed."""

    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client

    def targets(self, endpoint: str) -> tuple[Target, ...] | None:
        """The variants of an endpoint that are scalable targets; None for who cannot look.

        That is who may not, and who does not reach the service, as in a VPC without its endpoint.

        AWS writes names of endpoints in resources as they were given; they differ in no case alone.
        """
        start = f"endpoint/{endpoint}/variant/".lower()
        # a dimension can be asked for with names of resources alone
        listed = {"ServiceNamespace": "sagemaker"}
        try:
            found = self._all("describe_scalable_targets", "ScalableTargets", listed)
            return tuple(
                self._target(one)
                for one in found
                if one["ResourceId"].lower().startswith(start)
                and one["ScalableDimension"] == DIMENSION
            )
        except ServiceError as error:
            answered = str(error.code).startswith("aws_") or error.code == "no_credentials"
            if error.code in _DENIED or not answered:
                return None
            raise

    def _target(self, found: Mapping[str, Any]) -> Target:
        place = {"ServiceNamespace": "sagemaker", "ResourceId": found["ResourceId"]}
        policies = self._all("describe_scaling_policies", "ScalingPolicies", place)
        actions = self._all("describe_scheduled_actions", "ScheduledActions", place)
        return Target(
            found["ResourceId"].rpartition("/")[2],
            found["MinCapacity"],
            found["MaxCapacity"],
            tuple(_only(_POLICY, one) for one in policies),
            tuple(_only(_ACTION, one) for one in actions),
            tuple(sorted(key for key, is_on in found.get("SuspendedState", {}).items() if is_on)),
        )

    def _all(self, operation: str, member: str, asked: Mapping[str, str]) -> list[dict[str, Any]]:
        with translated(f"application-autoscaling:{operation}"):
            pages = self._client().get_paginator(operation).paginate(**asked)
            return [item for page in pages for item in page[member]]

    def call(self, operation: str, request: Mapping[str, Any]) -> None:
        """Register, put, delete; what is gone already is fine. Raises ServiceError."""
        try:
            with translated(f"application-autoscaling:{operation} {request['ResourceId']}"):
                getattr(self._client(), _CALLS[operation])(**request)
        except ServiceError as error:
            if error.code != _GONE or not operation.startswith("De"):
                raise


def _only(keys: tuple[str, ...], found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: found[key] for key in keys if found.get(key) is not None}

"""What Application Auto Scaling refuses, and what the embedded platform does not carry out; pure.

Texts in quotes of AWS where they are known, else in its manner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mmectl.base.schedules import read
from mmectl.local.control.validate import failed, refusal
from mmectl.local.scaling.values import DIMENSION, METRIC, NAMESPACE, Part, Target
from mmectl.local.values import AwsError

Params = Mapping[str, Any]
MOST = 50
SUSPENDED = {
    "DynamicScalingInSuspended": False,
    "DynamicScalingOutSuspended": False,
    "ScheduledScalingSuspended": False,
}
_RESOURCE = re.compile(r"endpoint/[A-Za-z0-9-]+/variant/[A-Za-z0-9-]+")
_TRACKING = "TargetTrackingScalingPolicyConfiguration"


def invalid(text: str) -> AwsError:
    """A ValidationException."""
    return AwsError("ValidationException", text)


def place(params: Params) -> None:
    """Refuse what is no variant of an endpoint."""
    known = (params["ServiceNamespace"], params["ScalableDimension"]) == (NAMESPACE, DIMENSION)
    if not known or not _RESOURCE.fullmatch(params["ResourceId"]):
        raise invalid("Unsupported service namespace, resource type or scalable dimension")


def asked(params: Params) -> None:
    """Refuse a Describe that AWS refuses."""
    most = params.get("MaxResults", MOST)
    if not 1 <= most <= MOST:
        bound = "greater than or equal to 1" if most < 1 else "less than or equal to 50"
        raise refusal([failed(most, "maxResults", f"Member must have value {bound}")])
    if "ScalableDimension" in params and not {"ResourceId", "ResourceIds"} & set(params):
        raise invalid("A scalable dimension can only be given with a resource ID.")


def limits(params: Params, old: Target | None) -> tuple[int, int]:
    """MinCapacity and MaxCapacity, those of before where they are left out."""
    low = params.get("MinCapacity", old.low if old else None)
    high = params.get("MaxCapacity", old.high if old else None)
    if low is None or high is None:
        raise invalid("MinCapacity and MaxCapacity are required for a new scalable target")
    if low < 1:
        raise invalid(f"MinCapacity is {low}: a variant of an endpoint has at least 1 instance")
    if low > high:
        raise invalid("Maximum capacity cannot be less than minimum capacity")
    return low, high


def policy(params: Params, old: Part | None, others: Mapping[str, Part]) -> Part:
    """The policy that a request makes, of the type that is carried out."""
    kind = params.get("PolicyType", old["PolicyType"] if old else "StepScaling")
    if kind != "TargetTrackingScaling":
        raise invalid(
            f"The embedded platform does not carry out policies of type {kind}: use "
            "TargetTrackingScaling."
        )
    wanted = params.get(_TRACKING, old[_TRACKING] if old else None)
    if wanted is None:
        raise invalid(f"{_TRACKING} is required for policies of type {kind}")
    metric = wanted.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    if metric is None and "CustomizedMetricSpecification" not in wanted:
        raise invalid("A metric specification is required for a target tracking policy")
    if metric != METRIC:
        raise invalid(
            "The embedded platform does not carry out target tracking on "
            f"{metric or 'a CustomizedMetricSpecification'}: use {METRIC}."
        )
    if not wanted["TargetValue"] > 0:
        raise invalid(f"TargetValue is {wanted['TargetValue']}: it must be above 0")
    if any(name != params["PolicyName"] for name in others):
        raise invalid(
            "Only one TargetTrackingScaling policy for a given metric specification is allowed."
        )
    return {"PolicyName": params["PolicyName"], "PolicyType": kind, _TRACKING: dict(wanted)}


# of an action that is updated; times that are not given are deleted (API, PutScheduledAction)
_STAYS = ("Schedule", "Timezone", "ScalableTargetAction")
_ACTION = (*_STAYS, "StartTime", "EndTime")


def action(params: Params, old: Part | None) -> Part:
    """The scheduled action that a request makes."""
    given = {key: params[key] for key in _ACTION if key in params}
    made = {**({key: old[key] for key in _STAYS if key in old} if old else {}), **given}
    change = made.get("ScalableTargetAction", {})
    if "Schedule" not in made:
        raise invalid("Schedule is required for a new scheduled action")
    if not change:
        raise invalid("MinCapacity or MaxCapacity is required for a scheduled action")
    low, high = change.get("MinCapacity"), change.get("MaxCapacity")
    if low is not None and high is not None and low > high:
        raise invalid("Maximum capacity cannot be less than minimum capacity")
    if low is not None and low < 1:
        raise invalid(f"MinCapacity is {low}: a variant of an endpoint has at least 1 instance")
    try:
        read(made["Schedule"], made.get("Timezone"))
    except ValueError as error:
        raise invalid(f"Schedule {made['Schedule']!r}: {error}") from None
    return {"ScheduledActionName": params["ScheduledActionName"], **made}

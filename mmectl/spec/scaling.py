"""Autoscaling of variants: what config.yaml wants and what is registered, as requests. Pure.

Application Auto Scaling owns the count of a variant that is a scalable target. What mmectl puts
there has names that begin with ``mmectl-``; everything else is somebody else's, and stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
METRIC = "SageMakerVariantInvocationsPerInstance"
OURS = "mmectl-"
POLICY = f"{OURS}invocations"

Request = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Other limits from a time on; None leaves that limit alone."""

    when: str
    min: int | None = None
    max: int | None = None
    timezone: str | None = None


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """What config.yaml asks for; `target` in invocations per instance and minute, times in s."""

    min: int
    max: int
    target: float | None = None
    scale_in_cooldown: int = 300
    scale_out_cooldown: int = 300
    schedule: tuple[Scheduled, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """A variant that is registered, with the requests that made its policies and schedules.

    `suspended` are the members of SuspendedState that are true.
    """

    variant: str
    min: int
    max: int
    policies: tuple[Request, ...] = ()
    actions: tuple[Request, ...] = ()
    suspended: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Request, ...]:
        """Policies and scheduled actions."""
        return (*self.policies, *self.actions)

    @property
    def names(self) -> frozenset[str]:
        """The names of those."""
        return frozenset(map(name_of, self.parts))

    @property
    def ours(self) -> bool:
        """Whether something of it is mmectl's."""
        return any(map(is_ours, self.parts))

    @property
    def others(self) -> Target:
        """The target with what is not mmectl's."""
        policies = tuple(one for one in self.policies if not is_ours(one))
        actions = tuple(one for one in self.actions if not is_ours(one))
        return replace(self, policies=policies, actions=actions)


def name_of(part: Request) -> str:
    """The name of a policy or a scheduled action."""
    return str(part.get("PolicyName") or part["ScheduledActionName"])


def is_ours(part: Request) -> bool:
    """Whether mmectl has put it there."""
    return name_of(part).startswith(OURS)


def resource(endpoint: str, variant: str) -> str:
    """The ResourceId of a variant."""
    return f"endpoint/{endpoint}/variant/{variant}"


def place(endpoint: str, variant: str) -> dict[str, str]:
    """The members that name a scalable target."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": resource(endpoint, variant),
        "ScalableDimension": DIMENSION,
    }


def policy_of(wanted: Autoscaling) -> dict[str, Any] | None:
    """The target tracking policy, without its place."""
    if wanted.target is None:
        return None
    return {
        "PolicyName": POLICY,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": float(wanted.target),
            "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC},
            "ScaleOutCooldown": wanted.scale_out_cooldown,
            "ScaleInCooldown": wanted.scale_in_cooldown,
        },
    }


def actions_of(wanted: Autoscaling) -> list[dict[str, Any]]:
    """The scheduled actions, without their place."""
    return [_action(number, one) for number, one in enumerate(wanted.schedule, 1)]


def _action(number: int, one: Scheduled) -> dict[str, Any]:
    limits = {"MinCapacity": one.min, "MaxCapacity": one.max}
    zone = {"Timezone": one.timezone} if one.timezone else {}
    return {
        "ScheduledActionName": f"{OURS}{number}",
        "Schedule": one.when,
        **zone,
        "ScalableTargetAction": {key: value for key, value in limits.items() if value is not None},
    }


def said(part: Request) -> str:
    """A policy or a scheduled action for people."""
    if "ScheduledActionName" in part:
        limits = part.get("ScalableTargetAction", {})
        names = {"MinCapacity": "min", "MaxCapacity": "max"}
        words = [f"{names[key]} {limits[key]}" for key in names if key in limits]
        zone = f" {part['Timezone']}" if part.get("Timezone") else ""
        return f"{part['Schedule']}{zone}: {', '.join(words)}"
    tracking = part.get("TargetTrackingScalingPolicyConfiguration")
    if tracking is None:
        return str(part.get("PolicyType"))
    metric = tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    if metric == METRIC:
        return f"{tracking['TargetValue']:g} invocations per instance and minute"
    return f"{metric or 'a metric of its own'} at {tracking['TargetValue']:g}"

"""Steps of autoscaling, each one call of Application Auto Scaling. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mmectl.base.text import counted
from mmectl.planning.step import Step
from mmectl.spec.scaling import Request, Target, name_of, place, resource, said


def register(
    endpoint: str,
    variant: str,
    low: int,
    high: int,
    old: Target | None,
    suspended: Iterable[str] = (),
) -> Step:
    """Make the variant a scalable target, suspended as it was, or change its limits."""
    why = f"{low} to {counted(high, 'instance')}"
    if old is not None:
        why += f" instead of {old.min} to {old.max}"
    state = dict.fromkeys(suspended, True)
    request = {
        **place(endpoint, variant),
        "MinCapacity": low,
        "MaxCapacity": high,
        **({"SuspendedState": state} if state else {}),
    }
    return Step("RegisterScalableTarget", resource(endpoint, variant), why, request)


def put(endpoint: str, variant: str, part: Request, old: Request | None) -> Step:
    """Set a policy or a scheduled action."""
    action = "PutScalingPolicy" if "PolicyName" in part else "PutScheduledAction"
    why = said(part) + (f" instead of: {said(old)}" if old is not None else "")
    name = f"{name_of(part)} of {resource(endpoint, variant)}"
    # what is left out of an update stays as it was
    zone = {"Timezone": "UTC"} if old and old.get("Timezone") else {}
    return Step(action, name, why, {**place(endpoint, variant), **zone, **part})


def delete(endpoint: str, variant: str, part: Request, why: str) -> Step:
    """Remove a policy or a scheduled action."""
    policy = "PolicyName" in part
    key = "PolicyName" if policy else "ScheduledActionName"
    action = "DeleteScalingPolicy" if policy else "DeleteScheduledAction"
    request = {**place(endpoint, variant), key: part[key]}
    return Step(action, f"{part[key]} of {resource(endpoint, variant)}", why, request)


def deregister(endpoint: str, target: Target, why: str) -> Step:
    """Take the variant from autoscaling."""
    name = resource(endpoint, target.variant)
    return Step("DeregisterScalableTarget", name, why, place(endpoint, target.variant))


def destruction(endpoint: str, found: Iterable[Target], why: str) -> Iterator[Step]:
    """Remove policies and schedules, then the targets."""
    for target in found:
        for part in target.parts:
            yield delete(endpoint, target.variant, part, why)
        yield deregister(endpoint, target, why)

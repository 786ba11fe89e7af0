"""Target tracking: from datapoints of a metric to the count that is wanted; pure.

As AWS does it: more instances once the metric was above the target for three datapoints, fewer
once it was below nine tenths of it for fifteen (the two alarms that Application Auto Scaling makes
for a policy). The count is proportional to the metric; fewer instances go by the largest of the
fifteen, so that they go late. A variant without traffic has a metric of zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from mmectl.local.scaling.values import COOLDOWN, Target

ABOVE, BELOW = 3, 15
MARGIN = 0.9
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Wish:
    """A count that a policy wants, and why."""

    count: int
    cause: str


def wish(target: Target, points: Sequence[float], running: int, now: float) -> Wish | None:
    """The count that the policies want now; None for the one that runs.

    `points` are invocations per instance and minute, the newest last; of several policies the one
    with the largest count decides.
    """
    grown = [
        found for policy in target.policies.values() if (found := _more(policy, points, running))
    ]
    if grown:
        return _grown(target, max(grown, key=lambda one: one.count), running, now)
    shrunk = [_less(policy, points, running) for policy in target.policies.values()]
    wanted = [found for found in shrunk if found is not None]
    if not wanted or len(wanted) < len(shrunk):  # a policy that wants to stay decides
        return None
    return _shrunk(target, max(wanted, key=lambda one: one.count), running, now)


def _tracking(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = policy["TargetTrackingScalingPolicyConfiguration"]
    return found


def _more(policy: Mapping[str, Any], points: Sequence[float], running: int) -> Wish | None:
    aim = _tracking(policy)["TargetValue"]
    last = points[-ABOVE:]
    if len(last) < ABOVE or min(last) <= aim:
        return None
    count = ceil(running * last[-1] / aim - _TINY)
    return Wish(max(count, running + 1), _cause(policy, f"above {aim:g} for {ABOVE} datapoints"))


def _less(policy: Mapping[str, Any], points: Sequence[float], running: int) -> Wish | None:
    aim = _tracking(policy)["TargetValue"]
    last = points[-BELOW:]
    if _tracking(policy).get("DisableScaleIn") or len(last) < BELOW or max(last) >= MARGIN * aim:
        return None
    count = ceil(running * max(last) / aim - _TINY)
    if count >= running:
        return None
    limit = f"{MARGIN * aim:g}"
    return Wish(max(count, 1), _cause(policy, f"below {limit} for {BELOW} datapoints"))


def _cause(policy: Mapping[str, Any], how: str) -> str:
    return f"invocations per instance were {how}: policy {policy['PolicyName']}"


def _grown(target: Target, found: Wish, running: int, now: float) -> Wish | None:
    count = min(found.count, target.high)
    if count <= running or target.suspended.get("DynamicScalingOutSuspended"):
        return None
    if now < target.grown + _cooldown(target, "ScaleOutCooldown"):
        return None
    return Wish(count, found.cause)


def _shrunk(target: Target, found: Wish, running: int, now: float) -> Wish | None:
    count = max(found.count, target.low)
    if count >= running or target.suspended.get("DynamicScalingInSuspended"):
        return None
    last = max(target.grown, target.shrunk)
    if now < last + _cooldown(target, "ScaleInCooldown"):
        return None
    return Wish(count, found.cause)


def _cooldown(target: Target, name: str) -> float:
    return max(float(_tracking(policy).get(name, COOLDOWN)) for policy in target.policies.values())


def within(target: Target, desired: int) -> int:
    """The count, brought within the limits."""
    return min(max(desired, target.low), target.high)

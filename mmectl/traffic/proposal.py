"""Which value of autoscaling.target follows from a benchmark; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHARE = 0.7
"""The part of what one instance carries that is aimed at: new instances take minutes to come."""
MINUTE = 60


def proposal(
    run: Mapping[str, Any], acceptable: float, before: int, after: int | None, variants: int = 1
) -> dict[str, Any]:
    """The target for an acceptable p99 (seconds), or the reason why none follows.

    `run` are the figures, `before` and `after` the instances that the endpoint had; None: unknown.
    A target is that of one variant, and `run` tells the requests of all `variants` together.
    """
    p99 = run["latency"]["all"].get("p99")
    found = {"acceptable_p99": acceptable, "p99": p99, "instances": after, "target": None}
    reason = _against(run, acceptable, p99, before, after)
    if variants > 1:
        reason = f"the endpoint has {variants} variants, and each carries a part of the requests"
    if after is None or reason is not None:
        return {**found, "reason": reason}
    per_minute = run["throughput"] / after * MINUTE * SHARE
    return {**found, "target": max(int(per_minute), 1), "reason": None}


def _against(
    run: Mapping[str, Any], acceptable: float, p99: float | None, before: int, after: int | None
) -> str | None:
    if run.get("interrupted"):
        return "the run was stopped early"
    if run["failed"] or p99 is None:
        return f"{run['failed']} requests failed"
    if after is None:
        return "the endpoint is no longer in service, or does not tell its instances"
    if not before or before != after:
        return f"the number of instances changed, from {before} to {after}"
    if p99 > acceptable:
        return f"p99 is {p99 * 1000:.0f} ms, above {acceptable * 1000:.0f} ms: send less"
    return None


def words(found: Mapping[str, Any]) -> str:
    """The proposal for people."""
    if found["target"] is None:
        return f"no autoscaling.target follows: {found['reason']}"
    number = found["instances"]
    whose = "the instance" if number == 1 else f"each of {number} instances"
    return (
        f"autoscaling.target: {found['target']}   # invocations per instance and minute: "
        f"{SHARE:.0%} of what {whose} carried at a p99 of {found['p99'] * 1000:.0f} ms"
    )

"""Decides an update's steps: traffic shifts and batches of a DeploymentConfig; pure.

An update is a tuple of shifts. Each says how many instances of the old and of the new fleet run
when it is over and which part of the traffic the new one then gets. Rolling back is another
tuple of shifts. Rules: SageMaker developer guide, "Deployment guardrails"; API reference,
BlueGreenUpdatePolicy, TrafficRoutingConfig, RollingUpdatePolicy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from mmectl.local.control.values import Counts, Fleet, Rollout, Shift, invalid

Config = Mapping[str, Any]

CANARY_MOST = 50
LINEAR_RANGE = (10, 50)
BATCH_RANGE = (5, 50)
_NOBODY: Config = {}


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds: of every baking period, before the old fleet ends, and for all of it."""

    bake: float = 0.0
    termination: float = 0.0
    limit: float | None = None


def counts(fleet: Fleet) -> Counts:
    """The instances of each variant that a fleet is meant to have."""
    return tuple(spec.instance_count for spec in fleet.specs)


def times(config: Config | None) -> Times:
    """The waiting times of a DeploymentConfig; all zero without one."""
    blue = (config or _NOBODY).get("BlueGreenUpdatePolicy")
    rolling = (config or _NOBODY).get("RollingUpdatePolicy")
    if blue:
        return Times(
            blue["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"],
            blue.get("TerminationWaitInSeconds", 0),
            blue.get("MaximumExecutionTimeoutInSeconds"),
        )
    if rolling:
        return Times(
            rolling["WaitIntervalInSeconds"], 0, rolling.get("MaximumExecutionTimeoutInSeconds")
        )
    return Times()


def alarms(config: Config | None) -> tuple[str, ...]:
    """Names of the alarms that roll an update back."""
    listed = (config or _NOBODY).get("AutoRollbackConfiguration", {}).get("Alarms", ())
    return tuple(alarm["AlarmName"] for alarm in listed if "AlarmName" in alarm)


def rollout(config: Config | None, old: Fleet, new: Fleet, now: float) -> Rollout:
    """The update of a serving fleet to a new one, nothing of it done yet."""
    serving, target = counts(old), counts(new)
    return Rollout(
        shifts=_forward(config, serving, target),
        serving=serving,
        target=(0,) * len(target),
        began=now,
        since=now,
    )


def _forward(config: Config | None, old: Counts, new: Counts) -> tuple[Shift, ...]:
    rolling = (config or _NOBODY).get("RollingUpdatePolicy")
    if rolling:
        return _rolling(old, new, _batches(rolling["MaximumBatchSize"], new))
    blue = (config or _NOBODY).get("BlueGreenUpdatePolicy")
    shares = _shares(blue["TrafficRoutingConfiguration"], min(new)) if blue else (1.0,)
    last = len(shares) - 1
    nothing = (0,) * len(old)
    return tuple(
        Shift(nothing if number == last else old, new, share) for number, share in enumerate(shares)
    )


def _shares(routing: Config, size: int) -> tuple[float, ...]:
    """The part of the traffic that the new fleet has after each step; the last is 1."""
    if routing["Type"] == "CANARY":
        return (_part(routing["CanarySize"], size), 1.0)
    if routing["Type"] == "LINEAR":
        step = _part(routing["LinearStepSize"], size)
        steps = ceil(round(1 / step, 9))
        return tuple(round(min(step * number, 1.0), 6) for number in range(1, steps + 1))
    return (1.0,)


def _part(size: Config, total: int) -> float:
    if size["Type"] == "CAPACITY_PERCENT":
        return float(size["Value"] / 100)
    return float(min(size["Value"] / total, 1.0))


def _batches(size: Config, total: Counts) -> int:
    """How many batches it takes until every variant is replaced."""
    value = int(size["Value"])
    if size["Type"] == "CAPACITY_PERCENT":
        each = [max(1, count * value // 100) for count in total]
    else:
        each = [value] * len(total)
    return max(ceil(count / batch) for count, batch in zip(total, each, strict=True))


def _rolling(old: Counts, new: Counts, batches: int) -> tuple[Shift, ...]:
    """One part of the instances and of the traffic after the other, of all variants alike."""
    return tuple(
        Shift(
            tuple(ceil(count * (batches - done) / batches) for count in old),
            tuple(ceil(count * done / batches) for count in new),
            round(done / batches, 6),
        )
        for done in range(1, batches + 1)
    )


def rollback(config: Config | None, state: Rollout, old: Fleet) -> tuple[Shift, ...]:
    """The way back: all traffic to the old fleet at once, or in RollbackMaximumBatchSize."""
    full, nothing = counts(old), (0,) * len(state.target)
    rolling = (config or _NOBODY).get("RollingUpdatePolicy", {})
    size = rolling.get("RollbackMaximumBatchSize")
    if size is None or state.serving == full:
        return (Shift(full, nothing, 0.0),)
    back = _rolling(state.target, full, _batches(size, full))
    # what runs already is not taken away first
    return tuple(
        Shift(_most(shift.target, state.serving), shift.serving, round(1 - shift.share, 6))
        for shift in back
        if 1 - shift.share < state.share or shift is back[-1]
    )


def _most(one: Counts, other: Counts) -> Counts:
    return tuple(max(pair) for pair in zip(one, other, strict=True))


def grown(state: Rollout) -> tuple[Counts, Counts]:
    """What must run before the present shift: never less than what runs."""
    shift = state.shifts[0]
    return _most(state.serving, shift.serving), _most(state.target, shift.target)


# what is accepted


def check(config: Config | None, new: Fleet) -> None:
    """Refuse a DeploymentConfig that contradicts itself or does not fit the instances.

    Raises AwsError; the bounds are the API reference's, the texts ours in its manner.
    """
    config = config or _NOBODY
    blue, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    if blue and rolling:
        raise invalid(
            "DeploymentConfig can have BlueGreenUpdatePolicy or RollingUpdatePolicy, not both."
        )
    smallest = min(counts(new), default=1)
    if blue:
        _check_routing(blue["TrafficRoutingConfiguration"], smallest)
        _check_limit(times(config), len(_forward(config, (1,), counts(new) or (1,))))
    if rolling:
        _check_size("MaximumBatchSize", rolling["MaximumBatchSize"], BATCH_RANGE, smallest)
        back = rolling.get("RollbackMaximumBatchSize")
        if back is not None:
            _check_size("RollbackMaximumBatchSize", back, (BATCH_RANGE[0], 100), smallest)
        _check_limit(times(config), len(_forward(config, (1,), counts(new) or (1,))))


def _check_routing(routing: Config, smallest: int) -> None:
    kind = routing["Type"]
    wanted = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}.get(kind)
    for name in ("CanarySize", "LinearStepSize"):
        if (name in routing) != (name == wanted):
            verb = "must" if name == wanted else "must not"
            raise invalid(
                f"TrafficRoutingConfiguration of type {kind} {verb} have a value for {name}."
            )
    if kind == "CANARY":
        _check_size("CanarySize", routing["CanarySize"], (1, CANARY_MOST), smallest)
    if kind == "LINEAR":
        _check_size("LinearStepSize", routing["LinearStepSize"], LINEAR_RANGE, smallest)


def _check_size(name: str, size: Config, allowed: tuple[int, int], smallest: int) -> None:
    low, high = allowed
    value = size["Value"]
    if size["Type"] == "CAPACITY_PERCENT":
        fits = low <= value <= high
        of = "CAPACITY_PERCENT"
    else:
        fits = low * smallest <= value * 100 <= high * smallest
        of = f"INSTANCE_COUNT for {smallest} instances"
    if not fits:
        raise invalid(
            f"{name} has the value {value} of type {of}: it must be {low}% to {high}% of the "
            "variant's total instance count."
        )


def _check_limit(limits: Times, steps: int) -> None:
    waiting = limits.bake * steps + limits.termination
    if limits.limit is not None and limits.limit <= waiting:
        raise invalid(
            f"MaximumExecutionTimeoutInSeconds is {limits.limit:g}: it must be larger than the "
            f"total waiting time of {waiting:g} seconds."
        )

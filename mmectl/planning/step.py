"""The steps of a plan, and which of them wait for the changed endpoint to serve. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_CHANGES = ("CreateEndpoint", "UpdateEndpoint", "Scale")
_IN_SERVICE = ("RegisterScalableTarget", "PutScalingPolicy", "PutScheduledAction")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do; `request` is what AWS gets, `why` is for people."""

    action: str
    name: str
    why: str
    request: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.action} {self.name}"


Plan = tuple[Step, ...]


def phases(steps: Plan) -> tuple[Plan, Plan]:
    """What can be done at once, and what needs the changed endpoint in service."""
    changes = [number for number, step in enumerate(steps) if step.action in _CHANGES]
    for number in range(changes[0] + 1 if changes else len(steps), len(steps)):
        if steps[number].action in (*_IN_SERVICE, "Scale"):
            return steps[:number], steps[number:]
    return steps, ()


def restoring(steps: Plan) -> Plan:
    """Those of the steps that put back what an update had to take from autoscaling."""
    _, after = phases((Step("Scale", "", ""), *steps))
    return tuple(step for step in after if step.action != "Scale")

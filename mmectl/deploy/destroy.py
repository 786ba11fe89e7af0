"""Removes an endpoint and its configurations and models, and verifies that they are gone."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.base.errors import DeployError
from mmectl.base.values import Event
from mmectl.deploy.rollout import execute
from mmectl.deploy.steps import exists
from mmectl.deploy.wait import LAG, Timing
from mmectl.endpoint import ControlPlane, removal


def destroy(aws: ControlPlane, name: str, *, timing: Timing) -> Iterator[Event]:
    """Remove endpoint, configurations and models, then look whether they are gone."""
    steps = removal(aws, name)
    yield from execute(aws, steps, timing=timing)
    left = steps
    for elapsed in timing.pauses():
        left = tuple(step for step in left if exists(aws, step))
        if not left or elapsed > LAG:
            break
    if left:
        raise DeployError(
            "still there after removal: " + ", ".join(step.name for step in left),
            hint="run again: mmectl destroy",
        )
    yield Event("done", name, "nothing is left: endpoint, configurations and models are gone")

"""Removes an endpoint and its configurations and models, and verifies that they are gone."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.base.errors import DeployError
from mmectl.base.values import Event
from mmectl.deploy.rollout import execute
from mmectl.deploy.steps import exists
from mmectl.deploy.wait import LAG, Timing
from mmectl.planning.control_plane import ControlPlane
from mmectl.planning.removal import removal
from mmectl.planning.step import Plan


def destroy(aws: ControlPlane, name: str, *, timing: Timing) -> Iterator[Event]:
    """Remove endpoint, configurations and models, then look whether they are gone."""
    steps = done = removal(aws, name)
    while steps:
        yield from execute(aws, steps, timing=timing)
        _require_gone(aws, steps, timing)
        # what was made just now was not in the lists, what was removed may be there yet
        steps = tuple(step for step in removal(aws, name) if step not in done)
        done += steps
    yield Event("done", name, "nothing is left: endpoint, configurations and models are gone")


def _require_gone(aws: ControlPlane, removed: Plan, timing: Timing) -> None:
    """Look until nothing of it is shown, for LAG seconds at most. Raises DeployError."""
    left = removed
    for elapsed in timing.pauses():
        left = tuple(step for step in left if exists(aws, step))
        if not left or elapsed > LAG:
            break
    if left:
        raise DeployError(
            "still there after removal: " + ", ".join(step.name for step in left),
            hint="run again: mmectl destroy",
            code="not_removed",
        )

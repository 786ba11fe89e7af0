"""Computes the plan: the steps from what exists of an endpoint to what is wanted. Pure.

A plan is a tuple of frozen steps; an empty one means up to date. `mmectl plan` prints the very
value that `mmectl deploy` executes. Names come from content (`<endpoint>-<digest8>`), so a second
deploy finds what the first one made, and going back is an update to the previous configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmectl.planning.autoscaling import scaling_steps
from mmectl.planning.change import endpoint_steps
from mmectl.planning.control_plane import IN_PROGRESS
from mmectl.planning.counts import others_scaled, rescaled
from mmectl.planning.observed import Observed
from mmectl.planning.ownership import foreign
from mmectl.planning.step import Plan, Step
from mmectl.planning.tags import tag_steps
from mmectl.spec.capture import words as captured
from mmectl.spec.desired import Desired
from mmectl.spec.network import words


def plan(wanted: Desired, found: Observed) -> Plan:
    """The steps from what is found to what is wanted; () when nothing is to do.

    An endpoint that is being changed is waited for first; what then remains is planned anew.
    Raises DeployError for an endpoint that somebody else made.
    """
    if found.status is not None and not found.ours:
        raise foreign(wanted.endpoint)
    if found.status in IN_PROGRESS:
        return (Step("Wait", wanted.endpoint, f"it is {found.status}"),)
    steps: list[Step] = []
    if not found.model_exists:
        why = ", ".join(["new content", *words(wanted.model_request)])
        steps.append(Step("CreateModel", wanted.model, why, wanted.model_request))
    if not found.config_exists:
        why = ", ".join(["new content", *_told(wanted.config_request)])
        steps.append(Step("CreateEndpointConfig", wanted.config, why, wanted.config_request))
    before, after = scaling_steps(wanted, found)
    change = endpoint_steps(wanted, found)
    scaled = others_scaled(wanted, found, change)
    return (*steps, *before, *change, *tag_steps(wanted, found), *scaled, *after)


def _told(request: Mapping[str, Any]) -> list[str]:
    """What of a configuration deserves a word in a plan."""
    key = request.get("KmsKeyId")
    return [*([f"volumes encrypted with {key}"] if key else []), *captured(request)]


def is_under_way(wanted: Desired, found: Observed) -> bool:
    """Whether the change that goes on brings just what is wanted."""
    scaling = found.status == "Updating" and found.pending is None and found.serves(wanted)
    brings = found.pending == wanted.config or (scaling and not rescaled(wanted, found))
    return brings and not tag_steps(wanted, found)

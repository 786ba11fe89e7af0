"""The steps that bring a variant's autoscaling to what is wanted, and whose its count is. Pure."""

from __future__ import annotations

from mmectl.base.errors import DeployError
from mmectl.planning.control_plane import BROKEN
from mmectl.planning.observed import Observed
from mmectl.planning.scaling_changes import deregistered, planned, removals
from mmectl.planning.step import Plan
from mmectl.spec.desired import Desired


def scaling_steps(wanted: Desired, found: Observed) -> tuple[Plan, Plan]:
    """The steps of autoscaling before the endpoint changes, and once it is in service."""
    if found.targets is None and wanted.autoscaling is not None:
        raise unknown("autoscaling: what is registered cannot be looked at")
    broken = found.status in BROKEN  # its targets go with it
    return planned(
        wanted.endpoint,
        wanted.autoscaling,
        _types_of(wanted),
        () if broken else found.targets or (),
        found.types,
        {} if broken else found.noted,
    )


def owned(wanted: Desired, found: Observed) -> frozenset[str]:
    """The variants whose count stays autoscaling's business."""
    removed = removals(wanted.endpoint, _types_of(wanted), wanted.autoscaling, found.targets or ())
    return found.owned - deregistered(removed)


def _types_of(wanted: Desired) -> dict[str, str]:
    return {one["VariantName"]: one["InstanceType"] for one in wanted.variants}


def unknown(what: str) -> DeployError:
    """The error for what only a look at the registered targets could tell."""
    needs = "application-autoscaling:DescribeScalableTargets"
    return DeployError(
        what,
        hint=f"the caller needs the permission for {needs}, and must reach that service",
        code="scaling_unknown",
    )

"""What an endpoint in service changes in place: the counts and weights of its variants. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmectl.planning.autoscaling import owned, unknown
from mmectl.planning.observed import Observed
from mmectl.planning.step import Plan, Step
from mmectl.spec import capacity
from mmectl.spec.capacity import Capacities
from mmectl.spec.desired import Desired


def rescale(endpoint: str, listed: list[dict[str, Any]], found: Capacities) -> Plan:
    """The step that brings counts and weights of an endpoint that serves; () for no changes."""
    if not listed:
        return ()
    request = {"EndpointName": endpoint, "DesiredWeightsAndCapacities": listed}
    why = f"{capacity.words(listed, found)}; the instances that stay keep their models"
    return (Step("Scale", endpoint, why, request),)


def rescaled(wanted: Desired, found: Observed) -> list[dict[str, Any]]:
    """What has to change of the counts and weights, but for those of autoscaling."""
    want = capacity.initial(wanted.config_request)
    listed = capacity.changes(want, found.capacities, owned(wanted, found))
    # counts that nobody has changed since the endpoint got its configuration are not autoscaling's
    moved = [one for one in listed if _count(found.begun, one) != _count(found.capacities, one)]
    if found.targets is None and any("DesiredInstanceCount" in change for change in moved):
        said = capacity.words(listed, found.capacities)
        raise unknown(f"{said}: whether autoscaling wants that count is not known")
    return listed


def _count(known: Capacities, change: Mapping[str, Any]) -> int | None:
    found = known.get(change["VariantName"])
    return found.count if found else None


def others_scaled(wanted: Desired, found: Observed, change: Plan) -> Plan:
    """After an update that keeps all counts: bring those that are not autoscaling's.

    Weights that differ are not kept (`retained`), so that the update has brought them.
    """
    if not any("RetainAllVariantProperties" in step.request for step in change):
        return ()
    counts = [
        {key: value for key, value in one.items() if key != "DesiredWeight"}
        for one in rescaled(wanted, found)
        if "DesiredInstanceCount" in one
    ]
    return rescale(wanted.endpoint, counts, found.capacities)


def retained(wanted: Desired, found: Observed) -> dict[str, Any]:
    """What keeps counts over an update; weights are config.yaml's where they differ."""
    want = capacity.initial(wanted.config_request)
    other = any("DesiredWeight" in one for one in capacity.changes(want, found.capacities))
    weights = [{"VariantPropertyType": "DesiredWeight"}] if other else []
    return {
        "RetainAllVariantProperties": True,
        **({"ExcludeRetainedVariantProperties": weights} if weights else {}),
    }

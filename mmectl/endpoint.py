"""Computes the plan: the steps from what exists of an endpoint to what is wanted. Pure.

A plan is a tuple of frozen steps; an empty one means up to date. `mmectl plan` prints the very
value that `mmectl deploy` executes. Names come from content (`<endpoint>-<digest8>`), so a second
deploy finds what the first one made, and going back is an update to the previous configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmectl.base.errors import DeployError
from mmectl.planning.control_plane import BROKEN, IN_PROGRESS
from mmectl.planning.observed import Observed
from mmectl.planning.ownership import foreign
from mmectl.planning.step import Plan, Step
from mmectl.spec import capacity, scaling
from mmectl.spec.capacity import Capacities
from mmectl.spec.capture import words as captured
from mmectl.spec.desired import Desired
from mmectl.spec.network import words
from mmectl.spec.policy import deployment_config
from mmectl.spec.tags import (
    KEYS_TAG,
    tag_list,
)


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
    before, after = _scaling_steps(wanted, found)
    change = _endpoint_steps(wanted, found)
    scaled = _others_scaled(wanted, found, change)
    return (*steps, *before, *change, *_tag_steps(wanted, found), *scaled, *after)


def _told(request: Mapping[str, Any]) -> list[str]:
    """What of a configuration deserves a word in a plan."""
    key = request.get("KmsKeyId")
    return [*([f"volumes encrypted with {key}"] if key else []), *captured(request)]


def is_under_way(wanted: Desired, found: Observed) -> bool:
    """Whether the change that goes on brings just what is wanted."""
    scaling = found.status == "Updating" and found.pending is None and found.serves(wanted)
    brings = found.pending == wanted.config or (scaling and not _rescaled(wanted, found))
    return brings and not _tag_steps(wanted, found)


def _rescaled(wanted: Desired, found: Observed) -> list[dict[str, Any]]:
    """What has to change of the counts and weights, but for those of autoscaling."""
    want = capacity.initial(wanted.config_request)
    listed = capacity.changes(want, found.capacities, _owned(wanted, found))
    # counts that nobody has changed since the endpoint got its configuration are not autoscaling's
    moved = [one for one in listed if _count(found.begun, one) != _count(found.capacities, one)]
    if found.targets is None and any("DesiredInstanceCount" in change for change in moved):
        said = capacity.words(listed, found.capacities)
        raise _unknown(f"{said}: whether autoscaling wants that count is not known")
    return listed


def _count(known: Capacities, change: Mapping[str, Any]) -> int | None:
    found = known.get(change["VariantName"])
    return found.count if found else None


def _owned(wanted: Desired, found: Observed) -> frozenset[str]:
    """The variants whose count stays autoscaling's business."""
    removed = scaling.removals(
        wanted.endpoint, _types_of(wanted), wanted.autoscaling, found.targets or ()
    )
    return found.owned - scaling.deregistered(removed)


def _types_of(wanted: Desired) -> dict[str, str]:
    return {one["VariantName"]: one["InstanceType"] for one in wanted.variants}


def _scaling_steps(wanted: Desired, found: Observed) -> tuple[Plan, Plan]:
    """The steps of autoscaling before the endpoint changes, and once it is in service."""
    if found.targets is None and wanted.autoscaling is not None:
        raise _unknown("autoscaling: what is registered cannot be looked at")
    broken = found.status in BROKEN  # its targets go with it
    before, after = scaling.planned(
        wanted.endpoint,
        wanted.autoscaling,
        _types_of(wanted),
        () if broken else found.targets or (),
        found.types,
        {} if broken else found.noted,
    )
    return tuple(Step(*change) for change in before), tuple(Step(*change) for change in after)


def _unknown(what: str) -> DeployError:
    needs = "application-autoscaling:DescribeScalableTargets"
    return DeployError(
        what,
        hint=f"the caller needs the permission for {needs}, and must reach that service",
        code="scaling_unknown",
    )


def _tag_steps(wanted: Desired, found: Observed) -> Plan:
    """Bring the tags of what stays to those that are wanted; tags of others are left alone."""
    tags = dict(wanted.tags)
    steps: list[Step] = []
    for (kind, name), present in found.tags.items():
        if kind == "endpoint" and found.status in BROKEN:
            continue  # it is made anew, with its tags
        target = {"kind": kind, "name": name}
        missing = {key: value for key, value in tags.items() if present.get(key) != value}
        ours = (*present.get(KEYS_TAG, "").split(), KEYS_TAG)
        gone = sorted(key for key in ours if key in present and key not in tags)
        if missing:
            why = ", ".join(f"{key}={value}" for key, value in sorted(missing.items()))
            steps.append(Step("AddTags", name, why, {**target, "tags": missing}))
        if gone:
            why = ", ".join(gone)
            steps.append(Step("DeleteTags", name, why, {**target, "keys": gone}))
    return tuple(steps)


def _endpoint_steps(wanted: Desired, found: Observed) -> Plan:
    request = {
        "EndpointName": wanted.endpoint,
        "EndpointConfigName": wanted.config,
        "Tags": tag_list(wanted.tags),
    }
    if found.status is None:
        return (Step("CreateEndpoint", wanted.endpoint, "it does not exist", request),)
    if found.status in BROKEN:
        return (
            Step("DeleteEndpoint", wanted.endpoint, f"it is {found.status}, serving nothing"),
            Step("CreateEndpoint", wanted.endpoint, "once the broken one is gone", request),
        )
    # After a failed rollback both configurations serve, whatever the endpoint's says.
    if not found.serves(wanted) or found.status == "UpdateRollbackFailed":
        change: dict[str, Any] = {
            key: request[key] for key in ("EndpointName", "EndpointConfigName")
        }
        why = f"{found.config} serves until it is done"
        deployment = deployment_config(wanted.policy)
        if deployment is not None:
            _require_same_variants(wanted, found)
            change["DeploymentConfig"] = deployment
            why += f"; {wanted.policy}"
        if listed := _rescaled(wanted, found):
            why += f"; {capacity.words(listed, found.capacities)}"
        if _owned(wanted, found):
            change |= _retained(wanted, found)
            why += "; counts stay as autoscaling has set them"
        return (Step("UpdateEndpoint", wanted.endpoint, why, change),)
    return rescale(wanted.endpoint, _rescaled(wanted, found), found.capacities)


def _others_scaled(wanted: Desired, found: Observed, change: Plan) -> Plan:
    """After an update that keeps all counts: bring those that are not autoscaling's."""
    if not any("RetainAllVariantProperties" in step.request for step in change):
        return ()
    return rescale(wanted.endpoint, _rescaled(wanted, found), found.capacities)


def _retained(wanted: Desired, found: Observed) -> dict[str, Any]:
    """What keeps counts over an update; weights are config.yaml's where they differ."""
    want = capacity.initial(wanted.config_request)
    other = any("DesiredWeight" in one for one in capacity.changes(want, found.capacities))
    weights = [{"VariantPropertyType": "DesiredWeight"}] if other else []
    return {
        "RetainAllVariantProperties": True,
        **({"ExcludeRetainedVariantProperties": weights} if weights else {}),
    }


def rescale(endpoint: str, listed: list[dict[str, Any]], found: Capacities) -> Plan:
    """The step that brings counts and weights of an endpoint that serves; () for no changes."""
    if not listed:
        return ()
    request = {"EndpointName": endpoint, "DesiredWeightsAndCapacities": listed}
    why = f"{capacity.words(listed, found)}; the instances that stay keep their models"
    return (Step("Scale", endpoint, why, request),)


def _require_same_variants(wanted: Desired, found: Observed) -> None:
    """Raise DeployError where a policy could not move the traffic.

    Source: SageMaker developer guide, deployment-guardrails-exclusions: the new configuration must
    have the same variant names as the old one.
    """
    names = {one["VariantName"] for one in wanted.config_request["ProductionVariants"]}
    if not found.variants or names == set(found.variants):
        return
    one_each = len(names) == len(found.variants) == 1
    change = "rename the variant" if one_each else "change the variants"
    raise DeployError(
        f"update.policy {wanted.policy} cannot {change} {', '.join(found.variants)} to "
        f"{', '.join(sorted(names))}: SageMaker shifts traffic between variants of one name",
        hint="do that alone, all at once: mmectl deploy --set update.policy=all_at_once",
        code="variant_renamed",
    )

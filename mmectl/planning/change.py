"""The step that changes the endpoint itself: made, made anew, updated, or scaled. Pure."""

from __future__ import annotations

from typing import Any

from mmectl.base.errors import DeployError
from mmectl.planning.autoscaling import owned
from mmectl.planning.control_plane import BROKEN
from mmectl.planning.counts import rescale, rescaled, retained
from mmectl.planning.observed import Observed
from mmectl.planning.step import Plan, Step
from mmectl.spec import capacity
from mmectl.spec.desired import Desired
from mmectl.spec.policy import deployment_config
from mmectl.spec.tags import tag_list


def endpoint_steps(wanted: Desired, found: Observed) -> Plan:
    """The change of the endpoint; () where it is as wanted. Raises DeployError."""
    if found.status is None:
        return (_creation(wanted, "it does not exist"),)
    if found.status in BROKEN:
        return (
            Step("DeleteEndpoint", wanted.endpoint, f"it is {found.status}, serving nothing"),
            _creation(wanted, "once the broken one is gone"),
        )
    # After a failed rollback both configurations serve, whatever the endpoint's says.
    if not found.serves(wanted) or found.status == "UpdateRollbackFailed":
        return (_update(wanted, found),)
    return rescale(wanted.endpoint, rescaled(wanted, found), found.capacities)


def _creation(wanted: Desired, why: str) -> Step:
    request = {**_names(wanted), "Tags": tag_list(wanted.tags)}
    return Step("CreateEndpoint", wanted.endpoint, why, request)


def _names(wanted: Desired) -> dict[str, Any]:
    return {"EndpointName": wanted.endpoint, "EndpointConfigName": wanted.config}


def _update(wanted: Desired, found: Observed) -> Step:
    """The update to the wanted configuration, and what it does to traffic and counts."""
    change = _names(wanted)
    why = [f"{found.config} serves until it is done"]
    deployment = deployment_config(wanted.policy)
    if deployment is not None:
        _require_same_variants(wanted, found)
        change["DeploymentConfig"] = deployment
        why.append(str(wanted.policy))
    if listed := rescaled(wanted, found):
        why.append(capacity.words(listed, found.capacities))
    if owned(wanted, found):
        change |= retained(wanted, found)
        why.append("counts stay as autoscaling has set them")
    return Step("UpdateEndpoint", wanted.endpoint, "; ".join(why), change)


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

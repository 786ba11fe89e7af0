"""Reads what exists of what is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmectl.planning.control_plane import ControlPlane
from mmectl.planning.observed import Observed
from mmectl.planning.serving import attempted
from mmectl.spec import capacity
from mmectl.spec.desired import Desired, counted_name
from mmectl.spec.names import has_digest
from mmectl.spec.tags import ADOPTED, TAG


def observe(aws: ControlPlane, wanted: Desired) -> Observed:
    """Read what exists of what is wanted."""
    endpoint = aws.describe_endpoint(wanted.endpoint) or {}
    serving, tried = endpoint.get("EndpointConfigName"), attempted(endpoint)
    named = dict.fromkeys(name for name in (serving, tried, wanted.config) if name)
    configs = {name: aws.describe_endpoint_config(name) for name in named}
    same = tuple(
        name
        for name, described in configs.items()
        if described and name != wanted.config and _is_same(aws, wanted, name, described)
    )
    # what serves with other counts stays, and needs no other configuration
    config = serving if serving in same and endpoint["EndpointStatus"] == "InService" else None
    config = config or wanted.config
    model = _model_of(wanted, config, configs[config])
    exists = {
        ("model", model): aws.describe_model(model) is not None,
        ("endpoint-config", config): configs[config] is not None,
        ("endpoint", wanted.endpoint): bool(endpoint),
    }
    serves = configs.get(serving) or {"ProductionVariants": ()}
    tags = {item: aws.tags(*item) for item, found in exists.items() if found}
    mine = tags.get(("endpoint", wanted.endpoint), {})
    return Observed(
        status=endpoint.get("EndpointStatus"),
        config=serving,
        reason=endpoint.get("FailureReason"),
        ours=not endpoint or mine.get(TAG) == wanted.endpoint,
        model_exists=exists["model", model],
        config_exists=exists["endpoint-config", config],
        tags=tags,
        attempted=tried,
        modified=endpoint.get("LastModifiedTime"),
        variants=tuple(one["VariantName"] for one in endpoint.get("ProductionVariants", ())),
        same=same,
        capacities=capacity.desired(endpoint),
        begun=capacity.initial(serves),
        targets=aws.scalable_targets(wanted.endpoint),
        types={
            one["VariantName"]: one.get("InstanceType", "") for one in serves["ProductionVariants"]
        },
    )


def _is_same(aws: ControlPlane, wanted: Desired, config: str, described: Mapping[str, Any]) -> bool:
    """Whether it is the wanted one, but for counts and weights; an adopted one says for which."""
    name = counted_name(wanted, described)
    if config == name or has_digest(config):
        return config == name
    return aws.tags("endpoint-config", config).get(ADOPTED) == name


def _model_of(wanted: Desired, config: str, described: Mapping[str, Any] | None) -> str:
    """The model of the wanted configuration; an adopted one has its own."""
    if config == wanted.config or has_digest(config):
        return wanted.model
    found = (described or {}).get("ProductionVariants", ())
    return next((one["ModelName"] for one in found), wanted.model)

"""The steps that remove an endpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mmectl.planning.control_plane import ControlPlane
from mmectl.planning.ownership import require_ours
from mmectl.planning.scaling_calls import destruction
from mmectl.planning.serving import parts
from mmectl.planning.step import Plan, Step
from mmectl.spec.names import stem
from mmectl.spec.tags import TAG


def removal(aws: ControlPlane, name: str) -> Plan:
    """The steps that remove an endpoint and all that was made for it, in AWS's order.

    Raises DeployError where the endpoint is somebody else's.
    """
    endpoint = aws.describe_endpoint(name)
    if endpoint is not None:
        require_ours(aws, name)
    scaled = _scaling(aws, name, is_there=endpoint is not None)
    itself = (Step("DeleteEndpoint", name, "it exists"),) if endpoint is not None else ()
    serving = parts(aws, endpoint or {})
    configs = _made(aws, "endpoint-config", "DeleteEndpointConfig", name, serving)
    models = _made(aws, "model", "DeleteModel", name, serving)
    return (*scaled, *itself, *configs, *models)


def _scaling(aws: ControlPlane, name: str, *, is_there: bool) -> Plan:
    """The end of its autoscaling; what is left of an endpoint that is gone is ended if ours."""
    targets = aws.scalable_targets(name) or ()
    if not is_there and not any(target.ours for target in targets):
        return ()
    return tuple(destruction(name, targets, f"autoscaling of {name}"))


def _made(
    aws: ControlPlane, kind: str, action: str, name: str, serving: Mapping[str, set[str]]
) -> Plan:
    """Those of that kind that carry the endpoint's tag: lists may not show what serves."""
    pattern = re.escape(stem(name)) + r"-[0-9a-f]{8}"
    found = set(aws.tagged(kind, stem(name), pattern, (TAG, name)))
    found |= {item for item in serving[kind] - found if aws.tags(kind, item).get(TAG) == name}
    return tuple(Step(action, item, f"carries the tag {TAG}={name}") for item in sorted(found))

"""The steps that remove an endpoint."""

from __future__ import annotations

import re

from mmectl.planning.control_plane import ControlPlane
from mmectl.planning.ownership import require_ours
from mmectl.planning.serving import parts
from mmectl.planning.step import Plan, Step
from mmectl.spec import scaling
from mmectl.spec.names import stem
from mmectl.spec.tags import TAG


def removal(aws: ControlPlane, name: str) -> Plan:
    """The steps that remove an endpoint and all that was made for it, in AWS's order.

    Raises DeployError where the endpoint is somebody else's.
    """
    pattern = re.escape(stem(name)) + r"-[0-9a-f]{8}"
    steps: list[Step] = []
    endpoint = aws.describe_endpoint(name)
    if endpoint is not None:
        require_ours(aws, name)
        steps.append(Step("DeleteEndpoint", name, "it exists"))
    targets = aws.scalable_targets(name) or ()
    if steps or any(target.ours for target in targets):
        away = scaling.destruction(name, targets, f"autoscaling of {name}")
        steps = [*(Step(*change) for change in away), *steps]

    serving = parts(aws, endpoint or {})
    for kind, action in (("endpoint-config", "DeleteEndpointConfig"), ("model", "DeleteModel")):
        names = {*aws.tagged(kind, stem(name), pattern, (TAG, name))}
        names |= {item for item in serving[kind] - names if _made_for(aws, kind, item, name)}
        steps += [Step(action, item, f"carries the tag {TAG}={name}") for item in sorted(names)]
    return tuple(steps)


def _made_for(aws: ControlPlane, kind: str, item: str, endpoint: str) -> bool:
    return aws.tags(kind, item).get(TAG) == endpoint

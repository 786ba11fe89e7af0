"""What an endpoint serves with, or is brought to: its configuration, models, image and role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmectl.planning.control_plane import ControlPlane


def attempted(described: Mapping[str, Any]) -> str | None:
    """The configuration that a change under way brings, or brought before it was rolled back."""
    if described.get("EndpointStatus") == "Creating":
        return described.get("EndpointConfigName")
    return (described.get("PendingDeploymentSummary") or {}).get("EndpointConfigName")


def parts(aws: ControlPlane, endpoint: Mapping[str, Any]) -> dict[str, set[str]]:
    """What an endpoint serves or is brought to, by kind: lists may not show it for seconds."""
    configs = {endpoint.get("EndpointConfigName"), attempted(endpoint)} - {None}
    found = {name: aws.describe_endpoint_config(str(name)) for name in configs}
    models = {
        variant["ModelName"]
        for config in found.values()
        for variant in (config or {}).get("ProductionVariants", ())
        if variant.get("ModelName")
    }
    return {"endpoint-config": {str(name) for name in found if found[name]}, "model": models}


def serving_image(aws: ControlPlane, name: str) -> str | None:
    """The image that an endpoint serves now; None where there is no endpoint. Three requests."""
    endpoint = aws.describe_endpoint(name) or {}
    config = endpoint.get("EndpointConfigName")
    variants = ((aws.describe_endpoint_config(config) if config else None) or {}).get(
        "ProductionVariants"
    )
    model = variants[0].get("ModelName") if variants else None
    container = ((aws.describe_model(model) if model else None) or {}).get("PrimaryContainer")
    return str(container["Image"]) if container and container.get("Image") else None


def serving_role(aws: ControlPlane, name: str) -> str | None:
    """The ARN of the role of the model that an endpoint serves with; None where there is none."""
    config = (aws.describe_endpoint(name) or {}).get("EndpointConfigName")
    found = (aws.describe_endpoint_config(config) or {}) if config else {}
    for variant in found.get("ProductionVariants", ()):
        model = aws.describe_model(variant["ModelName"]) or {}
        return model.get("ExecutionRoleArn")
    return None

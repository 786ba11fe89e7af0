"""Which key has which limit of SageMaker's service model."""

from __future__ import annotations

from typing import Any

from mmectl.config.yaml_values import Tree

# dotted key -> shape of botocore's sagemaker model
_LIMITED = {
    "aws.tags": "TagList",
    "image.uri": "ContainerImage",
    "endpoint.name": "EndpointName",
    "endpoint.instance_type": "ProductionVariantInstanceType",
    "endpoint.instance_count": "InitialTaskCount",
    "endpoint.variant": "VariantName",
    "endpoint.volume_size_gb": "ProductionVariantVolumeSizeInGB",
    "endpoint.model_download_timeout": "ProductionVariantModelDataDownloadTimeoutInSeconds",
    "endpoint.inference_ami": "ProductionVariantInferenceAmiVersion",
    "endpoint.startup_timeout": "ProductionVariantContainerStartupHealthCheckTimeoutInSeconds",
    "endpoint.environment": "EnvironmentMap",
    "capture.percentage": "SamplingPercentage",
    "capture.destination": "DestinationS3Uri",
}


_OF_VARIANT = {
    "name": "VariantName",
    "instance_type": "ProductionVariantInstanceType",
    "instance_count": "InitialTaskCount",
    "volume_size_gb": "ProductionVariantVolumeSizeInGB",
}


def limited(tree: Tree) -> dict[str, tuple[str, Any]]:
    """Dotted key -> (shape, value) of what is set; checked even where other keys are wrong."""
    known = {key: (shape, tree.get(key)) for key, shape in _LIMITED.items()}
    for key in ("aws.role", "build.codebuild_role"):
        role = tree.get(key)
        if isinstance(role, str) and role.startswith("arn:"):
            known[key] = ("RoleArn", role)
    for name, shape in (("csv_types", "CsvContentType"), ("json_types", "JsonContentType")):
        given = tree.get(f"capture.{name}")
        for number, kind in enumerate(given if isinstance(given, list) else ()):
            known[f"capture.{name}.{number}"] = (shape, kind)
    variants = tree.get("endpoint.variants")
    for number, one in enumerate(variants if isinstance(variants, list) else ()):
        for name, shape in _OF_VARIANT.items():
            found = one.get(name) if isinstance(one, dict) else None
            known[f"endpoint.variants.{number}.{name}"] = (shape, found)
    return {key: pair for key, pair in known.items() if pair[1] is not None}

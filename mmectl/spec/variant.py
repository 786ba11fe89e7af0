"""What it runs on: the instances behind the endpoint, as one of `ProductionVariants`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Variant:
    """The production variant; sizes in GB, times in s, None: SageMaker's default."""

    instance_type: str
    instance_count: int = 1
    name: str = "AllTraffic"
    volume_size_gb: int | None = None
    model_download_timeout: int | None = None
    startup_timeout: int | None = None
    inference_ami: str | None = None


def production_variant(variant: Variant, model: str) -> dict[str, Any]:
    """One of an endpoint configuration's `ProductionVariants`, serving the model of that name."""
    optional = {
        "VolumeSizeInGB": variant.volume_size_gb,
        "ModelDataDownloadTimeoutInSeconds": variant.model_download_timeout,
        "ContainerStartupHealthCheckTimeoutInSeconds": variant.startup_timeout,
        "InferenceAmiVersion": variant.inference_ami,
    }
    return {
        "VariantName": variant.name,
        "ModelName": model,
        "InstanceType": variant.instance_type,
        "InitialInstanceCount": variant.instance_count,
        "InitialVariantWeight": 1.0,
        **{key: value for key, value in optional.items() if value is not None},
    }

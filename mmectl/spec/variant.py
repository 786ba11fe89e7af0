"""What it runs on: the instances behind the endpoint, as one of `ProductionVariants`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Variant:
    """A production variant; sizes in GB, times in s, None: SageMaker's default.

    Of several, each gets its weight's part of the requests that name none.
    """

    instance_type: str
    instance_count: int = 1
    name: str = "AllTraffic"
    volume_size_gb: int | None = None
    model_download_timeout: int | None = None
    startup_timeout: int | None = None
    inference_ami: str | None = None
    weight: float = 1.0


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
        "InitialVariantWeight": variant.weight,
        **{key: value for key, value in optional.items() if value is not None},
    }

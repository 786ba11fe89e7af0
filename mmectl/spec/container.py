"""What serves: image, models and variables, as CreateModel's `PrimaryContainer`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mmectl.spec.metrics import DEFAULTS, Measured, container_metrics


@dataclass(frozen=True, slots=True)
class Container:
    """The container of the model; `model_data_url` is the prefix below which the models are."""

    image: str
    model_data_url: str
    model_cache: str = "Enabled"
    environment: tuple[tuple[str, str], ...] = ()
    measured: Measured = DEFAULTS


def primary_container(container: Container) -> dict[str, Any]:
    """A model request's `PrimaryContainer`."""
    made: dict[str, Any] = {
        "Image": container.image,
        "Mode": "MultiModel",
        "ModelDataUrl": container.model_data_url,
        "MultiModelConfig": {"ModelCacheSetting": container.model_cache},
    }
    if container.environment:
        made["Environment"] = dict(sorted(container.environment))
    if scraped := container_metrics(container.measured):
        made["ContainerMetricsConfig"] = scraped
    return made

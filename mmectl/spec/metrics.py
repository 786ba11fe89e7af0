"""What SageMaker measures besides its usual metrics: `MetricsConfig`, and where it scrapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PATH = "/metrics"


@dataclass(frozen=True, slots=True)
class Measured:
    """`frequency` in seconds; None: SageMaker's default.

    `detailed` are metrics of instances and of the container, `enhanced` the usual ones by instance.
    """

    detailed: bool | None = None
    enhanced: bool | None = None
    frequency: int | None = None


DEFAULTS = Measured()


def metrics_config(measured: Measured) -> dict[str, Any]:
    """An endpoint configuration's `MetricsConfig`; without what SageMaker decides, so {} for none.

    What is left out stays out of the digest that names the configuration.
    """
    given = {
        "EnableDetailedObservability": measured.detailed,
        "EnableEnhancedMetrics": measured.enhanced,
        "MetricPublishFrequencyInSeconds": measured.frequency,
    }
    return {key: value for key, value in given.items() if value is not None}


def container_metrics(measured: Measured) -> dict[str, Any]:
    """A container's `ContainerMetricsConfig`; {} where SageMaker's default does.

    The container has a frequency of its own, which the configuration's does not change.
    """
    if measured.frequency is None or measured.detailed is False:
        return {}
    endpoint = {
        "MetricsEndpointPath": PATH,
        "MetricPublishFrequencyInSeconds": measured.frequency,
    }
    return {"MetricsEndpoints": [endpoint]}

"""The identity of a metric, and the metrics that SageMaker writes; pure.

Units and dimensions are those of "Amazon SageMaker AI metrics in Amazon CloudWatch" (developer
guide, monitoring-cloudwatch).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

INVOCATIONS = "AWS/SageMaker"
INSTANCES = "/aws/sagemaker/Endpoints"
_MICROSECONDS = (
    "ModelLatency",
    "OverheadLatency",
    "ModelLoadingWaitTime",
    "ModelDownloadingTime",
    "ModelLoadingTime",
    "ModelUnloadingTime",
)
_PERCENT = ("CPUUtilization", "MemoryUtilization", "DiskUtilization")
UNITS = {**dict.fromkeys(_MICROSECONDS, "Microseconds"), **dict.fromkeys(_PERCENT, "Percent")}
"""The unit of each of SageMaker's metrics that has one; the others have None."""


class Series(NamedTuple):
    """A metric: `dimensions` are sorted (name, value) pairs; each unit is a series of its own."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()
    unit: str = "None"

    def row(self) -> dict[str, Any]:
        """A Metric of the API."""
        return {
            "Namespace": self.namespace,
            "MetricName": self.name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in self.dimensions],
        }


def dimensions_of(given: Iterable[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    """Dimensions of a request, in order."""
    return tuple(sorted((item["Name"], item["Value"]) for item in given))


def of_instance(namespace: str, name: str, endpoint: str, variant: str, instance: str) -> Series:
    """An enhanced metric that SageMaker writes for each instance."""
    whole = of_variant(namespace, name, endpoint, variant)
    dimensions = tuple(sorted((*whole.dimensions, ("InstanceId", instance))))
    return whole._replace(dimensions=dimensions)


def of_variant(namespace: str, name: str, endpoint: str, variant: str) -> Series:
    """A metric that SageMaker writes."""
    dimensions = (("EndpointName", endpoint), ("VariantName", variant))
    return Series(namespace, name, dimensions, UNITS.get(name, "None"))

"""The endpoints as autoscaling sees them, over SageMaker's own operations."""

from __future__ import annotations

from typing import Any, Protocol

from mmectl.local.scaling.values import Capacity
from mmectl.local.values import AwsError


class Control(Protocol):
    """SageMaker's control plane."""

    async def call(self, operation: str, params: object) -> dict[str, Any]:
        """Answer one operation; raises AwsError."""
        ...


class Endpoints:
    """See `values.Endpoints`."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def capacity(self, endpoint: str, variant: str) -> Capacity | None:
        """What a variant has; None where there is no such variant."""
        try:
            found = await self._control.call("DescribeEndpoint", {"EndpointName": endpoint})
        except AwsError:
            return None
        for one in found.get("ProductionVariants", ()):
            if one["VariantName"] == variant:
                counts = one["CurrentInstanceCount"], one["DesiredInstanceCount"]
                return Capacity(*counts, found["EndpointStatus"], found.get("FailureReason"))
        return None

    async def scale(self, endpoint: str, variant: str, count: int) -> None:
        """Ask for so many instances; AwsError where that is refused."""
        change = {"VariantName": variant, "DesiredInstanceCount": count}
        request = {"EndpointName": endpoint, "DesiredWeightsAndCapacities": [change]}
        await self._control.call("UpdateEndpointWeightsAndCapacities", request)

"""`network`: where the containers run."""

from __future__ import annotations

from pydantic import Field

from mmectl.config.sections.section import Section
from mmectl.spec import network


class Network(Section):
    """Where the containers run."""

    subnets: tuple[str, ...] = Field(
        (), strict=False, max_length=16, description="subnets of your VPC; none: SageMaker's own"
    )
    security_groups: tuple[str, ...] = Field(
        (), strict=False, max_length=5, description="security groups in that VPC"
    )
    isolated: bool = Field(False, description="true: containers reach nothing outside")

    def as_network(self) -> network.Network:
        """The network as `endpoint` wants it."""
        return network.Network(self.subnets, self.security_groups, self.isolated)

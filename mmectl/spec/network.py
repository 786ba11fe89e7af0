"""Where the containers run: a VPC of one's own, without a way out; as parts of CreateModel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Network:
    """Ids of subnets and security groups, both or none; `isolated`: containers reach nothing."""

    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    isolated: bool = False


OPEN = Network()


def model_members(network: Network) -> dict[str, Any]:
    """A model request's `VpcConfig` and `EnableNetworkIsolation`; nothing where none is wanted."""
    made: dict[str, Any] = {}
    if network.subnets:
        made["VpcConfig"] = {
            "SecurityGroupIds": sorted(network.security_groups),
            "Subnets": sorted(network.subnets),
        }
    if network.isolated:
        made["EnableNetworkIsolation"] = True
    return made


def words(request: Mapping[str, Any]) -> list[str]:
    """A model request's network for people, such as ``in subnet-0a, subnet-0b``, ``isolated``."""
    subnets = request.get("VpcConfig", {}).get("Subnets", ())
    said = [f"in {', '.join(subnets)}"] if subnets else []
    return [*said, "isolated"] if request.get("EnableNetworkIsolation") else said

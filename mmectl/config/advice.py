"""What is allowed and yet goes wrong for many: told by `config check`, `plan` and `deploy`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmectl.base import partitions
from mmectl.config.checks.endpoint import has_disks
from mmectl.config.sections.settings import Settings


def advice(settings: Settings) -> list[str]:
    """``key: text`` of each thing that deserves a second look."""
    return [f"{key}: {text}" for key, text in _advice(settings)]


def _advice(settings: Settings) -> Iterator[tuple[str, str]]:
    kind = settings.endpoint.instance_type
    region = settings.aws.region
    if region is not None and not partitions.is_known(region):
        text = f"is {region}, which the installed botocore does not know{_near(region)}"
        yield "aws.region", text
    if len(settings.network.subnets) == 1:
        text = "names one subnet; SageMaker wants two in different zones, even for one instance"
        yield "network.subnets", text
    if settings.endpoint.kms_key is not None and has_disks(kind):
        text = (
            f"models lie on the disks of {kind}, which its hardware encrypts: "
            "this key is for volumes"
        )
        yield "endpoint.kms_key", text
    if settings.capture.enabled:
        text = (
            "SageMaker stops capturing while a disk is more than 75 % full, and a multi-model "
            "endpoint fills its disks with models: watch DiskUtilization"
        )
        yield "capture.enabled", text


def _near(region: str) -> str:
    found = partitions.near(region)
    return f": {found}?" if found else ""


def shared_endpoints(environments: Mapping[str, Settings]) -> list[str]:
    """Which environments would deploy to one and the same endpoint."""
    by_place: dict[tuple[object, ...], list[str]] = {}
    for name, one in environments.items():
        place = (one.platform, one.aws.profile, one.aws.region, one.endpoint.name)
        by_place.setdefault(place, []).append(name)
    return [
        f"environments: {' and '.join(names)} deploy to one endpoint, {place[-1]}: give each an "
        "endpoint.name, a profile or a region of its own"
        for place, names in by_place.items()
        if len(names) > 1
    ]

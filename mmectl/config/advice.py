"""What is allowed and yet goes wrong for many: told by `config check`, `plan` and `deploy`."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.config.checks import has_disks
from mmectl.config.sections import Settings


def advice(settings: Settings) -> list[str]:
    """``key: text`` of each thing that deserves a second look."""
    return [f"{key}: {text}" for key, text in _advice(settings)]


def _advice(settings: Settings) -> Iterator[tuple[str, str]]:
    kind = settings.endpoint.instance_type
    if len(settings.network.subnets) == 1:
        text = "names one subnet; SageMaker wants two in different zones, even for one instance"
        yield "network.subnets", text
    if settings.endpoint.kms_key is not None and has_disks(kind):
        text = (
            f"models lie on the disks of {kind}, which its hardware encrypts: "
            "this key is for volumes"
        )
        yield "endpoint.kms_key", text

"""Instance types: vCPUs, memory and disk, and the share that models may take.

The types are in ``instances.json``, which ``scripts/instances.py`` writes: vCPUs, memory (MiB),
NVMe disks (GB), architecture, whether there is an accelerator (GPU, Inferentia, Trainium), and how
many of NVIDIA's GPUs. A type with NVMe disks takes no other volume; the others have an EBS volume,
of 30 GB unless the variant says otherwise.

There are no prices: neither moto nor botocore carries them, AWS's Price List answers only to an
account, and a figure kept here would be wrong without anybody noticing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

GIB = 1024**3
GB = 10**9
VOLUME_GB = 30  # of a variant that does not say (VolumeSizeInGB)
_TABLE = Path(__file__).with_name("instances.json")


@dataclass(frozen=True, slots=True)
class InstanceType:
    """vCPUs, memory and NVMe disks in bytes; `known` is False where the default stands in.

    `architecture` is the kernel's name, x86_64 or arm64.
    """

    vcpus: int
    memory: int
    nvme: int = 0
    architecture: str = "x86_64"
    accelerated: bool = False
    known: bool = True
    gpus: int = 0

    @property
    def multi_model(self) -> bool:
        """Whether SageMaker runs multi-model endpoints on it: no accelerator, or a single GPU."""
        return not self.accelerated or self.gpus == 1


DEFAULT = InstanceType(4, 16 * GIB, known=False)
"""What an unknown type is taken for: an ml.m5.xlarge."""

# Family, generation, attributes: the processor comes first among the attributes, g is Graviton
# (EC2 User Guide, "Instance type naming conventions")
_NAME = re.compile(r"ml\.(?P<family>[a-z]+)\d+(?P<attributes>[a-z]*)[.-]")
_ACCELERATED = ("p", "g", "inf", "trn")


def instance_type(name: str) -> InstanceType:
    """Look up a type such as ``ml.m5.xlarge``.

    A type that is not in the list is DEFAULT, with the architecture that its name tells.
    """
    row = _types().get(name.removeprefix("ml.")) if name.startswith("ml.") else None
    if row is None:
        return _unknown(name)
    vcpus, memory_mib, nvme_gb, architecture, accelerated, gpus = row
    return InstanceType(
        vcpus, memory_mib << 20, nvme_gb * GB, architecture, bool(accelerated), gpus=gpus
    )


# SageMaker developer guide, multi-model-support: its table has those of one GPU
_LISTED = ("p2", "p3", "g4dn", "g5")


def listed_for_multi_model(name: str) -> bool:
    """Whether AWS's page lists the type, or it is one of the CPU types, which all are supported."""
    kind = instance_type(name)
    family = name.removeprefix("ml.").partition(".")[0]
    return not kind.accelerated or (kind.multi_model and family in _LISTED)


def single_gpu_types(family: str) -> tuple[str, ...]:
    """SageMaker's names of the types of a family that have one GPU, smallest first."""
    found = [
        name for name, row in _types().items() if name.startswith(f"{family}.") and row[5] == 1
    ]
    return tuple(f"ml.{name}" for name in sorted(found, key=lambda name: _types()[name][:2]))


@lru_cache(maxsize=1)
def _types() -> dict[str, tuple[int, int, int, str, int, int]]:
    types: dict[str, tuple[int, int, int, str, int, int]] = json.loads(_TABLE.read_bytes())["types"]
    return types


def _unknown(name: str) -> InstanceType:
    match = _NAME.match(name)
    if match is None:
        return DEFAULT
    graviton = match["attributes"].startswith("g") or match["family"] == "a"
    return replace(
        DEFAULT,
        architecture="arm64" if graviton else "x86_64",
        accelerated=match["family"] in _ACCELERATED,
    )


def model_memory(
    name: str, machine: int, share: int, reserved: int, wanted: int | None = None
) -> int:
    """Bytes of memory for models on one instance.

    That is `wanted`, by default the memory of the type less what the server itself needs
    (`reserved`), capped by an equal share of this `machine` (bytes) among the `share` instances
    that it holds, with a fifth left to the system; never negative.
    """
    mine = instance_type(name).memory - reserved if wanted is None else wanted
    cap = machine * 4 // (5 * max(share, 1)) - reserved
    return max(min(mine, cap), 0)


def model_disk(
    name: str, volume_gb: int | None, machine: int, share: int, wanted: int | None = None
) -> int:
    """Bytes of disk for models on one instance.

    That is `wanted`, by default the NVMe disks of the type, else its volume (`volume_gb`, 30
    where None), capped by an equal share of `machine` (bytes that are free or held already),
    of which a tenth is left.
    """
    mine = instance_type(name).nvme or (volume_gb or VOLUME_GB) << 30
    cap = machine * 9 // (10 * max(share, 1))
    return max(min(mine if wanted is None else wanted, cap), 0)

"""What an instance type has: vCPUs, memory and disk, and what of it models may take. Pure.

Source: the instance families of EC2 as AWS publishes them (https://aws.amazon.com/ec2/instance-types/;
SageMaker's ``ml.`` types are the same machines): a size ``Nxlarge`` has 4 * N vCPUs, and a
family has a fixed ratio of memory to vCPUs: compute (c) 2 GiB, general (m) 4, memory (r) 8.
Types with local NVMe disks have a fixed number of GB for each vCPU, and take no other volume; the
others have an EBS volume, of 30 GB unless the variant says otherwise. The types that break a rule
are listed one by one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

GIB = 1024**3
GB = 10**9
VOLUME_GB = 30  # of a variant that does not say (VolumeSizeInGB)


@dataclass(frozen=True, slots=True)
class InstanceType:
    """vCPUs, memory and NVMe disks in bytes; `known` is False where the default stands in."""

    vcpus: int
    memory: int
    nvme: int = 0
    known: bool = True


DEFAULT = InstanceType(4, 16 * GIB, known=False)
"""What an unknown type is taken for: an ml.m5.xlarge."""

_TYPE = re.compile(r"ml\.(?P<family>[a-z]+)(?P<rest>\d+[a-z-]*)\.(?P<size>[a-z0-9]+)")
_SIZES = {"medium": 1, "large": 2, "xlarge": 4}
_RATIO = {"c": 2.0, "m": 4.0, "r": 8.0, "g": 4.0, "gr": 8.0, "inf": 2.0, "trn": 4.0}
_RATIO_OF_GENERATION = {"g6e": 8.0, "inf2": 4.0}
_SPECIAL: dict[str, tuple[int, float]] = {
    "t2.medium": (2, 4), "t2.large": (2, 8), "t2.xlarge": (4, 16), "t2.2xlarge": (8, 32),
    "t3.medium": (2, 4), "t3.large": (2, 8), "t3.xlarge": (4, 16), "t3.2xlarge": (8, 32),
    "c4.large": (2, 3.75), "c4.xlarge": (4, 7.5), "c4.2xlarge": (8, 15),
    "c4.4xlarge": (16, 30), "c4.8xlarge": (36, 60),
    "p2.xlarge": (4, 61), "p2.8xlarge": (32, 488), "p2.16xlarge": (64, 732),
    "p3.2xlarge": (8, 61), "p3.8xlarge": (32, 244), "p3.16xlarge": (64, 488),
    "p3dn.24xlarge": (96, 768), "p4d.24xlarge": (96, 1152), "p4de.24xlarge": (96, 1152),
    "p5.48xlarge": (192, 2048), "p5e.48xlarge": (192, 2048), "p5en.48xlarge": (192, 2048),
}  # fmt: skip
# GB for each vCPU, by generation
_NVME_RATIO = {
    "m5d": 37.5, "r5d": 37.5, "c5d": 25.0, "c6gd": 59.375, "m6gd": 59.375, "r6gd": 59.375,
    "c7gd": 59.375, "m7gd": 59.375, "r7gd": 59.375,
}  # fmt: skip
_NVME = {
    "c5d.12xlarge": 1800,
    "g4dn.xlarge": 125, "g4dn.2xlarge": 225, "g4dn.4xlarge": 225, "g4dn.8xlarge": 900,
    "g4dn.12xlarge": 900, "g4dn.16xlarge": 900,
    "g5.xlarge": 250, "g5.2xlarge": 450, "g5.4xlarge": 600, "g5.8xlarge": 900,
    "g5.12xlarge": 3800, "g5.16xlarge": 1900, "g5.24xlarge": 3800, "g5.48xlarge": 7600,
    "g6.xlarge": 250, "g6.2xlarge": 450, "g6.4xlarge": 600, "g6.8xlarge": 900,
    "g6.12xlarge": 3760, "g6.16xlarge": 1880, "g6.24xlarge": 3760, "g6.48xlarge": 7520,
    "p3dn.24xlarge": 1800, "p4d.24xlarge": 8000, "p4de.24xlarge": 8000,
    "p5.48xlarge": 30400, "p5e.48xlarge": 30400, "p5en.48xlarge": 30400,
}  # fmt: skip


def instance_type(name: str) -> InstanceType:
    """Look up a type such as ``ml.m5.xlarge``; an unknown one gives DEFAULT."""
    special = _SPECIAL.get(name.removeprefix("ml."))
    if special is not None:
        return InstanceType(special[0], int(special[1] * GIB), _nvme(name, special[0]))
    match = _TYPE.fullmatch(name)
    if match is None:
        return DEFAULT
    generation = match["family"] + match["rest"]
    ratio = _RATIO_OF_GENERATION.get(generation, _RATIO.get(match["family"]))
    vcpus = _vcpus(match["size"])
    if ratio is None or vcpus is None:
        return DEFAULT
    return InstanceType(vcpus, int(vcpus * ratio * GIB), _nvme(name, vcpus))


def _nvme(name: str, vcpus: int) -> int:
    """Bytes of the local disks of a type, 0 where it has none."""
    short = name.removeprefix("ml.")
    ratio = _NVME_RATIO.get(short.partition(".")[0], 0.0)
    return _NVME.get(short, int(vcpus * ratio)) * GB


def _vcpus(size: str) -> int | None:
    """The vCPUs of a size name: large 2, xlarge 4, 12xlarge 48."""
    if size in _SIZES:
        return _SIZES[size]
    match = re.fullmatch(r"(\d{1,3})xlarge", size)
    return 4 * int(match[1]) if match else None


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

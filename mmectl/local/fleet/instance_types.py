"""What an instance type has: vCPUs and memory. Pure.

Source: the instance families of EC2 as AWS publishes them (https://aws.amazon.com/ec2/instance-types/;
SageMaker's ``ml.`` types are the same machines): a size ``Nxlarge`` has 4 * N vCPUs, and a
family has a fixed ratio of memory to vCPUs: compute (c) 2 GiB, general (m) 4, memory (r) 8.
The older and the accelerated types that break the rule are listed one by one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class InstanceType:
    """vCPUs and memory in bytes; `known` is False where the default stands in."""

    vcpus: int
    memory: int
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


def instance_type(name: str) -> InstanceType:
    """Look up a type such as ``ml.m5.xlarge``; an unknown one gives DEFAULT."""
    special = _SPECIAL.get(name.removeprefix("ml."))
    if special is not None:
        return InstanceType(special[0], int(special[1] * GIB))
    match = _TYPE.fullmatch(name)
    if match is None:
        return DEFAULT
    generation = match["family"] + match["rest"]
    ratio = _RATIO_OF_GENERATION.get(generation, _RATIO.get(match["family"]))
    vcpus = _vcpus(match["size"])
    if ratio is None or vcpus is None:
        return DEFAULT
    return InstanceType(vcpus, int(vcpus * ratio * GIB))


def _vcpus(size: str) -> int | None:
    """The vCPUs of a size name: large 2, xlarge 4, 12xlarge 48."""
    if size in _SIZES:
        return _SIZES[size]
    match = re.fullmatch(r"(\d{1,3})xlarge", size)
    return 4 * int(match[1]) if match else None


def model_memory(name: str, machine: int, share: int, reserved: int) -> int:
    """Bytes for models on one instance.

    That is the memory of the type, capped by an equal share of this `machine` (bytes) among
    `share` instances with a fifth left to the system, less what the server itself needs
    (`reserved`); never negative.
    """
    mine = min(instance_type(name).memory, machine * 4 // (5 * max(share, 1)))
    return max(mine - reserved, 0)

"""Write mmectl/base/instances.json from moto's list of instance types; `--check` only compares.

Usage: python scripts/instances.py [--check]

SageMaker's ``ml.`` types are EC2's machines. moto refreshes its list from EC2's API
(DescribeInstanceTypes) with each release; kept are the families that botocore's model of SageMaker
names. Types that EC2 has retired and SageMaker still names are added here.
"""

from __future__ import annotations

import gzip
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "mmectl" / "base" / "instances.json"
FIELDS = ("vcpus", "memory_mib", "nvme_gb", "architecture", "accelerated", "gpus")
# as AWS listed them: https://aws.amazon.com/ec2/previous-generation/, .../instance-types/dl1/
RETIRED: dict[str, tuple[int, int, int, str, int, int]] = {
    "dl1.24xlarge": (96, 768 << 10, 4000, "x86_64", 1, 0),
    "p2.xlarge": (4, 61 << 10, 0, "x86_64", 1, 1),
    "p2.8xlarge": (32, 488 << 10, 0, "x86_64", 1, 8),
    "p2.16xlarge": (64, 732 << 10, 0, "x86_64", 1, 16),
    "p3.2xlarge": (8, 61 << 10, 0, "x86_64", 1, 1),
    "p3.8xlarge": (32, 244 << 10, 0, "x86_64", 1, 4),
    "p3.16xlarge": (64, 488 << 10, 0, "x86_64", 1, 8),
}
_ACCELERATORS = ("GpuInfo", "NeuronInfo", "InferenceAcceleratorInfo")


def main() -> int:
    """Write the file, or say that it is stale."""
    text = table(moto_types(), families())
    if "--check" not in sys.argv:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    stale = TARGET.read_text(encoding="utf-8") != text
    if stale:
        print(f"stale: {TARGET.name}; run: python scripts/instances.py", file=sys.stderr)
    return 1 if stale else 0


def moto_types() -> dict[str, dict[str, Any]]:
    """EC2's descriptions by name, as moto ships them."""
    spec = find_spec("moto")
    if spec is None or spec.origin is None:
        raise SystemExit("moto is not installed: make setup")
    file = Path(spec.origin).parent / "ec2" / "resources" / "instance_types.json.gz"
    found: dict[str, dict[str, Any]] = json.loads(gzip.decompress(file.read_bytes()))
    return found


def families() -> set[str]:
    """Those of SageMaker, such as ``m5d``, from every list of types in its service model."""
    from botocore.loaders import Loader

    shapes = Loader().load_service_model("sagemaker", "service-2")["shapes"].values()
    names = [name for shape in shapes for name in shape.get("enum", ())]
    return {name.split(".")[1] for name in names if name.startswith("ml.")}


def table(types: dict[str, dict[str, Any]], wanted: set[str]) -> str:
    """The file's text: one line a type, bare metal left out."""
    rows = RETIRED | {
        name: row(about)
        for name, about in types.items()
        if name.partition(".")[0] in wanted and not about["BareMetal"]
    }
    lines = [f"{json.dumps(name)}: {json.dumps(values)}" for name, values in sorted(rows.items())]
    joined = ",\n".join(lines)
    return f'{{"fields": {json.dumps(FIELDS)}, "types": {{\n{joined}\n}}}}\n'


def row(about: dict[str, Any]) -> tuple[int, int, int, str, int, int]:
    """What the file keeps of a description."""
    architectures = about["ProcessorInfo"]["SupportedArchitectures"]
    return (
        about["VCpuInfo"]["DefaultVCpus"],
        about["MemoryInfo"]["SizeInMiB"],
        about.get("InstanceStorageInfo", {}).get("TotalSizeInGB", 0),
        "arm64" if "arm64" in architectures else "x86_64",
        int(any(kind in about for kind in _ACCELERATORS)),
        sum(gpu["Count"] for gpu in _gpus(about) if gpu["Manufacturer"] == "NVIDIA"),
    )


def _gpus(about: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = about.get("GpuInfo", {}).get("Gpus", [])
    return found


if __name__ == "__main__":
    sys.exit(main())

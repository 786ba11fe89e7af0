"""What instance types have, and what of it models may use."""

from __future__ import annotations

import pytest
from botocore.loaders import Loader

from mmectl.base.instances import (
    DEFAULT,
    GIB,
    InstanceType,
    instance_type,
    listed_for_multi_model,
    model_disk,
    model_memory,
)


@pytest.mark.parametrize(
    ("name", "vcpus", "gib"),
    [
        ("ml.m5.xlarge", 4, 16),
        ("ml.m5.large", 2, 8),
        ("ml.m5.24xlarge", 96, 384),
        ("ml.m7i.48xlarge", 192, 768),
        ("ml.c5.9xlarge", 36, 72),
        ("ml.c5.18xlarge", 72, 144),
        ("ml.c6gn.medium", 1, 2),
        ("ml.c4.large", 2, 3.75),
        ("ml.r5.2xlarge", 8, 64),
        ("ml.r8g.12xlarge", 48, 384),
        ("ml.t2.medium", 2, 4),
        ("ml.t3.2xlarge", 8, 32),
        ("ml.g4dn.12xlarge", 48, 192),
        ("ml.g6e.xlarge", 4, 32),
        ("ml.p3.2xlarge", 8, 61),
        ("ml.inf1.6xlarge", 24, 48),
        ("ml.inf2.8xlarge", 32, 128),
    ],
)
def test_known_types(name: str, vcpus: int, gib: float) -> None:
    found = instance_type(name)
    assert (found.vcpus, found.memory, found.known) == (vcpus, int(gib * GIB), True)


def test_types_that_break_every_rule_of_names() -> None:
    assert instance_type("ml.g7e.12xlarge") == InstanceType(
        48, 512 * GIB, 3800 * 10**9, accelerated=True, gpus=2
    )
    assert instance_type("ml.trn1.32xlarge").nvme == 7600 * 10**9
    assert instance_type("ml.p5.4xlarge").vcpus == 16


@pytest.mark.parametrize(
    ("name", "architecture", "accelerated"),
    [
        ("ml.m5.xlarge", "x86_64", False),
        ("ml.c6gn.medium", "arm64", False),
        ("ml.dl1.24xlarge", "x86_64", True),
        ("ml.g4dn.xlarge", "x86_64", True),
        ("ml.m99g.xlarge", "arm64", False),  # by its name
        ("ml.p99.xlarge", "x86_64", True),
    ],
)
def test_architecture_and_accelerators(name: str, architecture: str, accelerated: bool) -> None:
    found = instance_type(name)
    assert (found.architecture, found.accelerated) == (architecture, accelerated)


@pytest.mark.parametrize(
    ("name", "gpus", "multi_model", "listed"),
    [
        ("ml.m5.xlarge", 0, True, True),
        ("ml.g4dn.16xlarge", 1, True, True),
        ("ml.g4dn.12xlarge", 4, False, False),
        ("ml.g6e.xlarge", 1, True, False),
        ("ml.p3.2xlarge", 1, True, True),
        ("ml.p3.8xlarge", 4, False, False),
        ("ml.p5.4xlarge", 1, True, False),
        ("ml.inf2.xlarge", 0, False, False),
        ("ml.trn1.2xlarge", 0, False, False),
        ("ml.dl1.24xlarge", 0, False, False),
        ("ml.p99.xlarge", 0, False, False),
    ],
)
def test_a_single_gpu_serves_many_models(name, gpus, multi_model, listed) -> None:
    found = instance_type(name)
    assert (found.gpus, found.multi_model, listed_for_multi_model(name)) == (
        gpus,
        multi_model,
        listed,
    )


def test_every_type_of_an_endpoint_is_known_but_one_that_nobody_describes() -> None:
    shapes = Loader().load_service_model("sagemaker", "service-2")["shapes"]
    names = shapes["ProductionVariantInstanceType"]["enum"]
    unknown = {name for name in names if not instance_type(name).known}
    assert unknown <= {"ml.p6e-gb200.36xlarge"}


@pytest.mark.parametrize("name", ["", "ml.", "m5.xlarge", "ml.z9.xlarge", "ml.m5.huge", "ml.m5"])
def test_unknown_types_give_the_documented_default(name: str) -> None:
    assert instance_type(name) == DEFAULT


def test_memory_for_models_is_capped_by_the_machine() -> None:
    assert model_memory("ml.m5.large", 1000 * GIB, 2, GIB) == 7 * GIB
    assert model_memory("ml.m5.large", 10 * GIB, 2, GIB) == 3 * GIB
    assert model_memory("ml.m5.large", GIB, 2, GIB) == 0


def test_a_configured_amount_of_memory_is_capped_as_well() -> None:
    assert model_memory("ml.m5.large", 1000 * GIB, 2, GIB, 3 * GIB) == 3 * GIB
    assert model_memory("ml.m5.large", 10 * GIB, 2, GIB, 5 * GIB) == 3 * GIB


@pytest.mark.parametrize(
    ("name", "gb"),
    [
        ("ml.m5.xlarge", 0),
        ("ml.m5d.large", 75),
        ("ml.m5d.24xlarge", 3600),
        ("ml.c5d.9xlarge", 900),
        ("ml.c5d.12xlarge", 1800),
        ("ml.r7gd.2xlarge", 474),
        ("ml.g4dn.xlarge", 125),
        ("ml.p4d.24xlarge", 8000),
        ("ml.nonsense", 0),
    ],
)
def test_local_disks(name: str, gb: int) -> None:
    assert instance_type(name).nvme == gb * 10**9


def test_disk_for_models() -> None:
    large = 10**6 * GIB
    assert model_disk("ml.m5.large", None, large, 2) == 30 * GIB
    assert model_disk("ml.m5.large", 100, large, 2) == 100 * GIB
    assert model_disk("ml.m5d.large", 100, large, 2) == 75 * 10**9  # it takes no other volume
    assert model_disk("ml.m5.large", 100, large, 2, 5 * GIB) == 5 * GIB
    assert model_disk("ml.m5.large", None, 20 * GIB, 2) == 9 * GIB
    assert model_disk("ml.m5.large", None, 0, 1) == 0

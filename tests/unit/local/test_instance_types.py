"""What instance types have, and what of it models may use."""

from __future__ import annotations

import pytest

from mmectl.local.fleet.instance_types import DEFAULT, GIB, instance_type, model_memory


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


@pytest.mark.parametrize("name", ["", "ml.", "m5.xlarge", "ml.z9.xlarge", "ml.m5.huge", "ml.m5"])
def test_unknown_types_give_the_documented_default(name: str) -> None:
    assert instance_type(name) == DEFAULT


def test_memory_for_models_is_capped_by_the_machine() -> None:
    assert model_memory("ml.m5.large", 1000 * GIB, 2, GIB) == 7 * GIB
    assert model_memory("ml.m5.large", 10 * GIB, 2, GIB) == 3 * GIB
    assert model_memory("ml.m5.large", GIB, 2, GIB) == 0

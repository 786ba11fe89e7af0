"""The real image in the lab's engine; import the fixtures into a test module."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lab import Lab

from mmectl.local.fleet.engine import Engine


@pytest.fixture(scope="module")
def reference(lab: Lab, root: Path) -> str:
    """The project's own image, in the lab's engine."""
    name = f"{lab.registry}/mmectl:runtime"
    base = f"BASE_IMAGE={lab.base_image}"
    lab.run(
        "build", "--network", "host", "--build-arg", base, "--tag", name, root / "container",
        env={"DOCKER_BUILDKIT": "1"},
    )  # fmt: skip
    return name


@pytest.fixture(scope="module")
def surroundings(lab: Lab) -> dict[str, str]:
    return {**os.environ, **lab.environment}


@pytest.fixture(scope="module")
def engine(surroundings: dict[str, str]) -> Engine:
    return Engine(surroundings)

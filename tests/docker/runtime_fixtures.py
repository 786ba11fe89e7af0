"""The real image in the lab's engine; import the fixtures into a test module."""

from __future__ import annotations

import os

import pytest
from lab import Lab

from mmectl.local.instance.docker_cli import Engine


@pytest.fixture(scope="module")
def reference(lab: Lab, image: str) -> str:
    """The project's own image, in the lab's engine, under a name as ECR's."""
    name = f"{lab.registry}/mmectl:runtime"
    lab.run("tag", image, name)
    return name


@pytest.fixture(scope="module")
def surroundings(lab: Lab) -> dict[str, str]:
    return {**os.environ, **lab.environment}


@pytest.fixture(scope="module")
def engine(surroundings: dict[str, str]) -> Engine:
    return Engine(surroundings)

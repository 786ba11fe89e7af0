"""The lab as a fixture; where there can be none the tests skip with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from lab import Lab, Unavailable


@pytest.fixture(scope="session")
def lab(root: Path) -> Iterator[Lab]:
    """A Docker engine, a base image and a registry as ECR's, for the session."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(Lab(root))
        except Unavailable as error:
            pytest.skip(str(error))
        yield running


@pytest.fixture(scope="session")
def image(lab: Lab, root: Path) -> str:
    """The name of the image of container/, built by BuildKit."""
    name = "mmectl-contract"
    context = root / "container"
    base = f"BASE_IMAGE={lab.base_image}"
    lab.run("build", "-q", "-t", name, "--build-arg", base, context, env={"DOCKER_BUILDKIT": "1"})
    return name

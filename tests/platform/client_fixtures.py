"""What the tests of AWS's own clients share; import the fixture into a test module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project, made, share_environments, surroundings_of


@pytest.fixture(scope="module")
def project(root: Path, runtime: str, request: pytest.FixtureRequest) -> Iterator[Project]:
    """A project with the container's image and no models, for the module's runtime."""
    local, environment = surroundings_of(runtime, request)
    config = f"platform: local\nimage: {{context: {root / 'container'}}}\n{local}"
    with made(root, config, local, environment) as project:
        if runtime == "process":
            share_environments(project, request)
        yield project

"""What the tests of this folder call the fixtures of all tests."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def image(container_image: str) -> str:
    """The name of the image of container/, in the lab's engine."""
    return container_image

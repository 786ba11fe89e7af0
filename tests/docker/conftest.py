"""The lab as a fixture; where there can be none the tests skip with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import Lab, Unavailable


@pytest.fixture(scope="session")
def lab(root: Path) -> Iterator[Lab]:
    """A Docker engine, a base image and a registry as ECR's, for the session."""
    running = Lab(root)
    try:
        running.__enter__()
    except Unavailable as error:
        pytest.skip(str(error))
    with running:
        yield running

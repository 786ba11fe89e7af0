"""Fixtures for every kind of test."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

# Whoever starts the tests in the background of a shell hands them an ignored Ctrl-C, which the
# programs that the tests interrupt would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's own folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """Real trained models with known answers, or a skip that says why."""
    folder = SHARED / "models"
    if not folder.is_dir():
        pytest.skip("no real models beside the project (../shared/models)")
    return folder


@pytest.fixture(scope="session")
def shared_images() -> Path:
    """Real photographs, or a skip that says why."""
    folder = SHARED / "images"
    if not folder.is_dir():
        pytest.skip("no photographs beside the project (../shared/images)")
    return folder

"""Fixtures for every kind of test."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from collecting import (  # the hooks of all tests
    pytest_collection_finish,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_make_collect_report,
    pytest_terminal_summary,
    pytest_xdist_make_scheduler,
)
from hypothesis import settings

if TYPE_CHECKING:
    from lab import Engine, Lab
    from lab_share import Engines

__all__ = [
    "pytest_collection_finish",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_make_collect_report",
    "pytest_terminal_summary",
    "pytest_xdist_make_scheduler",
]
pytest_plugins = ["pytester"]

# Whoever starts the tests in the background of a shell hands them an ignored Ctrl-C, which the
# programs that the tests interrupt would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The programs that tests start by the hundred import what others compiled before them.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# How long an example takes says more about the machine than about the code.
settings.register_profile("mmectl", deadline=None)
settings.load_profile("mmectl")

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's own folder."""
    return ROOT


@pytest.fixture(scope="session")
def workers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary folder that the workers of this run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


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


@pytest.fixture(scope="session")
def engines(root: Path, workers_folder: Path) -> Iterator[Engines]:
    """The Docker engines of a run."""
    from lab_share import Engines

    with ExitStack() as stack:
        yield Engines(root, workers_folder, stack)


@pytest.fixture(scope="session")
def lab(engines: Engines) -> Lab:
    """A Docker engine, a base image and a registry as ECR's; a skip where there can be none."""
    from lab_machine import Unavailable

    try:
        return engines.lab()
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def docker_engine(engines: Engines) -> Engine:
    """A Docker engine with a base image, which the workers of a run share; or a skip."""
    from lab_machine import Unavailable

    try:
        return engines.engine()
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def container_image(docker_engine: Engine, root: Path) -> str:
    """The name of the image of container/, built by BuildKit."""
    name = "mmectl:tests"
    context = root / "container"
    base = f"BASE_IMAGE={docker_engine.base_image}"
    docker_engine.run(
        "build", "-q", "-t", name, "--build-arg", base, context, env={"DOCKER_BUILDKIT": "1"}
    )
    return name


@pytest.fixture(scope="module", params=["process", "docker"])
def runtime(request: pytest.FixtureRequest) -> str:
    """What instances run as: tests that take it run with both where there may be a lab."""
    from lab_machine import asked_for

    if request.param == "docker" and not asked_for(os.environ):
        pytest.skip("with containers only where MMECTL_LAB=1 asks for the Docker lab")
    return str(request.param)

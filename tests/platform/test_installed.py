"""The wheel on a machine that never saw the repository: from nothing to a first answer.

An empty environment, an empty home, an empty folder; no PYTHONPATH, and no mmectl on the PATH. What
pip would fetch from the index comes from uv's cache where it was fetched before.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from projects import BIN, clean_environment

from mmectl import __version__
from mmectl.images.context import context_digest
from mmectl.local import processes

pytestmark = pytest.mark.alone  # the way to the first answer is timed

MOST_BYTES = 5_000_000
MOST_SECONDS = 180  # on two cores


def uv(*arguments: str | Path) -> str:
    done = subprocess.run([BIN / "uv", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class Machine:
    """An empty folder, and the environment of a shell whose PATH has a venv's programs."""

    folder: Path
    venv: Path
    environment: dict[str, str]

    def run(self, *arguments: str | Path, code: int = 0, below: str = "") -> str:
        done = subprocess.run(
            [str(one) for one in arguments],
            cwd=self.folder / below,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout if code == 0 else done.stderr

    def data(self, *arguments: str | Path, below: str = "") -> Any:
        """The `data` of a command's envelope."""
        return json.loads(self.run("mmectl", *arguments, "--json", below=below))["data"]


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("wheel")
    uv("build", "--wheel", "--out-dir", made, root)
    (found,) = made.glob("*.whl")
    return found


@pytest.fixture
def machine() -> Iterator[Machine]:
    place = Path(tempfile.mkdtemp(prefix="mme"))
    home, folder, venv = place / "home", place / "work", place / "venv"
    home.mkdir()
    folder.mkdir()
    dropped = ("PYTHON", "MMECTL_", "VIRTUAL_ENV")
    kept = {k: v for k, v in clean_environment().items() if not k.startswith(dropped)}
    others = (one for one in os.environ["PATH"].split(os.pathsep) if Path(one) != BIN)
    path = os.pathsep.join([str(venv / "bin"), *others])
    own = {"HOME": str(home), "PATH": path, "UV_CACHE_DIR": uv("cache", "dir")}
    made = Machine(folder, venv, kept | own | {"MMECTL_LOCAL_RUNTIME": "process"})
    try:
        yield made
    finally:
        if (folder / ".mmectl").exists():
            made.run("mmectl", "local", "down")
        assert processes.marked((folder / ".mmectl").resolve()) == []
        shutil.rmtree(place)


def test_the_wheel_is_small_and_typed_and_carries_nothing_compiled(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {"mmectl/py.typed", "mmectl/_data/examples/multi_model_endpoint.ipynb"} <= set(names)
    assert [name for name in names if "__pycache__" in name] == []
    assert wheel.stat().st_size < MOST_BYTES


def test_from_an_empty_folder_to_a_first_answer_within_three_minutes(machine, wheel, root):
    python = machine.venv / "bin" / "python"
    constraints = root / "scripts" / "constraints.txt"
    began = time.monotonic()
    uv("venv", "--python", sys.executable, machine.venv)
    wanted = f"mmectl[local] @ {wheel.as_uri()}"
    uv("pip", "install", "--python", python, "--constraint", constraints, wanted)
    machine.run("mmectl", "init", "--yes", "--example", "xgboost")
    machine.run("mmectl", "build")
    machine.run("mmectl", "upload", "--all")
    assert machine.data("deploy")["status"] == "InService"
    answer = machine.data("invoke", "-m", "ring", "models/ring/rows.csv")
    took = time.monotonic() - began

    true = json.loads((machine.folder / "models" / "ring" / "expected.json").read_text())
    assert json.loads(answer["body"]) == pytest.approx(
        true["answers"]["rows.csv"], abs=true["tolerance"]
    )
    assert took < MOST_SECONDS
    where = "import mmectl; print(mmectl.__file__)"
    assert Path(machine.run("python", "-c", where).strip()).is_relative_to(machine.venv)

    # commands go on from a folder below, and files that are typed are meant from there
    assert (
        machine.data("invoke", "-m", "ring", "rows.csv", below="models/ring")["body"]
        == (answer["body"])
    )

    # the container that was copied out of the wheel gives the same image, until it is changed
    machine.run("mmectl", "init", "--eject-container")
    assert context_digest(machine.folder / "container") == context_digest(root / "container")
    assert machine.data("build")["built"] is False
    assert machine.data("deploy")["changed"] is False
    (machine.folder / "container" / "note").write_text("another digest")
    failed = machine.run("mmectl", "deploy", code=1)
    assert "the image of container/ is not built" in failed

    # an upgrade that brings another container says so, and names what to do
    shutil.rmtree(machine.folder / "container")
    package = Path(machine.run("python", "-c", where).strip()).parent
    with (package / "_data" / "container" / "model_handler.py").open("a") as handler:
        handler.write("# changed by a later mmectl\n")
    (package / "__init__.py").write_text('__version__ = "99.0"\n')
    failed = machine.run("mmectl", "deploy", code=1)
    assert "the container of mmectl 99.0 differs from that of the image that serves, " in failed
    assert f"built with mmectl {__version__}; the new image is not built" in failed
    assert "next:  mmectl build" in failed
    (first,) = machine.data("plan")["first"]
    assert (first["command"], first["why"] in failed) == ("mmectl build", True)
    machine.run("mmectl", "build", "--set", "build.smoke_test=off")
    (warning,) = machine.data("plan")["warnings"]
    assert warning.endswith(f"built with mmectl {__version__}; deploy replaces it")

    machine.run("mmectl", "destroy", "--yes")
    assert machine.data("status")["status"] is None

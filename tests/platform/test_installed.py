"""The wheel in an empty environment and an empty folder: what a user has who has no repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from projects import BIN, clean_environment

from mmectl.images.context import context_digest
from mmectl.local import processes

MOST_BYTES = 5_000_000


def uv(*arguments: str | Path) -> str:
    done = subprocess.run([BIN / "uv", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel alone, and a folder that holds nothing."""

    bin: Path
    folder: Path
    environment: dict[str, str]

    def run(self, program: str, *arguments: str | Path) -> str:
        done = subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def data(self, *arguments: str | Path) -> Any:
        """The `data` of a command's envelope."""
        return json.loads(self.run("mmectl", *arguments, "--json"))["data"]


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("wheel")
    uv("build", "--wheel", "--out-dir", made, root)
    (found,) = made.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(root: Path, wheel: Path) -> Iterator[Installed]:
    place = Path(tempfile.mkdtemp(prefix="mme"))
    home, folder = place / "home", place / "work"
    home.mkdir()
    folder.mkdir()
    (folder / "config.yaml").write_text("platform: local\n")
    uv("venv", "--python", sys.executable, place / "venv")
    constraints = root / "scripts" / "constraints.txt"
    target = ("--python", place / "venv" / "bin" / "python", "--constraint", constraints)
    uv("pip", "install", *target, f"mmectl[local] @ {wheel.as_uri()}")
    dropped = ("PYTHON", "MMECTL_", "VIRTUAL_ENV")
    kept = {k: v for k, v in clean_environment().items() if not k.startswith(dropped)}
    path = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if Path(p) != BIN)
    own = {"HOME": str(home), "PATH": path, "MMECTL_LOCAL_RUNTIME": "process"}
    # packages that were fetched before need not be fetched again
    own["UV_CACHE_DIR"] = uv("cache", "dir")
    made = Installed(place / "venv" / "bin", folder, kept | own)
    try:
        yield made
    finally:
        made.run("mmectl", "local", "down")
        assert processes.marked((folder / ".mmectl").resolve()) == []
        shutil.rmtree(place)


def test_the_wheel_is_small_and_typed_and_carries_nothing_compiled(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {"mmectl/py.typed", "mmectl/_data/examples/multi_model_endpoint.ipynb"} <= set(names)
    assert [name for name in names if "__pycache__" in name] == []
    assert wheel.stat().st_size < MOST_BYTES


def test_an_installed_mmectl_builds_uploads_deploys_and_answers(installed, root):
    find = "from mmectl.base import packaged; print(packaged.examples())"
    examples = Path(installed.run("python", "-c", find).strip())
    assert examples.is_relative_to(installed.bin.parent)

    built = installed.data("build")
    assert built["digest"] == context_digest(root / "container")
    installed.run("mmectl", "upload", examples / "models" / "shapes")
    assert installed.data("deploy")["status"] == "InService"
    answer = installed.data("invoke", "-m", "shapes", examples / "images" / "star.jpg")
    assert answer["labels"][0]["class"] == "star"

    # a copy beside the configuration is what counts then, and it is the same image
    shutil.copytree(examples.parent / "container", installed.folder / "container")
    assert installed.data("build")["built"] is False
    assert installed.data("deploy")["changed"] is False
    (installed.folder / "container" / "note").write_text("another digest")
    with pytest.raises(AssertionError, match="the image of container/ is not built"):
        installed.run("mmectl", "deploy")

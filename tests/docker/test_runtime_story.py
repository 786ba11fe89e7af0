"""The commands with instances that are containers; platform and supervisor are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import Lab
from runtime_fixtures import engine, surroundings

from mmectl.image import build_local
from mmectl.local import processes
from mmectl.local.fleet.engine import Engine
from mmectl.local.values import ACCOUNT

__all__ = ["engine", "surroundings"]
STAR = "examples/images/star.jpg"


class Project:
    """A folder with a config.yaml of its own, and `mmectl` run in it beside the lab's engine."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.state = (folder / ".mmectl").resolve()
        self._environment = environment

    def mmectl(self, *arguments: str, code: int = 0) -> Any:
        """The command's envelope."""
        done = subprocess.run(
            [Path(sys.executable).parent / "mmectl", *arguments, "--json"],
            cwd=self.folder,
            capture_output=True,
            env=self._environment,
            check=False,
            timeout=180,
        )
        assert done.returncode == code, done.stderr.decode() + done.stdout.decode()
        return json.loads(done.stdout)

    def configure(self, root: Path, base: str, runtime: str) -> None:
        models = root / "examples" / "models"
        (self.folder / "config.yaml").write_text(
            "platform: local\n"
            f"image: {{context: {root / 'container'}}}\n"
            f"build: {{base_image: '{base}'}}\n"
            f"local: {{runtime: {runtime}}}\n"
            "endpoint: {name: demo, instance_count: 2}\n"
            f"models:\n  - {{name: digits, path: {models / 'digits'}}}\n"
        )


@pytest.fixture(scope="module")
def project(root: Path, lab: Lab) -> Iterator[Project]:
    outer = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
    folder = Path(tempfile.mkdtemp(prefix="mme"))
    project = Project(folder, {**outer, **lab.environment})
    project.configure(root, lab.base_image, "docker")
    shutil.copytree(root / "examples" / "images", folder / "examples" / "images")
    yield project
    project.mmectl("local", "down")
    shutil.rmtree(folder)


def asked(project: Project) -> Any:
    return project.mmectl("invoke", "-m", "digits", STAR)["data"]["labels"]


def rows(project: Project) -> list[dict[str, Any]]:
    return project.mmectl("local", "status")["data"]["endpoints"][0]["instances"]


def kinds(project: Project) -> set[str]:
    return {row["runtime"]["name"] for row in rows(project)}


def log(project: Project) -> str:
    return (project.state / "local" / "platform.log").read_text()


def test_the_story(project: Project, engine: Engine, root: Path, lab: Lab) -> None:
    built = project.mmectl("build")["data"]
    assert built["built"]
    assert project.mmectl("build")["data"]["built"] is False
    assert not (project.state / "envs").exists()  # nothing is made that containers do not need
    # for plain processes as well, so that the endpoint can change to them
    repository = built["image"].partition("/")[2].rpartition(":")[0]
    build_local(
        root / "container",
        project.state,
        account=ACCOUNT,
        region="us-east-1",
        repository=repository,
    )
    project.mmectl("upload", "--all")
    project.mmectl("deploy")
    assert asked(project)
    assert len(engine.of(project.state)) == 2
    assert kinds(project) == {"docker"}
    assert log(project).count("demo/AllTraffic runs as docker: local.runtime is docker") == 1

    os.kill(project.mmectl("local", "status")["data"]["pid"], signal.SIGKILL)
    assert asked(project)
    assert len(engine.of(project.state)) == 2

    for process in processes.marked(project.state):
        os.kill(process.pid, signal.SIGKILL)
    assert asked(project)
    assert len(engine.of(project.state)) == 2

    project.configure(root, lab.base_image, "process")
    refused = project.mmectl("status", code=1)["errors"][0]
    assert "local.runtime docker, not process" in refused["message"]
    assert "mmectl local down" in refused["hint"]
    project.mmectl("local", "down")
    assert engine.of(project.state) == []
    assert processes.marked(project.state) == []
    assert asked(project)  # up again, and all is back
    assert kinds(project) == {"process"}
    assert engine.of(project.state) == []

    project.mmectl("local", "down")
    project.configure(root, lab.base_image, "auto")
    assert asked(project)
    assert kinds(project) == {"docker"}
    assert "runs as docker: the Docker engine has the image" in log(project)
    project.mmectl("local", "down")
    assert engine.of(project.state) == []

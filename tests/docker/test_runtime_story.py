"""The commands with instances that are containers; platform and supervisor are killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from data_plane import kill
from projects import Project, config_of, made, surroundings_of

from mmectl.image import build_local
from mmectl.local import processes
from mmectl.local.values import ACCOUNT


@pytest.fixture(scope="module")
def project(root: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    local, environment = surroundings_of("docker", request)
    models = {"digits": root / "examples" / "models" / "digits"}
    config = config_of(root, models, local, "instance_count: 2")
    with made(root, config, local, environment) as project:
        yield project


def configure(project: Project, runtime: str) -> None:
    """Write another `local.runtime` into its config.yaml."""
    path = project.folder / "config.yaml"
    lines = path.read_text().splitlines()
    kept = [line for line in lines if not line.startswith("local:")]
    path.write_text("\n".join([*kept, f"local: {{runtime: {runtime}}}", ""]))


def asked(project: Project) -> Any:
    star = project.root / "examples" / "images" / "star.jpg"
    return project.data("invoke", "-m", "digits", str(star))["labels"]


def rows(project: Project) -> list[dict[str, Any]]:
    return project.data("local", "status")["endpoints"][0]["instances"]


def kinds(project: Project) -> set[str]:
    return {row["runtime"]["name"] for row in rows(project)}


def log(project: Project) -> str:
    return (project.state / "local" / "platform.log").read_text()


def test_the_story(project: Project, root: Path) -> None:
    built = project.data("build")
    assert built["built"]
    assert project.data("build")["built"] is False
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
    assert len(project.containers) == 2
    assert kinds(project) == {"docker"}
    assert log(project).count("demo/AllTraffic runs as docker: local.runtime is docker") == 1

    os.kill(project.data("local", "status")["pid"], signal.SIGKILL)
    assert asked(project)
    assert len(project.containers) == 2

    kill(*(process.pid for process in processes.marked(project.state.resolve())))
    assert asked(project)
    assert len(project.containers) == 2

    configure(project, "process")
    refused = json.loads(project.mmectl("status", "--json", code=1).stdout)["errors"][0]
    assert "local.runtime docker, not process" in refused["message"]
    assert "mmectl local down" in refused["hint"]
    project.mmectl("local", "down")
    assert project.containers == []
    assert processes.marked(project.state.resolve()) == []
    assert asked(project)  # up again, and all is back
    assert kinds(project) == {"process"}
    assert project.containers == []

    project.mmectl("local", "down")
    configure(project, "auto")
    assert asked(project)
    assert kinds(project) == {"docker"}
    assert "runs as docker: the Docker engine has the image" in log(project)
    project.mmectl("local", "down")
    assert project.containers == []

"""The story by real commands and the real Multi Model Server, as AWS on a bad day.

Fifty more seeds run without containers: tests/functional/test_bad_day_story.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import warm_start
from bad_day_lab import PASSING
from projects import BIN, Project, config_of, made, share_environments

TRIES = 6


@pytest.fixture(scope="module")
def project(root: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    config = config_of(root, {"shapes": root / "examples" / "models" / "shapes"})
    with made(root, config) as project:
        share_environments(project, request)
        project.mmectl("build")
        project.mmectl("local", "down")
        yield project


def told(project: Project, *arguments: str) -> Any:
    """The data of a command that is run until the platform has answered it."""
    for _ in range(TRIES):
        done = warm_start.run(
            BIN / "mmectl", *arguments, "--json", cwd=project.folder, env=project.environment
        )
        said = json.loads(done.stdout)
        if done.returncode == 0:
            return said["data"]
        assert {one["code"] for one in said["errors"]} <= PASSING, said
    raise AssertionError(said)


@pytest.mark.parametrize("seed", [3, 8])
def test_the_story_with_the_real_server(project, root, seed):
    project.mmectl("local", "down")
    project.mmectl("local", "up", "--bad-day", str(seed))
    assert project.data("local", "status")["bad_day"] == seed
    refused = project.mmectl("local", "up", "--bad-day", str(seed + 1), code=1)
    assert f"it runs with --bad-day {seed}" in refused.stderr.decode()
    told(project, "upload", "--all")
    first = told(project, "deploy")
    assert first["status"] == "InService"
    star = str(root / "examples" / "images" / "star.jpg")
    assert told(project, "invoke", "-m", "shapes", star)["labels"][0]["class"] == "star"
    assert told(project, "deploy")["config"] == first["config"]
    changed = ("--set", "endpoint.environment={GENERATION: two}")
    assert told(project, "deploy", *changed)["config"] != first["config"]
    assert told(project, "wait")["status"] == "InService"
    assert told(project, "invoke", "-m", "shapes", star)["labels"][0]["class"] == "star"
    told(project, "destroy", "--artifacts")
    project.mmectl("local", "down")
    sagemaker = project.client("sagemaker")  # up again, on a good day
    assert "bad_day" not in project.data("local", "status")
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    assert sagemaker.list_models()["Models"] == []

"""examples/compose: the platform as a container, asked by another one, by `docker compose`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lab_tools
import pytest
from lab import Lab
from lab_machine import Unavailable
from projects import BIN

UNSIGNED = """
import sys, urllib.error, urllib.request
print(urllib.request.urlopen("http://platform:8080/health").status)
try:
    urllib.request.urlopen("http://platform:8080/-/status")
except urllib.error.HTTPError as error:
    print(error.code)
"""
# What stands for Amazon's image, which is of another registry: the same program, from PyPI.
CLI = """
FROM {0}
USER root
RUN /opt/mmectl/bin/python -m pip install -q --no-cache-dir awscli
HEALTHCHECK NONE
ENTRYPOINT ["aws"]
"""


# It installs mmectl and a serving environment into an image: three minutes of two processors.
pytestmark = pytest.mark.skipif(
    "MMECTL_COMPOSE" not in os.environ, reason="the image of examples/compose: MMECTL_COMPOSE=1"
)


@dataclass(frozen=True)
class Recipe:
    """The folder of the recipe with a wheel of this mmectl, and `docker compose` in it."""

    lab: Lab
    folder: Path
    client: Path

    def compose(self, *arguments: str) -> str:
        named = ("--project-name", f"{self.lab.name}-recipe")
        own = {"DOCKER_CONFIG": str(self.client)}
        return self.lab.run("compose", *named, *arguments, cwd=self.folder, env=own)


@pytest.fixture(scope="module")
def recipe(root: Path, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recipe]:
    examples = tmp_path_factory.mktemp("recipe")
    for name in ("compose", "models", "images"):
        shutil.copytree(root / "examples" / name, examples / name)
    folder = examples / "compose"
    subprocess.run(
        [BIN / "uv", "build", "--quiet", "--wheel", "--out-dir", folder, root], check=True
    )
    client = examples / "client"
    plugins = client / "cli-plugins"
    plugins.mkdir(parents=True)
    cache = root / ".mmectl" / "lab"
    try:
        for plugin in (lab_tools.compose(cache), lab_tools.buildx(cache)):
            (plugins / plugin.name).symlink_to(plugin)
    except Unavailable as error:
        pytest.skip(str(error))
    made = Recipe(lab, folder, client)
    try:
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "30")


def test_the_platform_of_the_recipe_is_asked_by_another_container(recipe: Recipe) -> None:
    lab = recipe.lab
    (wheel,) = recipe.folder.glob("*.whl")
    recipe.compose(
        *("build", "--quiet", "--build-arg", f"BASE_IMAGE={lab.base_image}"),
        *("--build-arg", f"MMECTL=/srv/project/{wheel.name}[local]", "platform"),
    )
    image = f"{lab.name}-recipe-platform"
    other = recipe.folder / "cli"
    other.mkdir()
    (other / "Dockerfile").write_text(CLI.format(image))
    lab.run("build", "--quiet", "--tag", "amazon/aws-cli", other)

    for _ in range(2):  # and once more after it was stopped, with what it keeps
        recipe.compose("up", "--wait", "platform")
        answer = recipe.compose("run", "--rm", "application")
        assert json.loads(answer.partition("]")[0] + "]")[0].endswith("class=star")
        recipe.compose("stop", "--timeout", "30", "platform")
        found = recipe.compose("ps", "--all", "--quiet", "platform").split()
        assert json.loads(lab.run("inspect", *found))[0]["State"]["ExitCode"] == 0

    recipe.compose("up", "--wait", "platform")
    asked = ("run", "--rm", "--entrypoint", "python3", "application", "-c", UNSIGNED)
    assert recipe.compose(*asked).split() == ["200", "403"]
    secret = recipe.compose(
        *("exec", "--no-TTY", "platform", "sed", "-n", "s/aws_secret.* = //p", "/srv/aws/config")
    )
    assert secret.strip()
    assert secret.strip() not in recipe.compose("logs", "platform")
    assert recipe.compose("ps", "--format", "{{.Ports}}", "platform").strip() == "8080/tcp"

"""examples/compose: the platform as a container, asked by another one, as its compose.yaml says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from lab import Lab
from projects import BIN

ASK = """
import boto3, json
answer = boto3.client("sagemaker-runtime").invoke_endpoint(
    EndpointName="shop", TargetModel="shapes.tar.gz", ContentType="image/jpeg",
    Body=open("/images/star.jpg", "rb").read())
print(json.load(answer["Body"])[0])
"""
UNSIGNED = """
import sys, urllib.error, urllib.request
print(urllib.request.urlopen("http://platform:8080/health").status)
try:
    urllib.request.urlopen("http://platform:8080/-/status")
except urllib.error.HTTPError as error:
    print(error.code)
"""


# It installs mmectl and a serving environment into an image: three minutes of two processors.
pytestmark = pytest.mark.skipif(
    "MMECTL_COMPOSE" not in os.environ, reason="the image of examples/compose: MMECTL_COMPOSE=1"
)


@pytest.fixture(scope="module")
def recipe(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the recipe, with a wheel of this mmectl in it."""
    folder = tmp_path_factory.mktemp("recipe") / "compose"
    shutil.copytree(root / "examples" / "compose", folder)
    subprocess.run(
        [BIN / "uv", "build", "--quiet", "--wheel", "--out-dir", folder, root], check=True
    )
    return folder


def test_the_platform_of_the_recipe_is_asked_by_another_container(
    lab: Lab, recipe: Path, root: Path
) -> None:
    (wheel,) = recipe.glob("*.whl")
    tag = "mmectl-platform:tests"
    base = f"BASE_IMAGE={lab.base_image}"
    lab.run(
        *("build", "-q", "-t", tag, "--build-arg", base),
        *("--build-arg", f"MMECTL=/srv/project/{wheel.name}[local]", recipe),
        env={"DOCKER_BUILDKIT": "1"},
    )
    services = yaml.safe_load((recipe / "compose.yaml").read_text())["services"]
    assert services["application"]["environment"]["AWS_CONFIG_FILE"] == "/srv/aws/config"
    lab.run("volume", "create", "aws")
    lab.run(
        *("run", "--detach", "--name", "platform", "--hostname", "platform", "--init"),
        *(
            f"--volume={root / 'examples' / 'models'}:/srv/project/models:ro",
            "--volume=aws:/srv/aws",
        ),
        tag,
    )
    try:
        wait_until_healthy(lab)
        shown = json.loads(lab.run("inspect", "platform"))[0]
        address = shown["NetworkSettings"]["IPAddress"]
        assert not shown["HostConfig"]["PortBindings"]
        other = (
            *("run", "--rm", "--user", "1000", f"--add-host=platform:{address}"),
            *("--env=AWS_CONFIG_FILE=/srv/aws/config", "--volume=aws:/srv/aws:ro"),
            *(f"--volume={root / 'examples' / 'images'}:/images:ro", tag, "python", "-c"),
        )
        assert lab.run(*other, ASK).strip().endswith("class=star")
        assert lab.run(*other, UNSIGNED).split() == ["200", "403"]
        secret = lab.run("exec", "platform", "sed", "-n", "s/aws_secret.* = //p", "/srv/aws/config")
        assert secret.strip()
        assert secret.strip() not in lab.run("logs", "platform")
        lab.run("stop", "--time", "30", "platform")
        state = json.loads(lab.run("inspect", "platform"))[0]["State"]
        assert state["ExitCode"] == 0
    finally:
        lab.run("rm", "--force", "platform")


def wait_until_healthy(lab: Lab) -> None:
    deadline = time.monotonic() + 180
    while True:
        state = json.loads(lab.run("inspect", "platform"))[0]["State"]
        if state["Health"]["Status"] == "healthy":
            return
        assert state["Running"], lab.run("logs", "platform")
        assert time.monotonic() < deadline, lab.run("logs", "platform")
        time.sleep(0.5)

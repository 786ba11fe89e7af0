"""From the Dockerfile to known answers: built, pushed, pulled back by digest, deployed, asked."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from build_project import DOCKER, Project, logged_in
from data_plane import NETWORKS, close_to
from lab import REGION, Lab

from mmectl.local.client import platform
from mmectl.local.instance.docker_cli import Engine


@pytest.fixture
def state() -> Iterator[Path]:
    """The folder of the platform."""
    folder = Path(tempfile.mkdtemp(prefix="mme"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def project(
    lab: Lab, state: Path, shared_models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Project]:
    """A project whose SageMaker and S3 run instances in the lab's engine; ECR is the lab's."""
    models = "".join(f"  - {{name: {n}, path: {shared_models / n}}}\n" for n in NETWORKS)
    (tmp_path / "config.yaml").write_text(
        f"image: {{context: {lab.project / 'container'}, repository: story}}\n"
        "endpoint: {name: story, instance_count: 1}\n"
        f"models:\n{models}"
    )
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    connection = platform.start(state, region=REGION, runtime="docker")
    keys = connection.credentials
    project = Project(tmp_path, lab, "story")
    project.more = {
        "AWS_ENDPOINT_URL": connection.endpoint_url,
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
    }
    yield project
    platform.stop(state)


def tags(lab: Lab) -> list[str]:
    found = lab.client("ecr").list_images(repositoryName="story")["imageIds"]
    return sorted(image["imageTag"] for image in found)


def endpoint(project: Project) -> Any:
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=project.more["AWS_ENDPOINT_URL"],
        region_name=REGION,
        aws_access_key_id=project.more["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=project.more["AWS_SECRET_ACCESS_KEY"],
    )


def test_the_image_gives_the_known_answers(
    lab: Lab, project: Project, state: Path, shared_models: Path, shared_images: Path
) -> None:
    answer, _ = project.mmectl("build", "--set", f"build.base_image={lab.base_image}")
    image, reference = answer["data"]["image"], answer["data"]["reference"]
    own = project.folder / "client"
    with logged_in(lab, own) as environment:
        # by hand, as anybody pushes: the same image under another tag has the same digest
        by_hand = f"{reference.rpartition(':')[0]}:by-hand"
        lab.run("tag", reference, by_hand)
        assert answer["data"]["digest"] in lab.run("push", by_hand, env=environment)
        lab.run("rmi", reference, by_hand)
        assert lab.run("images", "--quiet", reference.rpartition(":")[0]) == ""
        lab.run("pull", "--quiet", image, env=environment)
    assert project.manifest(imageTag="by-hand")["imageManifestMediaType"] == DOCKER
    project.settings = ("--set", f"build.base_image={lab.base_image}")
    project.mmectl("upload", "--all")
    deployed, said = project.mmectl("deploy")
    assert (deployed["data"]["status"], "warning" in said) == ("InService", False)
    tag = f"in-use.story.{answer['data']['digest'][7:19]}"
    assert tags(lab) == sorted(["by-hand", answer["data"]["tag"], tag])
    (container,) = Engine({**os.environ, **lab.environment}).of(state)
    served = lab.run("inspect", "--format", "{{.Image}}", container)
    assert served == lab.run("image", "inspect", "--format", "{{.Id}}", image)
    golden = json.loads((shared_models / "golden.json").read_text())["outputs"]
    client, asked = endpoint(project), 0
    for network in NETWORKS:
        for picture, expected in golden[network].items():
            said = client.invoke_endpoint(
                EndpointName="story",
                TargetModel=f"{network}.tar.gz",
                ContentType="image/jpeg",
                Body=(shared_images / picture).read_bytes(),
            )
            assert close_to(json.loads(said["Body"].read()), expected), (network, picture)
            asked += 1
    assert asked >= len(NETWORKS)
    project.mmectl("destroy", "--yes")
    assert tags(lab) == sorted(["by-hand", answer["data"]["tag"]])

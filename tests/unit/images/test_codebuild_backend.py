"""What AWS CodeBuild is told; values only."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from pathlib import Path

import yaml

from mmectl.images.buildspec import Where, buildspec, project, project_name, source, variables
from mmectl.images.trial import Trial
from mmectl.images.values import BuildRequest

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
REQUEST = BuildRequest(
    Path("c"), f"{REGISTRY}/models:t", "sha256:ab", "linux/arm64", "debian:12", owner="me"
)
WHERE = Where("bucket", "arn:aws:iam::123456789012:role/b", "us-east-1", {"team": "vision"})


def test_the_build_logs_in_with_a_token_of_its_own_and_takes_names_from_variables():
    commands = yaml.safe_load(buildspec(REQUEST))["phases"]["build"]["commands"]
    assert commands == [
        'aws ecr get-login-password --region "$REGION"'
        ' | docker login --username AWS --password-stdin "$REGISTRY"',
        'docker build --platform "$PLATFORM" --tag "$IMAGE" --label "$LABEL"'
        ' --build-arg "BASE_IMAGE=$BASE_IMAGE" context',
        "sh smoke/smoke.sh",
        'docker push "$IMAGE"',
    ]
    assert REGISTRY not in buildspec(REQUEST)


def test_a_base_image_in_ecr_is_pulled_with_a_token_of_its_own_region():
    other = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
    wanted = dataclasses.replace(REQUEST, base_image=f"{other}/python:3.11", trial=Trial("off"))
    commands = yaml.safe_load(buildspec(wanted))["phases"]["build"]["commands"]
    assert commands[1] == (
        'aws ecr get-login-password --region "$BASE_REGION"'
        ' | docker login --username AWS --password-stdin "$BASE_REGISTRY"'
    )
    assert len(commands) == 4
    found = variables(wanted, "us-east-1")
    assert (found["BASE_REGION"], found["BASE_REGISTRY"]) == ("eu-west-1", other)
    own = dataclasses.replace(wanted, base_image=f"{REGISTRY}/python:3.11")
    assert len(yaml.safe_load(buildspec(own))["phases"]["build"]["commands"]) == 3


def test_the_source_is_the_context_and_the_smoke_test(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    wanted = dataclasses.replace(REQUEST, context=tmp_path)
    names = zipfile.ZipFile(io.BytesIO(source(wanted))).namelist()
    assert names == ["context/Dockerfile", "smoke/smoke.sh", "smoke/asking.py", "smoke/model.tar"]
    wanted = dataclasses.replace(wanted, trial=Trial("off"))
    assert zipfile.ZipFile(io.BytesIO(source(wanted))).namelist() == ["context/Dockerfile"]


def test_the_project_is_of_the_platform_and_keeps_logs():
    made = project("p", REQUEST, WHERE)
    assert project_name(REQUEST) == "mmectl-build-me"
    assert made["environment"]["type"] == "ARM_CONTAINER"
    assert "aarch64" in made["environment"]["image"]
    values = {v["name"]: v["value"] for v in made["environment"]["environmentVariables"]}
    assert (values["IMAGE"], values["BASE_IMAGE"]) == (REQUEST.reference, "debian:12")
    assert values["BUILDX_NO_DEFAULT_ATTESTATIONS"] == "1"
    assert made["source"]["location"] == "bucket/mmectl-build/p.zip"
    assert made["logsConfig"]["cloudWatchLogs"]["groupName"] == "/aws/codebuild/p"
    assert made["tags"] == [{"key": "team", "value": "vision"}]
    assert json.loads(made["source"]["buildspec"])["version"] == 0.2


def test_the_other_platform_and_the_dockerfiles_own_base():
    wanted = BuildRequest(Path("c"), f"{REGISTRY}/models:t", "sha256:ab", "linux/amd64")
    made = project("p", wanted, WHERE)
    assert made["environment"]["type"] == "LINUX_CONTAINER"
    assert "BASE_IMAGE" not in json.dumps(made)

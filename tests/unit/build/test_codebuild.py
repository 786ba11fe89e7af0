"""What AWS CodeBuild is told; values only."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from mmectl.build.codebuild import Where, buildspec, project
from mmectl.build.values import Order

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
ORDER = Order(Path("c"), f"{REGISTRY}/models:t", "sha256:ab", "linux/arm64", "debian:12")
WHERE = Where("bucket", "arn:aws:iam::123456789012:role/b", "us-east-1", {"team": "vision"})


def test_the_build_logs_in_with_a_token_of_its_own_and_takes_names_from_variables():
    commands = yaml.safe_load(buildspec(ORDER))["phases"]["build"]["commands"]
    assert commands == [
        'aws ecr get-login-password --region "$REGION"'
        ' | docker login --username AWS --password-stdin "$REGISTRY"',
        'docker build --platform "$PLATFORM" --tag "$IMAGE" --label "$LABEL"'
        ' --build-arg "BASE_IMAGE=$BASE_IMAGE" .',
        'docker push "$IMAGE"',
    ]
    assert REGISTRY not in buildspec(ORDER)


def test_the_project_is_of_the_platform_and_keeps_logs():
    made = project("p", ORDER, WHERE, "k.zip")
    assert made["environment"]["type"] == "ARM_CONTAINER"
    assert "aarch64" in made["environment"]["image"]
    values = {v["name"]: v["value"] for v in made["environment"]["environmentVariables"]}
    assert (values["IMAGE"], values["BASE_IMAGE"]) == (ORDER.reference, "debian:12")
    assert values["BUILDX_NO_DEFAULT_ATTESTATIONS"] == "1"
    assert made["source"]["location"] == "bucket/k.zip"
    assert made["logsConfig"]["cloudWatchLogs"]["groupName"] == "/aws/codebuild/p"
    assert made["tags"] == [{"key": "team", "value": "vision"}]
    assert json.loads(made["source"]["buildspec"])["version"] == 0.2


def test_the_other_platform_and_the_dockerfiles_own_base():
    order = Order(Path("c"), f"{REGISTRY}/models:t", "sha256:ab", "linux/amd64")
    made = project("p", order, WHERE, "k.zip")
    assert made["environment"]["type"] == "LINUX_CONTAINER"
    assert "BASE_IMAGE" not in json.dumps(made)

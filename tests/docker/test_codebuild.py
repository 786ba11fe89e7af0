"""The backend `codebuild` over the wire: what it is told to run is run, in the lab."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from build_project import DOCKER, SMALL, Project, pulled_back, small, wait_until
from fakes.codebuild import CodeBuildService
from lab import Lab

__all__ = ["small"]
ROLE = "arn:aws:iam::123456789012:role/builder"
# the one call of AWS's command line that the build needs
AWS = """#!{python}
import base64, sys
sys.path[:0] = {path!r}
import boto3
assert sys.argv[1:4] == ["ecr", "get-login-password", "--region"], sys.argv
token = boto3.client("ecr", region_name=sys.argv[4]).get_authorization_token()
text = base64.b64decode(token["authorizationData"][0]["authorizationToken"]).decode()
print(text.partition(":")[2])
"""


@pytest.fixture
def service(small: Project, lab: Lab, tmp_path: Path) -> Iterator[CodeBuildService]:
    """CodeBuild, which the project's `mmectl` is pointed at."""
    programs, home = tmp_path / "codebuild" / "bin", tmp_path / "codebuild" / "home"
    programs.mkdir(parents=True)
    home.mkdir()
    aws = programs / "aws"
    aws.write_text(AWS.format(python=sys.executable, path=sys.path))
    aws.chmod(0o755)
    environment = {
        **{k: v for k, v in small.environment.items() if k.startswith("AWS_")},
        "DOCKER_HOST": lab.environment["DOCKER_HOST"],
        "PATH": f"{programs}:{Path(lab.docker).parent}:/usr/bin:/bin",
        "HOME": str(home),
    }

    def source(location: str) -> bytes:
        bucket, _, key = location.partition("/")
        return lab.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()

    service = CodeBuildService(tmp_path / "codebuild" / "builds", source, environment)
    small.more["AWS_ENDPOINT_URL_CODEBUILD"] = service.url
    small.more["AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"] = service.url
    small.settings = (
        *("--set", "build.backend=codebuild", "--set", f"build.codebuild_role={ROLE}"),
    )
    yield service
    service.close()


def left(service: CodeBuildService, lab: Lab) -> list[str]:
    """What stands in the account beside the image."""
    keys = [
        item["Key"]
        for bucket in lab.client("s3").list_buckets()["Buckets"]
        for item in lab.client("s3").list_objects_v2(Bucket=bucket["Name"]).get("Contents", ())
        if "mmectl-build" in item["Key"]
    ]
    return [*service.projects, *service.groups, *keys]


def test_an_image_is_built_pushed_and_checked(
    small: Project, service: CodeBuildService, lab: Lab
) -> None:
    answer, said = small.mmectl("build", "--set", f"build.base_image={lab.base_image}")
    data = answer["data"]
    assert (data["backend"], data["media_type"]) == ("codebuild", DOCKER)
    assert "builder: AWS CodeBuild, project mmectl-build-" in said
    assert "COPY entrypoint.py /: " in said
    assert ": pushed" in said
    assert "checks: labels, amd64" in said
    stored = lab.client("ecr").list_images(repositoryName=small.repository)["imageIds"]
    assert [image["imageTag"] for image in stored] == [data["tag"]]
    pulled_back(lab, data["image"], small.folder)
    assert left(service, lab) == []
    (build,) = service.builds.values()
    password = "123456789012-auth-token"
    assert password not in json.dumps([build.project, build.lines])
    again, _ = small.mmectl("build", "--set", f"build.base_image={lab.base_image}")
    assert again["data"]["built"] is False
    assert len(service.builds) == 1


def test_the_container_is_tried_before_it_is_pushed(
    small: Project, service: CodeBuildService, lab: Lab, image: str
) -> None:
    dockerfile = small.folder / "container" / "Dockerfile"
    dockerfile.write_text(f"FROM {image}\nLABEL test=codebuild\n")
    tried = ("--set", "build.smoke_test=true")
    answer, said = small.mmectl("build", *tried)
    assert answer["data"]["backend"] == "codebuild"
    assert "smoke test: ping, load, answer, unload" in said
    broken = "import sys\nsys.exit('I give up')\n"
    (small.folder / "container" / "entrypoint.py").write_text(broken)
    dockerfile.write_text(f"FROM {image}\nCOPY entrypoint.py /opt/serving/\n")
    answer, _ = small.mmectl("build", *tried, code=1)
    error = answer["errors"][0]
    assert error["code"] == "codebuild"
    assert "I give up" in error["message"]
    assert "sh smoke/smoke.sh. Reason: exit status 1" in error["message"]
    stored = lab.client("ecr").list_images(repositoryName=small.repository)["imageIds"]
    assert len(stored) == 1
    assert left(service, lab) == []
    assert lab.run("ps", "--all", "--quiet", "--filter", "label=mmectl.smoke=codebuild") == ""


def test_a_failure_is_a_failure_with_the_last_lines(
    small: Project, service: CodeBuildService, lab: Lab
) -> None:
    dockerfile = small.folder / "container" / "Dockerfile"
    step = "RUN echo before && cat /nowhere 2>&1"  # of two streams either may come between
    dockerfile.write_text(f"ARG BASE_IMAGE\nFROM ${{BASE_IMAGE}}\n{step}\n")
    base = ("--set", f"build.base_image={lab.base_image}")
    answer, _ = small.mmectl("build", *base, code=1)
    error = answer["errors"][0]
    assert error["code"] == "dockerfile"
    assert step in error["message"]
    assert "cat: /nowhere: No such file or directory" in error["message"]
    dockerfile.write_text(SMALL.replace("multi-models=true", "multi-models=false"))
    answer, _ = small.mmectl("build", *base, code=1)
    assert answer["errors"][0]["code"] == "image_checks"
    assert lab.client("ecr").list_images(repositoryName=small.repository)["imageIds"] == []
    service.environment["PATH"] = "/nowhere"
    answer, _ = small.mmectl("build", *base, code=1)
    assert "AWS CodeBuild ended with FAILED" in answer["errors"][0]["message"]
    assert "not found" in answer["errors"][0]["message"]
    assert left(service, lab) == []


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_build_that_is_stopped_leaves_nothing_for_long(
    small: Project, service: CodeBuildService, lab: Lab, stop: signal.Signals
) -> None:
    dockerfile = small.folder / "container" / "Dockerfile"
    base = ("--set", f"build.base_image={lab.base_image}")
    dockerfile.write_text(SMALL + 'RUN ["python3", "-c", "import time; time.sleep(300)"]\n')
    process = small.start("build", *base)
    wait_until(
        lambda: any("sleep(300)" in line for b in service.builds.values() for line in b.lines)
    )
    process.send_signal(stop)
    process.communicate(timeout=60)
    (first,) = service.builds.values()
    if stop == signal.SIGINT:
        assert process.returncode == 130
        wait_until(lambda: first.status == "STOPPED")
        assert left(service, lab) == []
    else:
        assert len(left(service, lab)) == 3  # project, log group, source
    dockerfile.write_text(SMALL)
    answer, said = small.mmectl("build", *base)
    assert answer["data"]["built"] is True
    assert ("removed what a killed build left: mmectl-build-" in said) == (stop == signal.SIGKILL)
    wait_until(lambda: first.status == "STOPPED")
    assert left(service, lab) == []
    stored = lab.client("ecr").list_images(repositoryName=small.repository)["imageIds"]
    assert [image["imageTag"] for image in stored] == [answer["data"]["tag"]]


def test_the_platform_is_the_instance_types(small: Project, service: CodeBuildService) -> None:
    small.mmectl("build", "--set", "endpoint.instance_type=ml.m6g.large")
    (build,) = service.builds.values()
    assert build.project["environment"]["type"] == "ARM_CONTAINER"

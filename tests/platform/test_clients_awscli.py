"""The whole life of an endpoint with the AWS CLI, through nothing but `mmectl local env`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import warm_start
from client_fixtures import project
from projects import BIN, Project, client_environment, tarball

__all__ = ["project"]
pytest.importorskip("awscli", reason="the AWS CLI is not installed")

VARIANT = (
    "VariantName=AllTraffic,ModelName={},InstanceType=ml.m5.xlarge,"
    "InitialInstanceCount=1,InitialVariantWeight=1"
)


class Done(NamedTuple):
    """What `aws` wrote."""

    stdout: str
    stderr: str


@dataclass
class Aws:
    """``aws`` as a user types it."""

    project: Project
    environment: dict[str, str]

    def run(self, *arguments: str | Path, code: int = 0) -> Done:
        done = warm_start.run(
            BIN / "aws",
            *arguments,
            cwd=self.project.folder,
            env=self.environment,
            timeout=120,
            quiet=True,
        )
        said = Done(done.stdout.decode(), done.stderr.decode())
        assert done.returncode == code, said.stderr + said.stdout
        return said

    def text(self, *arguments: str | Path) -> str:
        return self.run(*arguments).stdout

    def json(self, *arguments: str | Path) -> Any:
        return json.loads(self.run(*arguments, "--output", "json").stdout or "null")

    def refused(self, *arguments: str | Path) -> str:
        return self.run(*arguments, code=255).stderr


@pytest.fixture(scope="module")
def aws(project: Project) -> Aws:
    return Aws(project, client_environment(project))


@pytest.fixture(scope="module")
def star(root: Path) -> Path:
    return root / "examples" / "images" / "star.jpg"


def words(line: str) -> list[str]:
    return line.split()


def until(read: Callable[[], Any], wanted: Any) -> None:
    """Poll with boto3: the waiters of the CLI sleep 30 s between two looks."""
    deadline = time.monotonic() + 60
    while (found := read()) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_the_life_of_an_endpoint(aws, project, root, star):
    image = project.data("build")["image"]
    models = project.folder / "models"
    (models / "sub").mkdir(parents=True)
    for name in ("shapes", "digits"):
        tarball(root / "examples" / "models" / name, models / f"{name}.tar.gz")
    (models / "notes.txt").write_text("not a model")

    account = aws.json("sts", "get-caller-identity")["Account"]
    role = aws.text(
        *("iam", "list-roles", "--output", "text", "--query"),
        "Roles[?starts_with(RoleName, 'AmazonSageMaker-ExecutionRole')].Arn | [0]",
    ).strip()
    bucket, prefix = f"sagemaker-us-east-1-{account}", "cli/"
    aws.run("s3", "mb", f"s3://{bucket}")
    aws.run("s3", "sync", models, f"s3://{bucket}/{prefix}", "--exclude", "*.txt")
    listed = aws.text("s3", "ls", f"s3://{bucket}/{prefix}")
    assert [line.split()[-1] for line in listed.splitlines()] == ["digits.tar.gz", "shapes.tar.gz"]

    container = f"Image={image},Mode=MultiModel,ModelDataUrl=s3://{bucket}/{prefix}"
    model = aws.json(
        *("sagemaker", "create-model", "--model-name", "cli", "--execution-role-arn", role),
        *("--primary-container", container, "--tags", "Key=team,Value=a"),
    )
    for config in ("cli", "cli-2"):
        aws.run(
            *("sagemaker", "create-endpoint-config", "--endpoint-config-name", config),
            *("--production-variants", VARIANT.format("cli")),
        )
    tags = aws.json("sagemaker", "list-tags", "--resource-arn", model["ModelArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "a"}]

    aws.run(*words("sagemaker create-endpoint --endpoint-name cli --endpoint-config-name cli"))
    status = "sagemaker describe-endpoint --endpoint-name cli --query EndpointStatus --output text"
    sagemaker = project.client("sagemaker")

    def in_service() -> None:
        describe = lambda: sagemaker.describe_endpoint(EndpointName="cli")  # noqa: E731
        until(lambda: describe()["EndpointStatus"], "InService")
        assert aws.text(*words(status)).strip() == "InService"

    in_service()
    aws.run(*words("sagemaker wait endpoint-in-service --endpoint-name cli"))
    listed = aws.json("sagemaker", "list-endpoints", "--status-equals", "InService")
    assert [item["EndpointName"] for item in listed["Endpoints"]] == ["cli"]

    def ask(target: str) -> str:
        answer = aws.json(
            *("sagemaker-runtime", "invoke-endpoint", "--endpoint-name", "cli"),
            *("--content-type", "image/jpeg", "--target-model", target),
            *("--body", f"fileb://{star}", "answer.json"),
        )
        assert answer["InvokedProductionVariant"] == "AllTraffic"
        return str(json.loads((project.folder / "answer.json").read_text())[0])

    assert ask("shapes.tar.gz").endswith("class=star")
    aws.run("s3", "cp", models / "shapes.tar.gz", f"s3://{bucket}/{prefix}sub/new.tar.gz")
    assert ask("sub/new.tar.gz").endswith("class=star")
    missing = words("sagemaker-runtime invoke-endpoint --endpoint-name cli --body x")
    shown = aws.refused(*missing, "--target-model", "no.tar.gz", "out")
    assert "An error occurred (ValidationError) when calling the InvokeEndpoint operation" in shown

    aws.run(*words("sagemaker update-endpoint --endpoint-name cli --endpoint-config-name cli-2"))
    in_service()
    told = aws.json(*words("sagemaker describe-endpoint --endpoint-name cli"))
    assert told["EndpointConfigName"] == "cli-2"
    assert ask("digits.tar.gz")

    group = "/aws/sagemaker/Endpoints/cli"
    streams = aws.json("logs", "describe-log-streams", "--log-group-name", group)["logStreams"]
    assert streams
    assert all(stream["logStreamName"].startswith("AllTraffic/") for stream in streams)
    events = aws.json("logs", "filter-log-events", "--log-group-name", group, "--limit", "5")
    assert len(events["events"]) == 5
    stream = ("--log-stream-name", streams[0]["logStreamName"])
    assert aws.json("logs", "get-log-events", "--log-group-name", group, *stream)["events"]

    for kind, name in (("endpoint", "cli"), ("endpoint-config", "cli"), ("model", "cli")):
        aws.run("sagemaker", f"delete-{kind}", f"--{kind}-name", name)
    until(lambda: sagemaker.list_endpoints()["Endpoints"], [])
    assert aws.json("sagemaker", "list-endpoints")["Endpoints"] == []
    aws.run(*words("sagemaker wait endpoint-deleted --endpoint-name cli"))
    assert aws.json("sagemaker", "list-models")["Models"] == []
    aws.run("s3", "rb", f"s3://{bucket}", "--force")
    assert aws.text("s3", "ls") == ""


def test_files_go_up_and_down_and_across(aws, project):
    here, back = project.folder / "tree", project.folder / "back"
    (here / "a" / "b").mkdir(parents=True)
    big = os.urandom(17 * 1024 * 1024)  # three parts
    (here / "big.bin").write_bytes(big)
    names = ["a/plus+ &per%cent.txt", "a/b/\u00fcml\u00e4ut \u4e2d.txt", "empty", "a/skip.log"]
    for name in names:
        (here / name).write_text("" if name == "empty" else name)
    aws.run("s3", "mb", "s3://files-one")
    aws.run("s3", "mb", "s3://files-two")
    aws.run("s3", "cp", here, "s3://files-one/t/", "--recursive", "--exclude", "*.log")
    aws.run("s3", "sync", "s3://files-one/t/", back)
    assert (back / "big.bin").read_bytes() == big
    assert (back / names[1]).read_text() == names[1]
    assert not (back / "a" / "skip.log").exists()
    assert aws.text("s3", "sync", "s3://files-one/t/", back) == ""  # nothing changed

    given = ("--metadata", "v=1", "--content-type", "text/x")
    aws.run("s3", "cp", here / names[0], f"s3://files-one/t/{names[0]}", *given)
    tags = '{"TagSet":[{"Key":"a","Value":"b"}]}'
    at = ("--bucket", "files-one", "--key", f"t/{names[0]}")
    aws.run("s3api", "put-object-tagging", *at, "--tagging", tags)
    aws.run("s3", "cp", "s3://files-one/t/", "s3://files-two/u/", "--recursive")
    copied = ("--bucket", "files-two", "--key", f"u/{names[0]}")
    head = aws.json("s3api", "head-object", *copied)
    assert (head["Metadata"], head["ContentType"]) == ({"v": "1"}, "text/x")
    assert aws.json("s3api", "get-object-tagging", *copied)["TagSet"][0]["Key"] == "a"
    replaced = ("--metadata-directive", "REPLACE", "--metadata", "v=2")
    source = f"s3://files-two/u/{names[0]}"
    aws.run("s3", "cp", source, source, *replaced)
    assert aws.json("s3api", "head-object", *copied)["Metadata"] == {"v": "2"}

    (here / "empty").unlink()
    shown = aws.text("s3", "sync", here, "s3://files-one/t/", "--delete", "--exclude", "*.log")
    assert "delete: s3://files-one/t/empty" in shown
    aws.run("s3", "mv", "s3://files-one/t/big.bin", "s3://files-two/moved")
    url = aws.text("s3", "presign", "s3://files-two/moved", "--expires-in", "60").strip()
    fetched = subprocess.run(
        [sys.executable, "-c", FETCH, url], capture_output=True, check=True, env=aws.environment
    )
    assert int(fetched.stdout) == len(big)
    listed = aws.text("s3", "ls", "--recursive", "--summarize", "s3://files-two")
    assert "Total Objects: 5" in listed
    aws.run("s3", "rm", "--recursive", "s3://files-two", "--exclude", "moved")
    assert aws.text("s3", "ls", "s3://files-two").split()[-1] == "moved"
    for name in ("one", "two"):
        aws.run("s3", "rb", f"s3://files-{name}", "--force")


FETCH = "import sys, urllib.request as u; print(len(u.urlopen(sys.argv[1]).read()))"

"""What operators set in config.yaml, through the whole story on one platform.

No write without the KMS key, no model outside the VPC, and the workflow of docs/ci.md as it stands.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from instant_image import REFERENCE, fake_image
from projects import BIN, PROCESSES, Project, made

from mmectl.app import App
from mmectl.aws.encryption import WRITES
from mmectl.cli import run
from mmectl.images.codebuild import Clients, CodeBuild, Where

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
BUCKET = "guarded"
SSE = "x-amz-server-side-encryption"
ENVIRONMENTS = """\
capture: {enabled: true}
environments:
  dev: {endpoint: {name: demo-dev}}
  ab:
    endpoint:
      name: demo-ab
      variants: [{name: A, weight: 3}, {name: B, instance_type: ml.c5.large}]
  prod: {endpoint: {name: demo-prod, environment: {API_KEY: '${API_KEY:-none}'}}}
models: [{name: listed, path: listed, framework: any}]
"""
CONFIG = f"""\
platform: local
image: {{uri: '{REFERENCE}'}}
{PROCESSES}endpoint: {{name: demo, kms_key: alias/volumes}}
bucket: {{name: {BUCKET}, kms_key: '{KEY}'}}
network:
  subnets: [subnet-0123456789abcdef0, subnet-0123456789abcdef1]
  security_groups: [sg-0123456789abcdef0]
  isolated: true
{ENVIRONMENTS}"""


def denial(condition: str, header: str, value: str) -> dict[str, Any]:
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
        "Condition": {condition: {f"s3:{header}": value}},
    }


POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        denial("StringNotEquals", SSE, "aws:kms"),
        denial("StringNotEquals", f"{SSE}-aws-kms-key-id", KEY),
    ],
}


@pytest.fixture(scope="module")
def project(root: Path) -> Iterator[Project]:
    with made(root, CONFIG) as project:
        fake_image(project.state)
        (project.folder / "listed").mkdir()
        (project.folder / "listed" / "weights.bin").write_bytes(b"weights")
        project.mmectl("local", "up")
        s3 = project.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(POLICY))
        yield project


@pytest.fixture
def sent(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, str]]]:
    """Every write that mmectl's commands send in this process: operation and headers."""
    log: list[tuple[str, dict[str, str]]] = []
    monkeypatch.chdir(project.folder)

    class Recorded(App):
        @property
        def aws(self) -> Any:
            aws: Any = super().aws
            client = aws.client("s3")
            client.meta.events.register_first("before-call.s3", note, unique_id="recorded")
            return aws

    def note(model: Any, params: Any, **_: Any) -> None:
        log.append((model.name, {k.lower(): str(v) for k, v in params["headers"].items()}))

    def command(*words: str, code: int = 0) -> None:
        assert run([*words, "--quiet"], Recorded) == code

    command("upload", "small", "--from", str(_folder(project, 10)), "--framework", "any")
    command("upload", "large", "--from", str(_folder(project, 9 << 20)), "--framework", "any")
    command("upload", "small", "--from", str(_folder(project, 11)), "--framework", "any")
    command(
        "upload", "many", "--from", str(_folder(project, 12)), "--framework", "any", "--copies", "3"
    )
    command("models", "promote", "small", "1")
    command("models", "copy", "small", "other")
    command("deploy")
    command("models", "remove", "small_v2", "--yes")
    _build_elsewhere(Recorded)
    return log


def _folder(project: Project, size: int) -> Path:
    folder = project.folder / f"model-{size}"
    folder.mkdir(exist_ok=True)
    (folder / "weights.bin").write_bytes(random.Random(size).randbytes(size))
    (folder / "size.txt").write_text(str(size))
    return folder


def _build_elsewhere(kind: type[App]) -> None:
    """The write of the backend that builds in AWS CodeBuild."""
    app: Any = kind.of_options(
        {
            "as_json": False,
            "json_lines": False,
            "quiet": True,
            "verbose": False,
            "settings": (),
            "platform": None,
            "config_file": None,
            "environment": None,
        },
        begins=True,
    )
    from mmectl.aws.errors import translated

    clients = Clients(None, app.aws.client("s3"), None, translated)
    CodeBuild(clients, Where(BUCKET, "role", "us-east-1", {}))._upload("source.zip", b"PK")


def test_every_write_of_the_story_names_the_key(project, sent):
    writes = [(name, headers) for name, headers in sent if name in WRITES]
    assert {name for name, _ in writes} == set(WRITES)
    for name, headers in writes:
        found = headers.get(SSE), headers.get(f"{SSE}-aws-kms-key-id")
        assert found == ("aws:kms", KEY), name
        assert headers.get(f"{SSE}-bucket-key-enabled") == "true"
    s3 = project.client("s3")
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert any(key.startswith("demo/.") or "pointer" in key or ".json" in key for key in keys)
    for key in keys:
        about = s3.head_object(Bucket=BUCKET, Key=key)
        assert (about["ServerSideEncryption"], about["SSEKMSKeyId"]) == ("aws:kms", KEY), key
        assert about["BucketKeyEnabled"] is True

    model = _serving(project, "describe_model")
    assert model["VpcConfig"]["Subnets"] == ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    assert model["VpcConfig"]["SecurityGroupIds"] == ["sg-0123456789abcdef0"]
    assert model["EnableNetworkIsolation"] is True
    assert _serving(project, "describe_endpoint_config")["KmsKeyId"] == "alias/volumes"
    assert project.data("plan")["up_to_date"] is True


def _serving(project: Project, operation: str) -> Any:
    sagemaker = project.client("sagemaker")
    name = sagemaker.describe_endpoint(EndpointName="demo")["EndpointConfigName"]
    config = sagemaker.describe_endpoint_config(EndpointConfigName=name)
    if operation == "describe_endpoint_config":
        return config
    return sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])


def test_without_the_key_the_bucket_refuses_each_kind_of_write(project):
    folder = _folder(project, 20)
    done = project.mmectl(
        "upload",
        "x",
        "--from",
        str(folder),
        "--framework",
        "any",
        "--set",
        "bucket.kms_key=null",
        code=1,
    )
    assert b"explicit deny in a resource-based policy" in done.stderr
    wrong = "--set", "bucket.kms_key=alias/other"
    project.mmectl("upload", "x", "--from", str(folder), "--framework", "any", *wrong, code=1)
    s3 = project.client("s3")
    named = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KEY}
    s3.put_object(Bucket=BUCKET, Key="source", Body=b"1", **named)
    for call, more in (
        (s3.put_object, {"Body": b"1"}),
        (s3.create_multipart_upload, {}),
        (s3.copy_object, {"CopySource": f"{BUCKET}/source"}),
    ):
        with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
            call(Bucket=BUCKET, Key="x", **more)


def test_requests_are_captured_as_sagemaker_writes_them(project):
    project.mmectl("upload", "asked", "--from", str(_folder(project, 30)), "--framework", "any")
    project.mmectl("deploy")
    (project.folder / "row.csv").write_text("1,2,3")
    asked = project.data("invoke", "-m", "asked", "--inference-id", "order-4711", "row.csv")
    assert asked["body"] == "1,2,3"
    s3, where = project.client("s3"), {"Bucket": BUCKET, "Prefix": "data-capture/demo/AllTraffic/"}
    deadline = time.monotonic() + 60
    while not (found := s3.list_objects_v2(**where).get("Contents")):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    answer = s3.get_object(Bucket=BUCKET, Key=found[0]["Key"])
    assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == ("aws:kms", KEY)
    (line,) = map(json.loads, answer["Body"].read().splitlines())
    assert line["eventMetadata"]["inferenceId"] == "order-4711"
    for part in ("endpointInput", "endpointOutput"):
        assert line["captureData"][part]["data"] == "1,2,3"
        assert line["captureData"][part]["encoding"] == "CSV"
    shown = project.client("sagemaker").describe_endpoint(EndpointName="demo")
    assert shown["DataCaptureConfig"]["CaptureStatus"] == "Started"


def test_variants_share_the_requests_by_their_weights(project):
    ab = "--env", "ab"
    folder = str(_folder(project, 40))
    project.mmectl("upload", "shared", "--from", folder, "--framework", "any", *ab)
    project.mmectl("deploy", *ab)
    (project.folder / "row.csv").write_text("1,2,3")
    one = project.data("invoke", "-m", "shared", "--variant", "B", "row.csv", *ab)
    assert one["variant"] == "B"
    runtime = project.client("sagemaker-runtime")
    asked = {"EndpointName": "demo-ab", "TargetModel": "shared.tar.gz", "Body": b"1"}
    answers = [runtime.invoke_endpoint(**asked)["InvokedProductionVariant"] for _ in range(200)]
    # 150 of 200 at a weight of 3 in 4; out of these bounds once in ten million runs
    assert 115 < answers.count("A") < 183
    assert project.data("invoke", "-m", "shared", "--variant", "A", "row.csv", *ab)["body"]
    project.mmectl("invoke", "-m", "shared", "--variant", "C", "row.csv", *ab, code=1)

    measured = project.data("bench", "run", "--compare-variants", "--count", "20", "row.csv", *ab)
    assert [(v["variant"], v["requests"]) for v in measured["variants"]] == [("A", 10), ("B", 10)]
    heavier = "endpoint.variants=[{name: A, weight: 1}, {name: B, instance_type: ml.c5.large}]"
    (step,) = project.data("plan", "--set", heavier, *ab)["steps"]
    assert step["action"] == "Scale"
    assert step["why"].startswith("A from weight 3 to 1")
    project.mmectl("destroy", "--yes", *ab)


# docs/ci.md


@pytest.fixture(scope="module")
def workflow(root: Path) -> dict[Any, Any]:
    """The workflow of docs/ci.md; YAML reads its `on` as true."""
    text = (root / "docs" / "ci.md").read_text()
    (block,) = re.findall(r"^```yaml\n(name: models\n.*?)^```$", text, re.DOTALL | re.MULTILINE)
    found: dict[Any, Any] = yaml.safe_load(block)
    return found


class Runner:
    """A job's steps in a shell, as GitHub's runner runs them: bash -e, and what they export."""

    # what is not mmectl's: installing it, and talking to GitHub
    STUBS: ClassVar = {"pip": "exit 0", "gh": 'printf "%s\\n" "$*" >> gh.log'}

    def __init__(self, project: Project, workflow: dict[Any, Any]) -> None:
        self.project = project
        self.workflow = workflow
        self.exported = project.folder / "exported"
        bin_ = project.folder / "stubs"
        bin_.mkdir(exist_ok=True)
        for name, body in self.STUBS.items():
            (bin_ / name).write_text(f"#!/bin/sh\n{body}\n")
            (bin_ / name).chmod(0o755)
        self.path = f"{bin_}:{BIN}:{project.environment['PATH']}"

    def run(self, job: str, values: dict[str, str]) -> dict[str, str]:
        """Run a job; gives the variables that its steps exported. `values`: of expressions."""
        self.exported.write_text("")
        done: dict[str, str] = {}
        for step in self.workflow["jobs"][job]["steps"]:
            if "run" not in step or not self._wanted(step.get("if"), done):
                continue
            own = {k: self._value(v, values) for k, v in step.get("env", {}).items()}
            given = {**self.project.environment, **self.workflow["env"], **done, **own}
            given |= {"PATH": self.path, "GITHUB_ENV": str(self.exported)}
            subprocess.run(
                ["bash", "-e", "-c", step["run"]],
                cwd=self.project.folder,
                env=given,
                check=True,
                timeout=300,
            )
            lines = self.exported.read_text().splitlines()
            done = dict(line.split("=", 1) for line in lines)
        return done

    @staticmethod
    def _wanted(condition: str | None, done: dict[str, str]) -> bool:
        if condition is None:
            return True
        name, value = re.fullmatch(r"env\.(\w+) == '(.*)'", condition).groups()
        return done.get(name) == value

    @staticmethod
    def _value(text: str, values: dict[str, str]) -> str:
        found = re.fullmatch(r"\$\{\{ (.*) \}\}", text)
        return values[found[1]] if found else text


def test_the_workflow_asks_for_what_it_needs(workflow):
    assert workflow["permissions"]["id-token"] == "write"
    assert workflow["permissions"]["pull-requests"] == "write"
    jobs = workflow["jobs"]
    for name in ("deploy", "promote"):
        group = {"group": "mmectl-prod", "cancel-in-progress": False}
        assert jobs[name]["concurrency"] == group
    for job in jobs.values():
        uses = [step["uses"] for step in job["steps"] if "uses" in step]
        assert uses[-1].startswith("aws-actions/configure-aws-credentials@")
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), "an expression in a script is an injection"


def test_the_workflow_of_the_documentation_runs(project, workflow):
    runner = Runner(project, workflow)
    number = {"github.token": "t", "github.event.pull_request.number": "7"}
    assert runner.run("plan", number) == {"PLAN": "2"}
    assert "CreateEndpoint" in (project.folder / "comment.md").read_text()
    said = "pr comment 7 --body-file comment.md --edit-last --create-if-none"
    assert (project.folder / "gh.log").read_text().splitlines() == [said]
    runner.run("deploy", {})
    assert runner.run("plan", number) == {"PLAN": "0"}
    assert (project.folder / "gh.log").read_text().splitlines() == [said]

    project.mmectl("upload", "birds", "--from", "listed", "--framework", "any", "--env", "dev")
    runner.run("promote", {"inputs.model": "birds"})
    there, here = (
        project.data("models", "show", "birds", "--env", env)["versions"][0]["digest"]
        for env in ("dev", "prod")
    )
    assert there == here
    again = project.data("models", "copy", "birds", "--from-env", "dev", "--env", "prod")
    assert (again["copied"], again["digest"]) == (False, here)
    wrong = project.mmectl("plan", "--detailed-exitcode", "--env", "prdo", "--json", code=1)
    assert json.loads(wrong.stdout)["exit_code"] == 1

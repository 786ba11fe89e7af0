"""Keys and networks through the whole story: no write without the key, no model outside the VPC."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from instant_image import REFERENCE, fake_image
from projects import PROCESSES, Project, made

from mmectl.app import App
from mmectl.aws.encryption import WRITES
from mmectl.cli import run
from mmectl.images.codebuild import Clients, CodeBuild, Where

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
BUCKET = "guarded"
SSE = "x-amz-server-side-encryption"
CONFIG = f"""\
platform: local
image: {{uri: '{REFERENCE}'}}
{PROCESSES}endpoint: {{name: demo, kms_key: alias/volumes}}
bucket: {{name: {BUCKET}, kms_key: '{KEY}'}}
network:
  subnets: [subnet-0123456789abcdef0, subnet-0123456789abcdef1]
  security_groups: [sg-0123456789abcdef0]
  isolated: true
"""


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
            "quiet": True,
            "verbose": False,
            "settings": (),
            "platform": None,
            "config_file": None,
        },
        begins=True,
    )
    from mmectl.aws.session import translated

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

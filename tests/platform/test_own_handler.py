"""A model that brings its own script: the real server, boto3, tarballs as other containers have."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from projects import PROCESSES, Project, made

TOOLKIT = """
import json, os, pathlib

def model_fn(model_dir):
    # a bare name: the working directory is the model's
    return int(pathlib.Path("factor.txt").read_text())

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    if data == "full":
        raise MemoryError
    if data == "bad":
        raise ValueError("no such thing")
    return [model * value for value in data]

def output_fn(prediction, accept):
    return json.dumps({"answer": prediction}), accept
"""
SERVER = """
class Service:
    def initialize(self, context):
        self.folder = context.system_properties["model_dir"]

    def handle(self, data, context):
        context.set_response_content_type(0, "text/plain")
        return [b"%d bytes" % len(data[0]["body"])]
"""


def packed(path: Path, files: dict[str, str]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))


@pytest.fixture(scope="module")
def project(root: Path) -> Iterator[Project]:
    with made(
        root,
        f"platform: local\nimage: {{context: {root / 'container'}, frameworks: [custom]}}\n"
        f"{PROCESSES}bucket: {{prefix: own/}}\n"
        'endpoint: {name: own, environment: {MMECTL_ALLOW_MODEL_CODE: "true"}}\n',
    ) as project:
        project.state.mkdir(mode=0o700)
        (root / ".mmectl" / "envs").mkdir(mode=0o700, parents=True, exist_ok=True)
        (project.state / "envs").symlink_to(root / ".mmectl" / "envs")
        folder = project.folder / "times"
        folder.mkdir()
        (folder / "inference.py").write_text(TOOLKIT)
        (folder / "factor.txt").write_text("3")
        project.mmectl("build")
        said = project.mmectl("upload", "times", "--from", str(folder), code=1).stderr.decode()
        assert "is code" in said
        project.mmectl("upload", "times", "--from", str(folder), "--allow-code")
        project.mmectl("deploy")
        yield project


def put(project: Project, name: str, files: dict[str, str]) -> None:
    """Put a tarball into the bucket as any client of S3 does."""
    path = project.folder / f"{name}.tar.gz"
    packed(path, files)
    s3 = project.client("s3")
    (bucket,) = (one["Name"] for one in s3.list_buckets()["Buckets"])
    s3.put_object(Bucket=bucket, Key=f"own/{name}.tar.gz", Body=path.read_bytes())


def asked(project: Project, model: str, body: bytes, kind: str) -> tuple[str, bytes]:
    answer = project.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="own", TargetModel=f"{model}.tar.gz", Body=body, ContentType=kind
    )
    return answer["ContentType"], answer["Body"].read()


def test_the_toolkits_functions_answer(project):
    kind, body = asked(project, "times", b"[1, 2]", "application/json")
    assert (kind, json.loads(body)) == ("application/json", {"answer": [3, 6]})


def test_an_error_of_the_script_is_told_without_its_traceback(project):
    with pytest.raises(ClientError) as caught:
        asked(project, "times", b'"bad"', "application/json")
    assert caught.value.response["OriginalStatusCode"] == 500
    assert "ValueError: no such thing" in caught.value.response["OriginalMessage"]
    assert "Traceback" not in caught.value.response["OriginalMessage"]
    assert asked(project, "times", b"[1]", "application/json")[1] == b'{"answer": [3]}'


@pytest.mark.parametrize(
    ("name", "files", "answer"),
    [
        ("code", {"code/inference.py": TOOLKIT, "factor.txt": "5"}, b'{"answer": [5]}'),
        ("service", {"inference.py": SERVER}, b"3 bytes"),
    ],
)
def test_tarballs_of_other_containers_answer_unchanged(project, name, files, answer):
    put(project, name, files)
    assert asked(project, name, b"[1]", "application/json")[1] == answer


def test_a_lack_of_memory_is_told_as_such(project):
    with pytest.raises(ClientError) as caught:
        asked(project, "times", b'"full"', "application/json")
    assert caught.value.response["OriginalStatusCode"] == 507

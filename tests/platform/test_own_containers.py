"""A container whose handler is the user's own: built, tried as configured, deployed and asked."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import PROCESSES, Project, made
from serving_fixtures import serving_image  # noqa: F401 - a fixture

# It takes any folder for a model, and says what it was asked in its own words
HANDLER = """
import os

class Service:
    def __init__(self):
        self.name = None

    def load(self, context):
        folder = context.system_properties["model_dir"]
        self.name = os.path.basename(os.path.dirname(folder)) or folder
        self.files = sorted(os.listdir(folder))

    def answer(self, request):
        body = request.get("body") or b""
        return "Model with %s was asked %d bytes" % (" ".join(self.files), len(body))

service = Service()

def handle(data, context):
    if service.name is None:
        service.load(context)
    if data is None:
        return None
    context.set_response_content_type(0, "text/plain")
    return [service.answer(request) for request in data]
"""


@pytest.fixture(scope="module")
def project(root: Path, serving_image: object) -> Iterator[Project]:  # noqa: F811
    with made(root, f"platform: local\n{PROCESSES}endpoint: {{name: own}}\n") as project:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / "container", project.folder / "container", ignore=ignored)
        (project.folder / "container" / "model_handler.py").write_text(HANDLER)
        project.state.mkdir(mode=0o700)
        (project.state / "envs").symlink_to(root / ".mmectl" / "envs")
        yield project


def steps(project: Project, *settings: str, code: int = 0) -> str:
    """What a build says on stderr; `settings` are those of `build`."""
    options = [word for setting in settings for word in ("--set", f"build.{setting}")]
    return str(project.mmectl("build", *options, code=code).stderr.decode())


def test_it_is_built_uploaded_deployed_and_asked(project, root):
    assert "smoke test: ping, load, answer in its own words, unload in" in steps(project)
    shapes = root / "examples" / "models" / "shapes"
    project.mmectl("upload", "shapes", "--from", str(shapes))
    project.mmectl("deploy")
    star = root / "examples" / "images" / "star.jpg"
    found = project.data("invoke", "-m", "shapes", str(star))
    names = " ".join(sorted(path.name for path in shapes.iterdir()))
    assert found["body"] == f"Model with {names} was asked {star.stat().st_size} bytes"
    assert found["content_type"] == "text/plain"

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo("words.txt")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"hello"))
    where = project.data("models", "list")["location"].removeprefix("s3://")
    bucket, _, prefix = where.partition("/")
    key = f"{prefix}any.tar.gz"
    project.client("s3").put_object(Bucket=bucket, Key=key, Body=packed.getvalue())
    answer = project.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="own", TargetModel="any.tar.gz", ContentType="x/y", Body=b"123"
    )
    assert answer["Body"].read() == b"Model with words.txt was asked 3 bytes"


def test_the_request_is_that_of_the_configuration(project):
    model, body = project.folder / "m", project.folder / "question.csv"
    model.mkdir()
    (model / "one.txt").write_text("1")
    body.write_text("3,4")
    asked = (f"smoke_model={model}", f"smoke_body={body}")
    said = steps(project, *asked, "smoke_expect=with one.txt was asked 3 bytes")
    assert "smoke test: ping, load, answer as expected, unload in" in said
    assert (
        "nothing done"
        in project.mmectl(
            *("build", "--set", f"build.{asked[0]}", "--set", f"build.{asked[1]}"),
            *("--set", "build.smoke_expect=with one.txt was asked 3 bytes"),
        ).stdout.decode()
    )
    said = steps(project, *asked, "smoke_expect=4 bytes", code=1)
    assert "the model answered without '4 bytes': Model with one.txt was asked 3 bytes" in said
    said = steps(project, "smoke_model=nowhere.tar.gz", code=1)
    assert "nowhere.tar.gz" in said
    assert "build.smoke_model" in said


def test_how_far_it_is_tried_is_that_of_the_configuration(project):
    handler = project.folder / "container" / "model_handler.py"
    try:
        handler.write_text("raise RuntimeError('no such word')\n")
        said = steps(project, code=1)
        assert "the handler cannot be imported" in said
        assert "RuntimeError: no such word" in said
        handler.write_text("def handle(data, context):\n    assert data is None\n")
        said = steps(project, code=1)
        assert "the model did not answer (503)" in said
        assert "build.smoke_test: ping" in said
        assert "smoke test: ping, load, unload in" in steps(project, "smoke_test=load")
        assert "the model did not answer" in steps(project, code=1)  # tried again, and further
        handler.write_text("raise RuntimeError('no such word')\n")
        assert "smoke test: ping in" in steps(project, "smoke_test=ping")
        handler.write_text("raise RuntimeError('nor this one')\n")
        assert "skipped: build.smoke_test is off" in steps(project, "smoke_test=off")
    finally:
        handler.write_text(HANDLER)


def test_the_settings_of_old_are_taken(project):
    shown = project.data("config", "show", "--set", "build.smoke_test=false")
    assert json.dumps(shown).count('"off"') == 1

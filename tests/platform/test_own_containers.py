"""A container whose handler is the user's own: built, tried as configured, deployed and asked."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_server import TCP_ONLY
from projects import PROCESSES, Project, made, share_environments
from serving_fixtures import serving_image  # noqa: F401 - a fixture

from mmectl.base import relay

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
def project(root: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    with made(root, f"platform: local\n{PROCESSES}endpoint: {{name: own}}\n") as project:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / "container", project.folder / "container", ignore=ignored)
        (project.folder / "container" / "model_handler.py").write_text(HANDLER)
        share_environments(project, request)
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

    folder = project.folder / "own-kind"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "weights.bin").write_text("")
    said = project.mmectl("upload", str(folder), code=1).stderr.decode()
    assert "holds only a folder" in said
    done = project.data("upload", str(folder), "--framework", "any")
    assert done["models"][0]["framework"] == "any"
    assert project.data("invoke", "-m", "own-kind", str(star))["body"].startswith("Model with 1 ")


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


@pytest.fixture(scope="module")
def tcp_only(root: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    with made(root, f"platform: local\n{PROCESSES}endpoint: {{name: tcp}}\n") as project:
        context = project.folder / "container"
        context.mkdir()
        shutil.copytree(root / "container" / "requirements", context / "requirements")
        (context / "entrypoint.py").write_text(TCP_ONLY)
        (context / "model_handler.py").write_text("")
        share_environments(project, request)
        yield project


def test_a_server_that_knows_ports_alone_serves_and_nobody_else_reaches_it(tcp_only, root):
    if subprocess.run(["unshare", "-rn", "true"], check=False).returncode:
        pytest.skip("no network namespaces here")
    assert "smoke test: ping, load, answer in its own words, unload in" in steps(tcp_only)
    shapes = root / "examples" / "models" / "shapes"
    tcp_only.mmectl("upload", "shapes", "--from", str(shapes))
    tcp_only.mmectl("deploy")
    star = root / "examples" / "images" / "star.jpg"
    large = tcp_only.folder / "large.bin"
    large.write_bytes(bytes(5 << 20))
    for body in (star, large):
        found = json.loads(tcp_only.data("invoke", "-m", "shapes", str(body))["body"])
        assert found["bytes"] == body.stat().st_size
        assert found["files"] == sorted(path.name for path in shapes.iterdir())
        assert found["network"] != os.readlink("/proc/self/ns/net")  # noqa: PTH115


def test_a_server_that_knows_ports_alone_is_refused_where_it_cannot_be_kept_from_others(tmp_path):
    script = tmp_path / "entrypoint.py"
    script.write_text(TCP_ONLY)
    relayed = f"exec {sys.executable} {relay.__file__} {script} serve"
    none = "echo 0 >/proc/sys/user/max_net_namespaces"
    ran = subprocess.run(
        ["unshare", "-r", "sh", "-c", f"{none} && {relayed} || exit 1"],
        env={**os.environ, "MMECTL_BIND_ADDRESS": f"unix:{tmp_path}/http.sock"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    if "max_net_namespaces" in ran.stderr or "unshare" in ran.stderr:
        pytest.skip("no user namespaces here")
    assert ran.returncode == relay.NO_NETWORK, ran.stderr
    assert "is not available here" in ran.stderr
    assert "docs/containers.md" in ran.stderr
    assert not (tmp_path / "http.sock").exists()


def test_a_relayed_server_ends_with_the_platform(tmp_path):
    if subprocess.run(["unshare", "-rn", "true"], check=False).returncode:
        pytest.skip("no network namespaces here")
    script = tmp_path / "entrypoint.py"
    script.write_text("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, relay.__file__, script, "serve"],
        env={"MMECTL_BIND_ADDRESS": f"unix:{tmp_path}/s", "MMECTL_LIFELINE_FD": str(reading)},
        pass_fds=(reading,),
        stdout=subprocess.PIPE,
    ) as ran:
        os.close(reading)
        assert ran.stdout is not None
        server = int(ran.stdout.readline())
        os.close(writing)  # as the kernel does when the platform is killed
        assert ran.wait(30) == 128 + signal.SIGTERM
        assert not Path(f"/proc/{server}").exists()

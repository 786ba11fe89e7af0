"""The local build for real: reuse, interruption, two at once, no Java, other Pythons."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving_fixtures import serving_image  # noqa: F401

from mmectl.base.errors import BuildError
from mmectl.base.values import Event
from mmectl.image import build_local
from mmectl.images.context import context_digest
from mmectl.local.images import Images
from mmectl.local.values import ACCOUNT

PLACE: dict[str, Any] = {"account": ACCOUNT, "region": "us-east-1", "repository": "mmectl-mxnet"}
SCRIPT = (
    "import sys; from pathlib import Path; from mmectl.image import build_local;"
    "made = build_local(Path(sys.argv[1]), Path(sys.argv[2]), account='123456789012',"
    "region='us-east-1', repository='mmectl-mxnet'); print(made.reused)"
)


@pytest.fixture
def state() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="mme"))
    yield made / ".mmectl"
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def context(root, tmp_path) -> Path:
    copy = tmp_path / "container"
    shutil.copytree(root / "container", copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def registered(state: Path) -> list[Path]:
    return sorted((state / "images").glob("*.json"))


def test_builds_then_reuses_then_sees_a_change(context, state):
    events: list[Event] = []
    first = build_local(context, state, **PLACE, report=events.append)
    assert not first.reused
    assert [e.subject for e in events if e.kind == "done"][-1] == "smoke test"
    assert {e.subject for e in events} >= {"python", "environment", "java", "smoke test"}
    assert Images(state / "images").find(first.reference) is not None
    second = build_local(context, state, **PLACE)
    assert second.reused
    assert second.seconds < first.seconds / 2
    handler = context / "model_handler.py"
    handler.write_text(handler.read_text() + "# changed\n")
    third = build_local(context, state, **PLACE)
    assert not third.reused
    assert third.reference != first.reference
    assert len(registered(state)) == 2
    assert len(list((state / "envs").iterdir())) == 1


BROKEN = {
    "raise RuntimeError('on purpose')": "cannot be imported:(.|\n)*RuntimeError: on purpose",
    "def handle(data, context): raise RuntimeError": "does not serve: the model did not load",
    "def handle(data, context): return [b'?', b'?'] if data else None": "the model did not answer",
}


@pytest.mark.parametrize("handler", BROKEN)
def test_a_handler_that_does_not_work_is_not_registered(context, state, handler):
    (context / "model_handler.py").write_text(handler)
    with pytest.raises(BuildError, match=BROKEN[handler]):
        build_local(context, state, **PLACE)
    assert registered(state) == []


def test_a_server_that_does_not_start_is_not_registered(context, state):
    (context / "entrypoint.py").write_text("print('hello'); raise SystemExit(3)")
    with pytest.raises(BuildError, match=r"the server ended with code 3\nhello"):
        build_local(context, state, **PLACE)
    assert registered(state) == []


# Each alone makes a build fail that lets it reach what the image runs with
OF_THE_CALLER = {
    "PYTHONSAFEPATH": "1",
    "PYTHONSTARTUP": "/nowhere.py",
    "PYTHONWARNINGS": "error",
    "OMP_NUM_THREADS": "2,1",
    "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv",
    "SAGEMAKER_MODEL_SERVER_WORKERS": "none",
    "SAGEMAKER_MAX_PAYLOAD_IN_MB": "none",
    "MMS_CONFIG_FILE": "/nowhere",
    "MMECTL_WARM_WORKERS": "maybe",
    "MXNET_ENGINE_TYPE": "NoSuchEngine",
    "JAVA_TOOL_OPTIONS": "-XX:NoSuchOption",
    "MALLOC_ARENA_MAX": "-1",
}


def test_the_environment_of_the_caller_has_no_say(root, context, state, monkeypatch, tmp_path):
    (tmp_path / "group.py").write_text("raise RuntimeError('a module of the caller')\n")
    (tmp_path / "long" / ("x" * 100)).mkdir(parents=True)
    state.mkdir(mode=0o700)
    made = root / ".mmectl" / "envs"  # of other tests, where there are any yet
    made.mkdir(mode=0o700, parents=True, exist_ok=True)
    (state / "envs").symlink_to(made)
    for name, value in OF_THE_CALLER.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "long" / ("x" * 100)))
    assert not build_local(context, state, **PLACE).reused


def test_requirements_that_cannot_be_met_are_said(context, state):
    (context / "requirements.txt").write_text("no-such-package-of-mmectl==1.0\n")
    with pytest.raises(BuildError, match="no-such-package-of-mmectl"):
        build_local(context, state, **PLACE)
    assert registered(state) == []


def start(root: Path, state: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(root / "container"), str(state)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("when", ["installing", "trying"])
def test_interrupted_builds_are_finished_by_the_next(root, state, number, when):
    process = start(root, state)
    sign = "envs/*/pyvenv.cfg" if when == "installing" else "images/*/entrypoint.py"
    deadline = time.monotonic() + 60
    while not list(state.glob(sign)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert registered(state) == []
    again = build_local(root / "container", state, **PLACE)
    assert not again.reused
    assert len(registered(state)) == 1
    assert not list((state / "images").glob("*.partial"))


def test_two_builds_at_once_make_one(root, state):
    both = [start(root, state), start(root, state)]
    answers = sorted(process.communicate(timeout=120)[0].strip() for process in both)
    assert answers == ["False", "True"]
    assert len(registered(state)) == 1


def without_java(tmp_path: Path) -> str:
    """A PATH that holds a shell and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "env"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return str(folder)


def test_java_comes_from_pypi_where_the_machine_has_none(root, state, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", without_java(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    made = build_local(root / "container", state, **PLACE)
    found = Images(state / "images").find(made.reference)
    assert found is not None
    assert Path(found.environment["JAVA_HOME"]).is_relative_to(state.resolve())


def system_libraries() -> list[str]:
    """Where libgomp and libquadmath really are, or nothing where they are not."""
    known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False)
    lines = [line for line in known.stdout.splitlines() if "x86-64" in line or "AArch64" in line]
    found = {
        str(Path(line.split(" => ")[1]).resolve())
        for line in lines
        for name in ("libgomp.so.1", "libquadmath.so.0")
        if line.strip().startswith(name)
    }
    return sorted(found)


def test_libraries_that_the_machine_lacks_come_from_pypi(root, state):
    """Hides both libraries in a mount namespace of its own, which only root can make."""
    libraries = system_libraries()
    if os.geteuid() != 0 or not shutil.which("unshare") or not libraries:
        pytest.skip("needs root and unshare to hide system libraries")
    hide = "; ".join(f"mount --bind /dev/null {path}" for path in libraries)
    probe = ["unshare", "-m", "sh", "-c", f"set -e; {hide}"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("may not mount here")
    build = [sys.executable, "-c", SCRIPT, str(root / "container"), str(state)]
    whole = ["unshare", "-m", "sh", "-c", f'set -e; {hide}; exec "$@"', "sh", *build]
    done = subprocess.run(whole, capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    entry = json.loads(registered(state)[0].read_text())
    assert Path(entry["environment"]["LD_LIBRARY_PATH"]).is_relative_to(state.resolve())


def interpreter(version: str) -> str:
    """A Python of that version: a program on the PATH that runs, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [f"python{version}", *map(str, pyenv.glob(f"{version}.*/bin/python"))]
    for candidate in candidates:
        found = shutil.which(candidate)
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return found
    pytest.skip(f"there is no Python {version} on this machine")


@pytest.mark.parametrize("version", ["3.8", "3.12", "3.13"])
def test_other_pythons_serve_as_well(root, state, version):
    python = interpreter(version)
    made = build_local(root / "container", state, **PLACE, python=python)
    assert made.python.startswith(f"{version}.")


def test_an_index_that_does_not_answer_is_said(context, state, monkeypatch, tmp_path):
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.delenv("UV_INDEX_URL", raising=False)
    with pytest.raises(BuildError, match="the package index does not answer"):
        build_local(context, state, **PLACE)
    assert registered(state) == []


def test_the_registry_is_what_the_platform_reads(root, serving_image):  # noqa: F811
    raw = json.loads((root / ".mmectl" / "images" / f"{serving_image.digest[7:]}.json").read_text())
    assert raw["digest"] == context_digest(root / "container")
    assert os.access(raw["entrypoint"][0], os.X_OK)

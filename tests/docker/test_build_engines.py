"""Engines that are elsewhere, forbidden, full or not there, and what is said of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from build_project import SMALL, Project, small
from lab import Lab

__all__ = ["small"]


class Engine(socketserver.ThreadingTCPServer):
    """A port of 127.0.0.1 that leads to the socket `engine`."""

    def __init__(self, engine: str) -> None:
        super().__init__(("127.0.0.1", 0), Relay)
        self.engine = engine


class Relay(socketserver.BaseRequestHandler):
    """Passes one connection on to the engine's socket, both ways."""

    server: Engine

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as far:
            far.connect(self.server.engine)
            back = threading.Thread(target=pump, args=(far, self.request))
            back.start()
            pump(self.request, far)
            back.join()


def pump(source: socket.socket, target: socket.socket) -> None:
    """Until `source` says no more."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def elsewhere(lab: Lab) -> Iterator[str]:
    """The lab's engine behind TCP, as another machine's."""
    with Engine(lab.environment["DOCKER_HOST"].removeprefix("unix://")) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"tcp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_one_elsewhere_is_asked_from_inside(
    small: Project, lab: Lab, image: str, elsewhere: str
) -> None:
    (small.folder / "container" / "Dockerfile").write_text(f"FROM {image}\nLABEL test=far\n")
    small.more["DOCKER_HOST"] = elsewhere
    answer, said = small.mmectl("build", "--set", "build.smoke_test=true")
    assert "smoke test: ping, load, answer, unload in" in said
    assert f"asked from inside: the engine is {elsewhere}" in said
    assert answer["data"]["built"] is True
    broken = small.folder / "container" / "entrypoint.py"
    broken.write_text("import sys\nsys.exit('I give up')\n")
    (small.folder / "container" / "Dockerfile").write_text(
        f"FROM {image}\nCOPY entrypoint.py /opt/serving/\n"
    )
    answer, _ = small.mmectl("build", "--set", "build.smoke_test=true", code=1)
    assert answer["errors"][0]["code"] == "smoke_test"
    assert "I give up" in answer["errors"][0]["message"]
    assert small.tried() == []


def test_one_that_is_not_there_is_said(small: Project) -> None:
    small.more["DOCKER_HOST"] = "unix:///nowhere.sock"
    answer, _ = small.mmectl("build", "--set", "build.backend=docker", code=1)
    error = answer["errors"][0]
    assert error["code"] == "no_engine"
    assert "unix:///nowhere.sock: No such file or directory" in error["message"]


def test_one_that_is_forbidden_is_said(root: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="mme", dir="/tmp"))
    folder.chmod(0o755)
    closed = folder / "docker.sock"
    # as another user, who sees the socket and may not use it
    code = (
        "import os, sys, docker\n"
        "from mmectl.images.docker_sdk import connect\n"
        "from mmectl.base.errors import BuildError\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: connect({'DOCKER_HOST': sys.argv[1]})\n"
        "except BuildError as error: print(error.code, error.message, error.hint, sep='|')\n"
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(closed))
        listener.listen()
        closed.chmod(0o600)
        command = [sys.executable, "-c", code, f"unix://{closed}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    shutil.rmtree(folder)
    said = f"no_permission|no permission on the Docker engine at unix://{closed}|"
    assert done.stdout.startswith(said), done.stderr
    assert "usermod -aG docker" in done.stdout


def test_a_full_disk_is_said(root: Path, tmp_path: Path) -> None:
    with Lab(root, base=False, disk="64m") as lab:
        (tmp_path / "container").mkdir()
        project = Project(tmp_path, lab, "full")
        (tmp_path / "config.yaml").write_text("build: {smoke_test: false}\n")
        (tmp_path / "container" / "Dockerfile").write_text(SMALL)
        (tmp_path / "container" / "entrypoint.py").write_bytes(os.urandom(100 << 20))
        for path in (project.environment["PATH"], "/nowhere"):  # BuildKit, the classic builder
            project.more["PATH"] = path
            answer, _ = project.mmectl("build", code=1)
            error = answer["errors"][0]
            assert error["code"] == "no_space", error
            assert "docker builder prune" in error["hint"]

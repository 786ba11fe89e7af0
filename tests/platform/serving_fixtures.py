"""A real serving environment and real servers; import the fixtures into a test module.

The environment is built once into the project's own state folder, where `mmectl build`
and the demo find it as well.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mmectl.image import build_local
from mmectl.local.images import Images
from mmectl.local.values import ACCOUNT, Image
from mmectl.serving.smoke import free_port

Answer = tuple[int, str, bytes]


@pytest.fixture(scope="session")
def serving_image(root: Path) -> Image:
    """The image of container/, built where it has changed."""
    state = root / ".mmectl"
    built = build_local(
        root / "container",
        state,
        account=ACCOUNT,
        region="us-east-1",
        repository="mmectl-mxnet",
    )
    found = Images(state / "images").find(built.reference)
    assert found is not None
    return found


@dataclass
class Server:
    """One running entrypoint, and what it printed."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    lifeline: int = field(default=-1)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict | None = None
    ) -> Answer:
        """Send one request: status, content type, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Content-Type", ""), answer.read()
        finally:
            connection.close()

    def load(self, name: str, folder: Path) -> tuple[int, str]:
        """Load a model: status and what the server says."""
        body = json.dumps({"model_name": name, "url": str(folder)}).encode()
        status, _, answer = self.ask("POST", "/models", body, {"Content-Type": "application/json"})
        return status, answer.decode()

    def invoke(self, name: str, body: bytes, kind: str, accept: str | None = None) -> Answer:
        """Ask a model."""
        headers = {"Content-Type": kind} | ({"Accept": accept} if accept else {})
        return self.ask("POST", f"/models/{name}/invoke", body, headers)

    def members(self) -> dict[int, str]:
        """The living processes of the server's group: pid -> command line."""
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(group) == self.process.pid and state != "Z":
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        return found

    def java(self) -> int:
        """The process id of the server proper."""
        return next(pid for pid, line in self.members().items() if "ModelServer" in line)

    def gone(self, seconds: float) -> bool:
        """Wait until nothing of the server is left."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None and not self.members():
                return True
            time.sleep(0.02)
        return False

    def text(self) -> str:
        """All that it printed."""
        return self.log.read_text("utf-8", "replace")


@contextlib.contextmanager
def started(
    image: Image, folder: Path, *, wait: bool = True, prefix: tuple[str, ...] = (), **more: str
) -> Iterator[Server]:
    """Run an entrypoint in a group of its own, in the short `folder`."""
    reader, writer = os.pipe()
    port = int(more.get("SAGEMAKER_BIND_TO_PORT") or free_port())
    environment = {
        "PATH": os.environ["PATH"],
        **image.environment,
        "SAGEMAKER_MULTI_MODEL": "true",
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "MMECTL_BIND_ADDRESS": "127.0.0.1",
        "MMECTL_RUN_DIR": str(folder / "run"),
        "MMECTL_LIFELINE_FD": str(reader),
        **more,
    }
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*prefix, *image.entrypoint, "serve"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment,
            pass_fds=(reader,),
            start_new_session=True,
        )
    os.close(reader)
    server = Server(process, port, log, writer)
    try:
        if wait:
            wait_for_ping(server)
        yield server
    finally:
        with contextlib.suppress(OSError):
            os.close(writer)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for_ping(server: Server, seconds: float = 30) -> None:
    """Wait until the server answers; fails with its output when it ends."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.text()
        with contextlib.suppress(OSError, http.client.HTTPException):
            if server.ask("GET", "/ping")[0] == 200:
                return
        time.sleep(0.05)
    pytest.fail(f"no answer to /ping:\n{server.text()}")


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    """A port that somebody else listens on."""
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        yield port

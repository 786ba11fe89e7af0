"""Real servers, as plain processes and as containers; import the fixtures into a test module.

The serving environment is built once into the project's own state folder, where `mmectl build`
and the demo find it as well.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mmectl.image import build_local
from mmectl.images.context import DEFAULT_FRAMEWORKS, Contents
from mmectl.images.local_smoke import free_port
from mmectl.images.trial import Trial
from mmectl.local.images import Images
from mmectl.local.values import ACCOUNT, Image

if TYPE_CHECKING:
    from lab import Engine

Answer = tuple[int, str, bytes]
# all that the contract does not ask for is taken away
RESTRICTED = (
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--pids-limit", "512", "--memory", "3g"),
)


def image_of(root: Path, repository: str, *frameworks: str) -> Image:
    """The image of container/ for these frameworks, built where it has changed."""
    state = root / ".mmectl"
    built = build_local(
        root / "container",
        state,
        account=ACCOUNT,
        region="us-east-1",
        repository=repository,
        contents=Contents(frameworks=frameworks),
        trial=Trial(frameworks=frameworks),
    )
    found = Images(state / "images").find(built.reference)
    assert found is not None
    return found


@pytest.fixture(scope="session")
def serving_image(root: Path) -> Image:
    """The image of MXNet alone."""
    return image_of(root, "mmectl-mxnet", *DEFAULT_FRAMEWORKS)


@dataclass
class Http:
    """A server on 127.0.0.1, asked as SageMaker asks it."""

    port: int

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict | None = None
    ) -> Answer:
        """Send one request: status, content type, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=180)
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

    def names(self) -> set[str]:
        """What is loaded."""
        return {model["modelName"] for model in json.loads(self.ask("GET", "/models")[2])["models"]}


@dataclass
class Server(Http):
    """One running entrypoint, and what it printed."""

    process: subprocess.Popen[bytes]
    log: Path
    lifeline: int = field(default=-1)

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

    def stop(self) -> tuple[int, int]:
        """SIGTERM: the exit code, and how many processes are left."""
        self.process.terminate()
        code = self.process.wait(30)
        return code, len(self.members())


@dataclass
class ContainerServer(Http):
    """One running container."""

    engine: Engine
    name: str

    def text(self) -> str:
        """All that it printed."""
        done = subprocess.run(
            [self.engine.docker, "logs", self.name],
            env={**os.environ, **self.engine.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        )
        return done.stdout

    def stop(self) -> tuple[int, int]:
        """As SageMaker: SIGTERM, SIGKILL 30 seconds later. Exit code, and processes left."""
        groups = list(Path("/sys/fs/cgroup").glob(f"**/{self.engine.name}/{self._found()['Id']}"))
        assert groups
        self.engine.run("stop", "--time", "30", self.name)
        return self._found()["State"]["ExitCode"], len(list(filter(has_processes, groups)))

    def _found(self) -> dict:
        return json.loads(self.engine.run("inspect", self.name))[0]


def has_processes(group: Path) -> bool:
    """Whether a control group has any; one that is gone has none."""
    try:
        return bool((group / "cgroup.procs").read_text())
    except OSError:
        return False


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
    server = Server(port, process, log, writer)
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


@contextlib.contextmanager
def contained(engine: Engine, image: str, folder: Path, **more: str) -> Iterator[ContainerServer]:
    """Run ``docker run IMAGE serve``; it sees `folder`, and nothing may be written."""
    shared = Path(__file__).resolve().parents[3] / "shared" / "models"
    folder.chmod(0o755)  # the container is another user
    port, inner = free_port(), more.get("SAGEMAKER_BIND_TO_PORT", "8080")
    name = f"served-{port}"
    engine.run(
        *("run", "--detach", "--name", name, "--publish", f"127.0.0.1:{port}:{inner}"),
        *(f"--volume={path}:{path}:ro" for path in (folder, shared) if path.is_dir()),
        *("--env", "SAGEMAKER_MULTI_MODEL=true", *RESTRICTED),
        *(f"--env={variable}={value}" for variable, value in more.items()),
        *(image, "serve"),
    )
    server = ContainerServer(port, engine, name)
    try:
        wait_for_ping(server)
        yield server
    finally:
        engine.run("rm", "--force", name)


Serve = Callable[..., AbstractContextManager[Server | ContainerServer]]


@pytest.fixture(scope="module")
def serve(runtime: str, request: pytest.FixtureRequest) -> Serve:
    """``serve(folder, NAME="value")`` is a server that sees the folder, of either kind."""
    if runtime == "docker":
        engine, name = map(request.getfixturevalue, ("docker_engine", "container_image"))
        return lambda folder, **more: contained(engine, name, folder, **more)
    image = request.getfixturevalue("serving_image")
    return lambda folder, **more: started(image, folder, **more)


def wait_for_ping(server: Server | ContainerServer, seconds: float = 30) -> None:
    """Wait until the server answers; fails with its output when it ends."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if isinstance(server, Server):
            assert server.process.poll() is None, server.text()
        with contextlib.suppress(OSError, http.client.HTTPException):
            if server.ask("GET", "/ping")[0] == 200:
                return
        time.sleep(0.05)
    pytest.fail(f"no answer to /ping:\n{server.text()}")


def wait_for_words(server: Server | ContainerServer, pattern: str, seconds: float = 60) -> None:
    """Wait for what a worker says, which the server hands on when it has answered already."""
    deadline = time.monotonic() + seconds
    while not re.search(pattern, server.text()):
        if time.monotonic() > deadline:
            pytest.fail(f"no {pattern!r} in:\n{server.text()}")
        time.sleep(0.05)


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    """A port that somebody else listens on."""
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        yield port

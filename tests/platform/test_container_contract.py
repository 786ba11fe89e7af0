"""SageMaker's contract with a container, over HTTP, as a plain process and as a container."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from data_plane import command
from serving_fixtures import (  # noqa: F401
    Http,
    Serve,
    serve,
    serving_image,
)

from mmectl.frameworks.mxnet.sample import picture, write_model
from mmectl.images.local_smoke import free_port
from mmectl.local.instance import procfs

MAX_PAYLOAD = 6_291_456  # bytes, of InvokeEndpoint
NAMES = ("five", "four", "one", "three", "two")
CODE = "import os; os._exit(1)"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Models `one` to `five`; one of them holds code that would end its worker at once."""
    made = Path(tempfile.mkdtemp(prefix="mme"))
    for name in NAMES:
        write_model(made / name)
    for module in ("sitecustomize", "usercustomize", "json", "logging", "numpy"):
        (made / "five" / f"{module}.py").write_text(CODE)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def invoke(server: Http, name: str, body: bytes | None = None) -> int:
    headers = {
        "Content-Type": "image/bmp",
        "Accept": "application/json",
        "X-Amzn-SageMaker-Target-Model": f"{name}.tar.gz",
        "X-Amzn-SageMaker-Custom-Attributes": "trace=1",
    }
    return server.ask("POST", f"/models/{name}/invoke", body or picture(), headers)[0]


def in_background(call: Callable[..., object], *arguments: object) -> threading.Thread:
    """Call it; that the server ends meanwhile is no failure."""

    def run() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            call(*arguments)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def pings(server: Http, goes_on: Callable[[], bool]) -> list[tuple[float, float]]:
    """How long sockets took to be accepted, and answers to come, in seconds; none stays away."""
    seen = []
    while goes_on():
        began = time.monotonic()
        # a load that hangs is answered after a minute, and so is a ping that waits for it
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=45)
        with contextlib.closing(connection):
            connection.connect()
            accepted = time.monotonic() - began
            connection.request("GET", "/ping")
            assert connection.getresponse().status == 200
        seen.append((accepted, time.monotonic() - began))
        time.sleep(0.01)
    return seen


def test_health_and_the_life_of_a_model(serve: Serve, folder: Path) -> None:  # noqa: F811
    with serve(folder) as server:  # returns as soon as /ping is 200
        assert json.loads(server.ask("GET", "/models")[2]) == {"models": []}
        with socket.create_connection(("127.0.0.1", server.port), 0.25):
            assert server.ask("GET", "/ping")[0] == 200

        assert server.ask("GET", "/models/one")[0] == 404
        assert server.ask("DELETE", "/models/one")[0] == 404
        assert invoke(server, "one") == 404
        for _ in range(2):  # and all over again
            assert server.load("one", folder / "one")[0] == 200
            assert server.load("one", folder / "one")[0] == 409
            assert server.ask("GET", "/models/one")[0] == 200
            assert invoke(server, "one") == 200
            largest = picture() + bytes(MAX_PAYLOAD - len(picture()))
            assert invoke(server, "one", largest) == 200
            assert server.ask("DELETE", "/models/one")[0] == 200
            assert server.ask("GET", "/models/one")[0] == 404
            assert invoke(server, "one") == 404

        for name in NAMES:
            assert server.load(name, folder / name)[0] == 200
        seen, token, pages = [], "0", 0
        while token:
            page = json.loads(server.ask("GET", f"/models?limit=2&next_page_token={token}")[2])
            seen += page["models"]
            token, pages = page.get("nextPageToken"), pages + 1
        assert [(m["modelName"], m["modelUrl"]) for m in seen] == [
            (name, str(folder / name)) for name in NAMES
        ]
        assert pages == 3
        assert json.loads(server.ask("GET", "/models?next_page_token=5")[2])["models"] == []
        assert server.names() == set(NAMES)


def parent(pid: int) -> int:
    """The process that started another; 0 where that is gone."""
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[1])
    return 0


def strike(model: str, number: signal.Signals) -> None:
    """Send a signal to a worker that is loading that model, as soon as there is one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [pid for pid in procfs.pids() if f"--model-name {model} " in command(pid)]
        for pid in found:  # the launcher is Java's child
            if "serving.workers.prefork" in command(parent(pid)):
                os.kill(pid, number)
                return
        time.sleep(0.01)


def test_ping_answers_whatever_goes_on(serve: Serve, folder: Path) -> None:  # noqa: F811
    """While models load and answer, a load hangs and another one's worker dies."""
    hangs, dies = f"hangs{os.getpid()}", f"dies{os.getpid()}"
    with serve(folder) as server:
        assert server.load("one", folder / "one")[0] == 200
        for name, number in ((hangs, signal.SIGSTOP), (dies, signal.SIGKILL)):
            in_background(strike, name, number)
            in_background(server.load, name, folder / "four")
        ends = threading.Event()

        def ask_on() -> None:
            while not ends.is_set():
                assert invoke(server, "one") == 200

        asking = [in_background(ask_on) for _ in range(3)]
        loads = [in_background(server.load, name, folder / name) for name in ("two", "five")]
        seen = pings(server, lambda: any(load.is_alive() for load in loads))
        # SageMaker's limits. One may be slow as the machine has others to serve, but not most
        accepted, answered = map(statistics.median, zip(*seen, strict=True))
        assert accepted < 0.25
        assert answered < 2
        assert all(thread.is_alive() for thread in asking)
        ends.set()
        assert {"one", "two", "five", hangs} <= server.names()
        assert invoke(server, "five") == 200


def test_sigterm_with_requests_in_flight(serve: Serve, folder: Path) -> None:  # noqa: F811
    with serve(folder) as server:
        assert server.load("one", folder / "one")[0] == 200

        def ask_on() -> None:
            while True:
                invoke(server, "one")

        asking = [in_background(ask_on) for _ in range(4)]
        asking.append(in_background(server.load, "two", folder / "two"))
        assert server.stop() == (0, 0)  # within the 30 seconds that SageMaker gives
        for thread in asking:
            thread.join(60)
            assert not thread.is_alive()


def test_another_port(serve: Serve, folder: Path) -> None:  # noqa: F811
    port = free_port()
    settings = {
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SAGEMAKER_SAFE_PORT_RANGE": f"{port - 10}-{port + 10}",
    }
    with serve(folder, **settings) as server:
        assert server.load("one", folder / "one")[0] == 200
        assert invoke(server, "one") == 200

"""Requests that Multi Model Server itself leaves without an answer, and what it does here instead.

The server runs alone. For each model it starts a program that is a launcher no further than the
model's name asks for, so that what is a matter of chance elsewhere happens each time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from serving_fixtures import Answer, Server, wait_for_ping

from mmectl.images.local_smoke import free_port
from mmectl.local.values import Image

# What the entrypoint does, but for the programs that it starts beside the server
SERVER = """
import os, sys
from serving.server import config, overlay
settings = config.Settings.read(os.environ)
run, home, java = config.prepare(settings), config.server_home(), config.find_java(os.environ)
frontend = home / "mms" / "frontend"
assert overlay.write(frontend / "model-server.jar", run / config.CLASSES)
os.chdir(run)
os.environ.update(config.worker_environment(os.environ, run))
os.execv(java, config.command(settings, java, home, run, sys.argv[1]))
"""
LAUNCHER = """#!{python} -IS
import os, socket, sys, time
given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
name = given.get("--model-name", "ends")
if name == "ends":
    sys.exit(1)
if name != "away":  # connections are taken, and never answered
    server = socket.socket(socket.AF_UNIX)
    server.bind(given["--sock-name"])
    server.listen(4096)
print("MMS worker started.", flush=True)
sys.stdin.read()
"""
MANY, AT_ONCE = 300, 100


@pytest.fixture(scope="module")
def server(serving_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("mms")
    (folder / "models").mkdir()
    python, entrypoint = serving_image.entrypoint
    launcher = folder / "launcher"
    launcher.write_text(LAUNCHER.format(python=python))
    launcher.chmod(0o700)
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        **serving_image.environment,
        "PYTHONPATH": str(Path(entrypoint).parent),
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "MMECTL_BIND_ADDRESS": "127.0.0.1",
        "MMECTL_RUN_DIR": str(folder / "run"),
    }
    with (folder / "log").open("wb") as out:
        process = subprocess.Popen(
            [python, "-c", SERVER, launcher],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment,
            start_new_session=True,
        )
    made = Server(port, process, folder / "log")
    try:
        wait_for_ping(made)
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def add(server: Server, name: str, more: str) -> Answer:
    """Register a model of any folder."""
    folder = server.log.parent / "models"
    query = f"model_name={name}&url={folder}&handler=any:handle{more}"
    return server.ask("POST", f"/models?{query}")


@pytest.mark.parametrize("name", ["ends", "away"])
def test_a_load_whose_launcher_cannot_be_reached_is_answered(server: Server, name: str) -> None:
    """It ends before it is ready, or nobody listens when the worker connects."""
    for _ in range(2):
        status, _, body = add(server, name, "&initial_workers=1&synchronous=true")
        assert (status, b"Failed to start workers" in body) == (500, True)
        assert server.names() == set()


def test_requests_that_wait_for_a_model_are_answered_when_it_is_unloaded(server: Server) -> None:
    """Its worker is still busy with the load."""
    assert add(server, "silent", "&initial_workers=1&synchronous=false")[0] == 202
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(server.invoke, "silent", b"{}", "application/json") for _ in range(4)]
        waiting = "mmectl_queue_length 4"
        while waiting not in server.ask("GET", "/metrics")[2].decode():
            assert not any(one.done() for one in asked)
        assert server.ask("DELETE", "/models/silent")[0] == 200
        answers = [one.result() for one in asked]
    assert {status for status, _, _ in answers} == {404}
    assert b"Model not found: silent" in answers[0][2]


def pings(server: Server, ended: threading.Event) -> int:
    """Ask many times at once, over and over; says how often each of them was answered."""
    rounds = 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=45) as link:
        while not ended.is_set():
            link.sendall(b"GET /ping HTTP/1.1\r\nHost: any\r\n\r\n" * AT_ONCE)
            answers = b""
            while answers.count(b"HTTP/1.1 200") < AT_ONCE:
                answers += link.recv(2**16)
            rounds += 1
    return rounds


def test_no_ping_goes_unanswered_while_workers_come_and_go(server: Server) -> None:
    assert add(server, "many", "&initial_workers=0")[0] == 200
    ended = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(pings, server, ended) for _ in range(2)]
        try:
            for number in (MANY, 1) * 2:
                query = f"min_worker={number}&max_worker={number}"
                assert server.ask("PUT", f"/models/many?{query}")[0] == 202
        finally:
            ended.set()
        assert all(one.result() for one in asking)
    assert server.ask("DELETE", "/models/many")[0] == 200

"""The process that waits for the next model: served by it, killed, and gone with its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

CONTAINER = Path(__file__).resolve().parents[2] / "container"
SECONDS = 20.0
# A fork server with one request; it says which process waits, and whether that took the request
PARENT = """
import os, socket, sys, time
from serving.workers import memory, standby

def start(line, body, files):
    line.sendall(body + b" %d %d" % (os.getpid(), len(files)))
    os._exit(0)

def rehearse():
    os.write(1, b"%d\\n" % os.getpid())

standby.DELAY_SECONDS = 0.0
waiting = standby.Standby(start, rehearse, free=lambda: None)
listener = socket.socket(socket.AF_UNIX)
waiting.act(listener)
sys.stdin.readline()
ours, theirs = socket.socketpair()
deadline = time.monotonic() + 20
while time.monotonic() < deadline:
    taken = waiting.give(theirs, b"request", [0, 1, 2])
    if taken or waiting.seconds() is not None:
        break
    time.sleep(0.01)
theirs.close()
print(taken, ours.recv(100).decode(), flush=True)
"""


@pytest.fixture
def parent():
    environment = {**os.environ, "PYTHONPATH": str(CONTAINER)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as started:
        yield started
        started.kill()


def _waiting(parent: subprocess.Popen[str]) -> int:
    assert parent.stdout is not None
    return int(parent.stdout.readline())


def _answer(parent: subprocess.Popen[str]) -> list[str]:
    return parent.communicate("go\n", timeout=SECONDS)[0].split()


def _is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + SECONDS
    while not _is_gone(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _is_gone(pid)


def test_the_process_that_waits_takes_a_request_with_its_descriptors(parent):
    pid = _waiting(parent)
    assert _answer(parent) == ["True", "request", str(pid), "3"]


def test_a_request_is_the_fork_server_s_again_where_it_was_killed(parent):
    pid = _waiting(parent)
    os.kill(pid, signal.SIGKILL)
    _wait_until_gone(pid)
    assert _answer(parent) == ["False"]


def test_it_ends_with_the_fork_server(parent):
    pid = _waiting(parent)
    parent.kill()
    _wait_until_gone(pid)


def test_none_is_forked_where_memory_is_short(monkeypatch):
    monkeypatch.syspath_prepend(str(CONTAINER))
    from serving.workers import standby

    now = [0.0]

    def forked() -> None:
        raise AssertionError("it was forked")

    waiting = standby.Standby(
        lambda *_: os._exit(1), forked, clock=lambda: now[0], free=lambda: 2 * standby.BYTES
    )
    assert waiting.seconds() == standby.DELAY_SECONDS
    now[0] = standby.DELAY_SECONDS
    with socket.socket(socket.AF_UNIX) as listener:
        waiting.act(listener)
    assert waiting.seconds() == pytest.approx(5.0)

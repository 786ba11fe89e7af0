"""Launchers that are forked for a shell: in its place, gone with it, and replaced by it."""

from __future__ import annotations

import contextlib
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
# What of the entrypoint has to do with launchers
ENTRYPOINT = """
import os, select, signal, sys
from pathlib import Path
from serving.server import launches
from serving.workers import launcher

folder = Path(sys.argv[1])
now = 0.0
made = launches.Launches(folder, print, clock=lambda: now)
now = 99.0 if sys.argv[2] else 0.0
made.fork_ahead()
woken, waker = os.pipe()
os.set_blocking(waker, False)
signal.set_wakeup_fd(waker)
signal.signal(signal.SIGCHLD, lambda *_: None)

def program(name, text):
    (folder / name).write_text(text)
    (folder / name).chmod(0o700)
    return str(folder / name)

instead = program("python", f'''#!{sys.executable} -IS
import sys
sys.path.insert(0, {launcher.HERE!r})
import launcher
launcher.main(sys.argv[1], sys.argv[2:])
''')
shell = launches.script(folder / launcher.PIPE, instead, "mms/model_service_worker.py")
print(program("shell", shell), flush=True)
while True:
    ready = {*select.select([made.descriptor, woken, 0], [], [])[0]}
    if 0 in ready:
        break
    if woken in ready:
        os.read(woken, 100)
        made.ended(dict([os.waitpid(-1, os.WNOHANG)]))
    made.act(ready)
"""


@pytest.fixture(params=["", "ahead"])
def shell(request, tmp_path):
    """The program that the server would start for a model; a launcher may wait for that."""
    with subprocess.Popen(
        [sys.executable, "-c", ENTRYPOINT, str(tmp_path), request.param],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CONTAINER)},
    ) as started:
        assert started.stdout is not None
        yield started.stdout.readline().strip()
        started.kill()


@pytest.fixture
def model(shell, tmp_path):
    """That program, started for a model as the server does."""
    (tmp_path / "model").mkdir()
    given = {
        "--sock-type": "unix",
        "--sock-name": str(tmp_path / "socket"),
        "--handler": f"{CONTAINER}/model_handler.py:handle",
        "--model-path": str(tmp_path / "model"),
        "--model-name": "m",
        "--tmp-dir": str(tmp_path),
    }
    words = [word for pair in given.items() for word in pair]
    with subprocess.Popen(
        [shell, str(tmp_path / "mms/model_service_worker.py"), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=tmp_path / "model",
        text=True,
    ) as started:
        yield started
        started.kill()


def test_nobody_but_the_worker_is_left_when_the_worker_hears_that_it_is_alone(model, tmp_path):
    """Who watches the processes of a model takes the end of any for the worker's."""
    with socket.socket(socket.AF_UNIX) as forks:
        forks.bind(str(tmp_path / "prefork"))
        forks.listen()
        pid = _launcher(model)
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(str(tmp_path / "socket"))
            line, _ = forks.accept()
            with line:
                line.settimeout(SECONDS)
                assert line.recv(2**16)
                line.sendall(b"k")
                assert line.recv(1) == b"g"
                assert _works_in(tmp_path / "model") == {pid}
                line.shutdown(socket.SHUT_WR)
                assert line.recv(1) == b""
                assert _works_in(tmp_path / "model") == set()
    assert model.wait(SECONDS) == 0
    _wait_until_gone(pid)


def _works_in(folder: Path) -> set[int]:
    found = set()
    for place in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if place.readlink() == folder:
                found.add(int(place.parent.name))
    return found


def _launcher(model: subprocess.Popen[str]) -> int:
    """The number that a launcher says when it listens."""
    assert model.stdout is not None
    lines = [model.stdout.readline() for _ in range(3)]
    assert lines[0].startswith("Listening on port: "), lines
    assert lines[2] == "MMS worker started.\n"
    return int(lines[1].split()[1])


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + SECONDS
    while Path(f"/proc/{pid}/cwd").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{pid}/cwd").exists()


def test_the_launcher_is_forked_and_works_in_the_model_s_folder(model, tmp_path):
    pid = _launcher(model)
    assert pid != model.pid
    assert Path(f"/proc/{pid}/cwd").readlink() == tmp_path / "model"
    assert (tmp_path / "socket").is_socket()
    held = {one.readlink().name for one in Path(f"/proc/{pid}/fd").iterdir()}
    assert "launch" not in held


def test_the_one_that_waits_ends_with_the_entrypoint(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", ENTRYPOINT, str(tmp_path), "ahead"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(CONTAINER)},
    ) as started:
        assert started.stdout is not None
        started.stdout.readline()
        (waiting,) = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
        started.kill()
    _wait_until_gone(int(waiting))


def test_it_ends_when_the_server_ends_the_shell(model):
    pid = _launcher(model)
    model.kill()
    model.communicate(timeout=SECONDS)
    _wait_until_gone(pid)


def test_the_shell_takes_its_place_where_it_was_killed(model):
    pid = _launcher(model)
    os.kill(pid, signal.SIGKILL)
    assert _launcher(model) == model.pid
    assert Path(f"/proc/{model.pid}/cwd").readlink().name == "model"


def test_where_no_pipe_is_the_shell_is_the_launcher(shell, tmp_path):
    (tmp_path / "launch").unlink()
    words = ["--sock-type", "unix", "--sock-name", str(tmp_path / "other"), "--handler", "none:h"]
    words += ["--model-path", str(tmp_path), "--model-name", "m", "--tmp-dir", str(tmp_path)]
    with subprocess.Popen(
        [shell, str(tmp_path / "mms/model_service_worker.py"), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        assert _launcher(started) == started.pid
        started.kill()


NO_DESCRIPTORS = """
import os, resource, sys
from pathlib import Path
from serving.server import launches

now = 0.0
made = launches.Launches(Path(sys.argv[1]), print, clock=lambda: now)
now = 99.0
resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), 64))
made.fork_ahead()
print(made.seconds())
"""


def test_without_a_descriptor_left_it_tries_again_later(tmp_path):
    said = subprocess.run(
        [sys.executable, "-c", NO_DESCRIPTORS, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(CONTAINER)},
    ).stdout.splitlines()
    assert said == ["cannot fork a launcher: [Errno 24] Too many open files", "5.0"]

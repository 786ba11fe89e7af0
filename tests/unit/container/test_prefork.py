"""What the launcher, the fork server and the entrypoint say to each other; nothing is forked."""

from __future__ import annotations

import importlib
import os
import socket
import stat
import subprocess
import sys
import types

import pytest
from serving.server import server_home
from serving.workers import launcher


@pytest.fixture
def prefork(monkeypatch):
    """The module, with a stand-in for what needs the server's own package."""
    monkeypatch.setitem(
        sys.modules, "serving.workers.worker", types.ModuleType("serving.workers.worker")
    )
    yield importlib.import_module("serving.workers.prefork")
    sys.modules.pop("serving.workers.prefork", None)


ARGUMENTS = ["--sock-name", "/t/.mms.sock.9000", "--model-name", "Modèl", "--tmp-dir", "/t"]
ENVIRONMENT = {b"PATH": b"/bin", b"ODD": b"a=b\xff", b"EMPTY": b""}


def test_a_request_is_what_was_asked_for():
    packed = launcher.pack(ARGUMENTS, ENVIRONMENT)
    assert int.from_bytes(packed[:4], "big") == len(packed) - 4
    assert launcher.unpack(packed[4:]) == (ARGUMENTS, ENVIRONMENT)
    assert launcher.options(ARGUMENTS)["--tmp-dir"] == "/t"


TEMPLATES = ".none,.other -symbol.json,-shapes.json"


def test_models_with_the_same_template_files_have_one_template(tmp_path):
    for name, weights in (("a", b"1"), ("b", b"22")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}-0000.params").write_bytes(weights)
        for ending in ("-symbol.json", "-shapes.json"):
            (tmp_path / name / f"{name}{ending}").write_text(ending)
    first, second = (launcher.template(str(tmp_path / name), TEMPLATES) for name in "ab")
    assert first == second != ""
    (tmp_path / "b" / "b-shapes.json").write_text("other")
    assert launcher.template(str(tmp_path / "b"), TEMPLATES) not in ("", first)
    (tmp_path / "b" / "b-shapes.json").unlink()
    assert launcher.template(str(tmp_path / "b"), TEMPLATES) == ""
    assert launcher.template(str(tmp_path / "a"), "") == ""
    assert launcher.template(str(tmp_path / "none"), TEMPLATES) == ""


def test_nobody_answers(tmp_path):
    reader, writer = os.pipe()
    try:
        assert launcher.ask(str(tmp_path / "none"), b"", writer, [reader]) == b""
    finally:
        os.close(reader)
        os.close(writer)


def test_sockets_and_pipes_that_nobody_uses_are_swept_away(prefork, tmp_path):
    for name in ("live", "dead"):
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(tmp_path / name))
    for name in ("old", "new", launcher.PIPE):
        os.mkfifo(tmp_path / name)
    os.utime(tmp_path / launcher.PIPE, (0, 0))
    (tmp_path / "file").write_text("stays")
    os.utime(tmp_path / "old", (0, 0))
    table = tmp_path / "table"
    table.write_text(f"Num RefCount Path\n0: 2 0 10000 1 1 77 {tmp_path / 'live'}\n")
    prefork.sweep(tmp_path, table)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "file",
        launcher.PIPE,
        "live",
        "new",
        "table",
    ]


def test_the_socket_of_a_killed_template_is_bound_anew(prefork, tmp_path):
    path = tmp_path / "template-1.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    with socket.socket(socket.AF_UNIX) as alive, socket.socket(socket.AF_UNIX) as second:
        prefork.bind(alive, path)
        with pytest.raises(OSError, match="in use"):
            prefork.bind(second, path)


def test_the_home_of_the_server_holds_our_launcher(tmp_path):
    real = tmp_path / "site-packages"
    (real / "mms" / "metrics").mkdir(parents=True)
    for _ in range(2):  # a server that is started again finds the old one
        home = server_home.make_home(tmp_path, real)
    assert (home / "mms/model_service_worker.py").resolve().name == "launcher.py"
    assert (home / "mms/metrics").resolve() == real / "mms/metrics"
    # a package there would hide the real one
    assert not (home / "mms/__init__.py").exists()


def test_a_socket_that_was_there_is_replaced(tmp_path):
    given = {"--sock-type": "unix", "--sock-name": str(tmp_path / "socket")}
    servers = [launcher.listen(given), launcher.listen(given)]
    assert stat.S_ISSOCK((tmp_path / "socket").stat().st_mode)
    for server in servers:
        server.close()


class Mortal(server_home.ForkServer):
    """One whose process is a number; `ready` says how far it comes."""

    ready = True
    starts = 0

    def _start(self) -> int:
        self.starts += 1
        self._ready, writer = os.pipe()
        os.set_blocking(self._ready, False)
        if self.ready:
            os.write(writer, launcher.READY)
        os.close(writer)
        return 1000 + self.starts


@pytest.mark.parametrize("status", [9, 1 << 8])  # killed, or ended by an error of its own
def test_a_fork_server_that_had_been_ready_is_always_replaced(tmp_path, status):
    said: list[str] = []
    mortal = Mortal(tmp_path, {}, said.append)
    for _ in range(2 * server_home.DEATHS):
        mortal.replace(status, "it died")
    assert (mortal.pid, mortal.starts) == (
        1001 + 2 * server_home.DEATHS,
        1 + 2 * server_home.DEATHS,
    )
    assert set(said) == {"the fork server died (it died): starting another"}
    mortal._listener.close()
    os.close(mortal._ready)


def test_a_fork_server_that_cannot_start_is_given_up(tmp_path):
    said: list[str] = []
    mortal = Mortal(tmp_path, {}, said.append)
    mortal._was_ready()
    mortal.ready = False
    mortal._start()
    mortal.replace(1 << 8, "exit code 1")
    assert mortal.pid == 0
    assert not (tmp_path / launcher.SOCKET).exists()
    assert said == ["the fork server died (exit code 1): workers start cold from now on"]


class TestInterpreter:
    """The program that the server is told to be Python."""

    def test_other_programs_have_the_full_python(self, tmp_path):
        program = tmp_path / "program.py"
        program.write_text("import sys; print(sys.argv[1:], sys.flags.no_site)")
        command = [server_home.interpreter(tmp_path), str(program), "--one", "two"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert said == "['--one', 'two'] 0\n"

    def test_a_path_that_no_script_can_name_is_left_alone(self, tmp_path, monkeypatch):
        for path in ("/a b/python", "/" + "long/" * 40 + "python"):
            monkeypatch.setattr(sys, "executable", path)
            assert server_home.interpreter(tmp_path) == path


def test_the_broom_takes_a_twentieth_of_the_time(prefork):
    now, swept = [0.0], []

    def sweep() -> None:
        swept.append(now[0])
        now[0] += 0.5

    broom = prefork.Broom(sweep, lambda: now[0])
    for _ in range(60):
        broom.sweep()
        now[0] += 0.5
    assert swept == [0.0, 10.5, 21.0]

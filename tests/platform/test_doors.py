"""Every door of a running platform: what listens, and who may come in.

The list is made from the kernel's tables, of every process that the platform has, so that a door
which somebody adds later is found, too.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.lab import ENDPOINT, Lab, lab
from benchmarks.report import Unavailable
from mmectl.local import processes, record
from mmectl.local.client import ask, platform
from mmectl.local.instance import procfs

NOBODY = 65534
LISTENS = "0A"  # TCP_LISTEN in /proc/net/tcp
ACCEPTS = 0x10000  # SO_ACCEPTCON in /proc/net/unix
TABLES = ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6")


@pytest.fixture(scope="module")
def made() -> Iterator[Lab]:
    """A platform with a model that has answered, whose folders above `local` anybody may enter."""
    try:
        with lab(2) as found:
            for folder in (found.state.parent, found.state):
                folder.chmod(0o755)
            runtime = found.client("sagemaker-runtime")
            for target in found.targets:
                found.invoke(runtime, target)
            yield found
    except Unavailable as error:
        pytest.skip(str(error))


def everybody(state: Path) -> set[int]:
    """The platform's processes: those that carry its mark, and all that descend from them."""
    found = {process.pid for process in processes.marked(state)}
    parents = {}
    for pid in procfs.pids():
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            parents[pid] = int(fields[1])
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def opened(pids: set[int]) -> Iterator[str]:
    """What they have open: ``socket:[1]``, ``pipe:[2]``, a path."""
    for pid in pids:
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    yield os.readlink(link)  # noqa: PTH115 - it may be no path


def sockets_of(pids: set[int]) -> set[str]:
    return {text[8:-1] for text in opened(pids) if text.startswith("socket:[")}


def on_networks(pids: set[int]) -> list[tuple[str, str, int]]:
    """(protocol, address in hexadecimal, port) of what they listen on in any network."""
    ours, found = sockets_of(pids), []
    for table in TABLES:
        with contextlib.suppress(FileNotFoundError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[9] in ours and (fields[3] == LISTENS or "tcp" not in table):
                    address, _, port = fields[1].partition(":")
                    found.append((table, address, int(port, 16)))
    return found


def on_this_machine(pids: set[int]) -> list[str]:
    """The names of the Unix sockets that they listen on, or can be sent datagrams at."""
    ours, found = sockets_of(pids), []
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split(maxsplit=7)
        datagrams = int(fields[4], 16) != socket.SOCK_STREAM
        if fields[6] in ours and (int(fields[3], 16) & ACCEPTS or (datagrams and len(fields) > 7)):
            found.append(fields[7] if len(fields) > 7 else "")
    return found


def fifos(pids: set[int], state: Path) -> set[Path]:
    """The named pipes that they have open, and every one that lies in the platform's folders."""
    paths = {Path(text) for text in opened(pids) if text.startswith("/")}
    paths |= set((state / "local" / "fleets").rglob("*"))
    found = set()
    for path in paths:
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(path.lstat().st_mode):
                found.add(path)
    return found


def is_private(path: Path, state: Path) -> bool:
    """Whether it lies below a folder of the platform that its owner alone may enter."""
    own = [
        folder
        for folder in path.parents
        if folder.is_relative_to(state / "local") or folder.name.startswith("mme-")
    ]
    states = [folder.stat() for folder in own]
    return any(s.st_mode & 0o077 == 0 and s.st_uid == os.getuid() for s in states)


def test_everything_that_listens_is_the_gateway_or_lies_in_a_private_folder(made: Lab) -> None:
    # supervisor, server, entrypoint, java, fork server, a worker for each model
    assert len(everybody(made.state)) >= 7
    check_doors(made)


def check_doors(made: Lab) -> None:
    pids = everybody(made.state)
    assert set(made.processes()) <= pids
    known = record.read(made.state)
    assert known is not None
    assert on_networks(pids) == [("tcp", "0100007F", known.port)]
    names = on_this_machine(pids)
    assert {Path(name).name for name in names} >= {"http.sock", "prefork"}
    assert [name for name in names if not name.startswith("/")] == []
    assert [name for name in names if not is_private(Path(name), made.state)] == []
    assert [path for path in fifos(pids, made.state) if not is_private(path, made.state)] == []


def test_a_door_in_the_open_would_be_found(made: Lab, tmp_path: Path) -> None:
    code = """if True:
        import socket, sys, time
        made = [socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX), socket.socket()]
        made[0].bind(sys.argv[1]), made[1].bind(chr(0) + "abstract"), made[2].bind(("127.0.0.1", 0))
        datagrams = socket.socket(type=socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", 0))
        [line.listen() for line in made]
        print(flush=True)
        time.sleep(60)"""
    variables = {**os.environ, processes.SERVER_MARK: str(made.state)}
    path = tmp_path / "open"
    process = subprocess.Popen(
        [sys.executable, "-c", code, path],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=variables,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        pids = everybody(made.state)
        assert sorted(row[0] for row in on_networks(pids)) == ["tcp", "tcp", "udp"]
        assert {str(path), "@abstract"} <= set(on_this_machine(pids))
        assert not is_private(path, made.state)
    finally:
        process.kill()
        process.communicate()


ELSEBODY = """if True:
    import json, os, socket, sys
    paths, folders, files = json.loads(sys.argv[1])
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    got = []
    def attempt(what, path, action):
        try:
            action(path)
        except OSError as error:
            if error.errno != 13:
                got.append([what, path, str(error)])
        else:
            got.append([what, path, "let in"])
    def connect(path):
        socket.socket(socket.AF_UNIX).connect(path)
    for path in paths: attempt("connect", path, connect)
    for path in folders: attempt("list", path, os.listdir)
    for path in files: attempt("read", path, open)
    print(json.dumps(got))"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_another_user_gets_in_nowhere(made: Lab) -> None:
    local = made.state / "local"
    pids = everybody(made.state)
    sockets = on_this_machine(pids) + [str(path) for path in fifos(pids, made.state)]
    (row,) = made.rows()
    assert row["socket"] in sockets
    assert row["port"] is None
    folders = [str(local), str(local / "fleets"), str(Path(row["socket"]).parent)]
    files = [str(local / name) for name in ("platform.json", "control.db", "platform.log")]
    given = json.dumps([sockets, folders, files])
    done = subprocess.run(
        [sys.executable, "-c", ELSEBODY, given], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


def request(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        given = {"Content-Length": str(len(body)), **headers}
        for name, value in given.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


METHODS = ("GET", "POST", "OPTIONS", "PUT", "DELETE", "HEAD")
REFUSED = {method: (400, 403, 501) if method == "OPTIONS" else (400, 403) for method in METHODS}
PATHS = ("/", "/ping", "/models", "/-/ping", "/-/status", f"/endpoints/{ENDPOINT}/invocations")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_whoever_does_not_sign_is_refused(made: Lab, method: str, path: str) -> None:
    known = record.read(made.state)
    assert known is not None
    status, _, body = request(known.port, method, path)
    assert status in REFUSED[method]
    assert known.secret_access_key.encode() not in body


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", PATHS)
def test_a_page_of_the_web_is_refused(made: Lab, method: str, path: str) -> None:
    """As a browser sends it without asking first, and as it asks first; also under another name."""
    known = record.read(made.state)
    assert known is not None
    page = {"Origin": "http://evil.example", "Content_Type": "text/plain"}
    asks = {
        "Access_Control_Request_Method": "POST",
        "Access_Control_Request_Private_Network": "true",
    }
    for host in (f"127.0.0.1:{known.port}", f"evil.example:{known.port}"):
        status, headers, _ = request(known.port, method, path, b"x=1", Host=host, **page, **asks)
        assert status in REFUSED[method]
        assert not [name for name in headers if name.lower().startswith("access-control-")]


def test_another_process_of_ours_needs_the_secret(made: Lab) -> None:
    """It may read it: processes of one user are not kept apart (docs/security.md)."""
    known = record.read(made.state)
    assert known is not None
    foreign = record.Record(known.port, known.region, known.access_key_id, "another secret")
    assert ask.get(foreign, "/-/ping", 5) is None
    assert ask.get(known, "/-/ping", 5) is not None
    assert record.path(made.state).stat().st_mode & 0o777 == 0o600


def test_a_short_way_for_a_long_path_is_private_too(tmp_path: Path) -> None:
    from mmectl.local.instance.workspace import Workspace, remove_workspace

    workspace = Workspace.make(tmp_path / ("x" * 100) / "i-1")
    try:
        assert len(os.fsencode(workspace.socket)) < 100
        assert is_private(workspace.socket, tmp_path)
        for folder in (workspace.run, workspace.front, workspace.base / "models"):
            assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        remove_workspace(workspace.home)
    assert not workspace.run.exists()


def test_the_doors_are_the_same_after_everybody_was_replaced(made: Lab) -> None:
    known = record.read(made.state)
    assert known is not None
    assert known.supervisor is not None
    assert known.server is not None
    processes.send(known.supervisor, 9)  # type: ignore[arg-type]
    deadline = time.monotonic() + 60
    while not _another(record.read(made.state), known):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    processes.send(known.server, 9)  # type: ignore[arg-type]
    assert platform.find(made.state) is not None
    made.wait()
    made.invoke(made.client("sagemaker-runtime"), made.targets[0])
    check_doors(made)


def _another(now: record.Record | None, before: record.Record) -> bool:
    """Whether the supervisor is another one by now."""
    found = now.supervisor if now else None
    return found != before.supervisor and processes.alive(found)

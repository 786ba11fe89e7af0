"""Finds the platform's own processes among all others; Linux, few imports."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
SERVER_MARK = "MMECTL_STATE_DIR"  # in the environment of the server and of every instance
SUPERVISOR_MARK = "MMECTL_PLATFORM_DIR"  # in the supervisor's
POLL = 0.02  # seconds
_EXEC = 0.5


@dataclass(frozen=True, slots=True)
class Process:
    """A process: `ticks` is its start time, so that a recycled number is not taken for it."""

    pid: int
    ticks: int


def find(pid: int) -> Process | None:
    """The living process of that number; a zombie is dead."""
    fields = _stat(pid)
    return Process(pid, int(fields[19])) if fields and fields[0] not in "ZX" else None


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat behind the name: state, parent, group, session, terminal."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _environ(folder: Path) -> list[bytes]:
    """The variables that a process was started with; raises OSError when it is gone.

    For a moment within exec, after whoever started it was told of success, a process shows
    neither environment nor arguments; kernel threads, which show none at all, have no program.
    """
    deadline = time.monotonic() + _EXEC
    while not (content := (folder / "environ").read_bytes()):
        if (folder / "cmdline").read_bytes() or time.monotonic() > deadline:
            content = (folder / "environ").read_bytes()  # both are there from one moment on
            break
        (folder / "exe").readlink()
        time.sleep(0.001)
    return content.split(b"\0")


def alive(process: Process | None) -> bool:
    """Whether it still runs."""
    return process is not None and find(process.pid) == process


def mark_of(process: Process | None) -> Path | None:
    """The folder that a process of a platform was started for; None where nobody can say."""
    if process is None or not alive(process):
        return None
    try:
        variables = _environ(PROC / str(process.pid))
    except OSError:
        return None
    for name in (SERVER_MARK, SUPERVISOR_MARK):
        start = f"{name}=".encode()
        for variable in variables:
            if variable.startswith(start):
                return Path(os.fsdecode(variable[len(start) :]))
    return None


def send(process: Process | None, sign: signal.Signals) -> bool:
    """Signal it; False when it is gone."""
    if process is None or not alive(process):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, sign)
        return True
    return False


def marked(state_dir: Path) -> list[Process]:
    """Every process of this platform: supervisor, server, instances and their children."""
    return carrying({f"{name}={state_dir}" for name in (SERVER_MARK, SUPERVISOR_MARK)})


def carrying(variables: AbstractSet[str]) -> list[Process]:
    """Every process that was started with one of these ``NAME=value`` in its environment.

    Only our own user's, never ourselves or a process above us, and none with a terminal: a
    person may have the same variable set.
    """
    marks = {variable.encode() for variable in variables}
    above = _ancestors()
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) in above:
            continue
        with contextlib.suppress(OSError):
            if entry.stat().st_uid != os.getuid():
                continue
            fields = _stat(int(entry.name))
            ours = marks & set(_environ(entry))
            if ours and fields and fields[0] not in "ZX" and fields[4] == "0":
                found.append(Process(int(entry.name), int(fields[19])))
    return found


def kill_carrying(variable: str) -> int:
    """Kill every process that was started with this ``NAME=value``; returns how many."""
    left = carrying({variable})
    for process in left:
        send(process, signal.SIGKILL)
    return len(left)


def _ancestors() -> set[int]:
    pid, above = os.getpid(), set()
    while pid > 0:
        above.add(pid)
        fields = _stat(pid)
        pid = int(fields[1]) if fields else 0
    return above


def wait_gone(processes: Iterable[Process], timeout: float) -> list[Process]:
    """Wait until they have ended; returns those that have not after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    left = [process for process in processes if alive(process)]
    while left and time.monotonic() < deadline:
        time.sleep(POLL)
        left = [process for process in left if alive(process)]
    return left


def sweep(state_dir: Path, timeout: float = 5.0) -> int:
    """Kill whatever is left of a platform; returns how many processes there were."""
    killed: set[Process] = set()
    deadline = time.monotonic() + timeout
    while (left := marked(state_dir)) and time.monotonic() < deadline:
        for process in left:
            send(process, signal.SIGKILL)
        killed.update(left)
        wait_gone(left, 1.0)
    return len(killed)

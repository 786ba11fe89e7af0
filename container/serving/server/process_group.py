"""The process group of a server: its members, and their end when the leader ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from pathlib import Path


def lead() -> None:
    """Lead a process group, so that the server and its workers can be told apart."""
    if os.getpgrp() != os.getpid():
        os.setsid()


def end_with_us() -> int:
    """Let the kernel kill our whole group when we end, however we do; returns a descriptor.

    It does so as long as another process of the group has the descriptor. It is the reading end
    of a pipe whose writing end is ours alone, made to signal (fcntl(2): F_SETOWN, F_SETSIG) that
    it was closed. PR_SET_PDEATHSIG reaches children alone, and would end a child of Java's when
    the thread that started it ends; a worker that computes hears of nothing else.
    """
    reader, _ = os.pipe()
    # a kernel without it is a sandbox's: there we are process 1, with which everything ends
    with contextlib.suppress(OSError):
        fcntl.fcntl(reader, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(reader, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC)
    return reader


def leave_signals() -> None:
    """Hear of no signals in a child of the entrypoint: they are the entrypoint's."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def members() -> list[int]:
    """List the other living processes of our group (Linux's /proc)."""
    own, found = os.getpid(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != own:
            try:
                fields = (entry / "stat").read_text("utf-8", "replace")
            except OSError:
                continue
            state, _, group = fields[fields.rindex(")") + 2 :].split()[:3]
            if int(group) == own and state != "Z":
                found.append(int(entry.name))
    return found


def signal_members(number: int) -> list[int]:
    """Send a signal to the other processes of our group, and say which they were."""
    found = members()
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return found

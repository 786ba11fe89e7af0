"""The supervisor: owns the listening socket and keeps a server behind it.

Because the socket is the supervisor's, connections wait in its backlog while a server that
was killed is replaced, and the address never changes. It idles for days, so it imports little
and does nothing but wait for its child. When it is killed itself, the server, which has the socket,
too, starts another (`keeper`), which goes on with that server (`adopt`). A lock makes it the only
one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

from mmectl.base.files import lock_for_good
from mmectl.local import processes, record

BACKLOG = 512
HEALTHY = 10.0  # seconds a server must live for the next death to count as the first
LONGEST_PAUSE = 30.0  # seconds between two attempts
AGAIN = 2.0  # seconds until platform.json, which could not be written, is written again
LOCK_SECONDS = 5.0  # that another supervisor, which is killed perhaps, is waited for
GIVE_UP = 78  # exit code of a server that would fail the same way again (EX_CONFIG)
STARTER = "import sys; sys.path = [p for p in sys.path if p] + [{root!r}]; "
SERVER = STARTER + "from mmectl.local.server.main import main; sys.exit(main(sys.argv[1:]))"


def pause(deaths: int) -> float:
    """Seconds to wait before the next attempt, after so many early deaths in a row."""
    return 0.0 if deaths <= 1 else float(min(LONGEST_PAUSE, 0.25 * 2 ** (deaths - 2)))


def listen(port: int, address: str = record.LOOPBACK) -> tuple[socket.socket, bool]:
    """The listening socket, and whether the wished port was to be had."""
    wished = True
    listener = _socket()
    try:
        listener.bind((address, port))
    except OSError:
        wished = False
        listener.close()
        listener = _socket()
        listener.bind((address, 0))
    listener.listen(BACKLOG)
    return listener, wished


def _socket() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return listener


def say(text: str) -> None:
    """One line for the platform's log."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S")
    with contextlib.suppress(OSError):  # a full disk must not end it
        sys.stderr.write(f"{stamp} supervisor: {text}\n")
        sys.stderr.flush()


class Orphan:
    """A server whose supervisor died; it is nobody's child, so it says itself how it ends.

    `life` is the reading end of a pipe of its: the exit code as a byte, none where it was killed.
    """

    def __init__(self, pid: int, life: int) -> None:
        self.process = processes.find(pid)
        self._life = life

    def wait(self) -> int:
        """Wait for its end; the exit code."""
        said = b""
        while piece := os.read(self._life, 16):
            said += piece
        os.close(self._life)
        if self.process is not None:
            processes.wait_gone((self.process,), LOCK_SECONDS)
        return said[-1] if said else -signal.SIGKILL


class Supervisor:
    """Runs servers one after another until it is told to stop."""

    def __init__(
        self,
        state_dir: Path,
        root: str,
        listener: socket.socket,
        ready: int,
        orphan: Orphan | None = None,
    ) -> None:
        self._state_dir, self._root = state_dir, root
        self._listener, self._ready = listener, ready
        self._orphan = orphan
        self._child = 0
        self._stopping = self._late = False

    def run(self) -> int:
        """Until SIGTERM, a clean end of the server, or one that a restart cannot fix."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        deaths, code = 0, 0
        while not self._stopping:
            begun = time.monotonic()
            code = self._adopt(self._orphan) if self._orphan else self._serve()
            if self._stopping or code in (0, GIVE_UP):
                break
            deaths = 1 if time.monotonic() - begun > HEALTHY else deaths + 1
            say(f"the server ended with {code}; starting it again in {pause(deaths):g} s")
            self._sleep(pause(deaths))
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._listener.close()
        self._forget()
        self._dispose()
        return code

    def _adopt(self, orphan: Orphan) -> int:
        """Wait for the end of a server that another supervisor started; its exit code."""
        self._remember()
        code = orphan.wait()
        self._orphan = None
        return code

    def _serve(self) -> int:
        """Start a server and wait for its end; its exit code, negative for a signal."""
        descriptors = (self._listener.fileno(), self._ready)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        arguments = [str(self._state_dir), *map(str, descriptors)]
        environment = {**os.environ, processes.SERVER_MARK: str(self._state_dir)}
        environment.pop(processes.SUPERVISOR_MARK, None)
        self._remember()  # whoever sees the server ready must find the port here
        self._child = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", SERVER.format(root=self._root), *arguments],
            environment,
            setsigdef=[signal.SIGTERM, signal.SIGINT],
        )
        if self._stopping:  # the signal came between the question and the start
            os.kill(self._child, signal.SIGTERM)
        self._remember()
        _, status = os.waitpid(self._child, 0)
        self._child = 0
        return os.waitstatus_to_exitcode(status)

    def _remember(self, *_: object) -> None:
        """Write down who runs; later, where the disk is full: others look for us there."""
        known = record.read(self._state_dir)
        if known is None:
            return
        now = replace(
            known,
            port=self._listener.getsockname()[1],
            supervisor=processes.find(os.getpid()),
            server=self._server(),
        )
        try:
            record.write(self._state_dir, now)
        except OSError as error:
            if not self._late:
                say(f"cannot write platform.json: {error}")
            self._late = True
            signal.signal(signal.SIGALRM, self._remember)
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        else:
            self._late = False

    def _server(self) -> processes.Process | None:
        if self._orphan is not None:
            return self._orphan.process
        return processes.find(self._child) if self._child else None

    def _forget(self) -> None:
        known = record.read(self._state_dir)
        if known is not None and known.supervisor == processes.find(os.getpid()):
            with contextlib.suppress(OSError):
                record.write(self._state_dir, replace(known, supervisor=None, server=None))

    def _dispose(self) -> None:
        """Remove the folder of a disposable platform whose owner is no longer there to do it."""
        known = record.read(self._state_dir)
        if known is None or not known.hosting.disposable or processes.alive(known.hosting.owner):
            return
        import shutil

        processes.sweep(self._state_dir)
        shutil.rmtree(self._state_dir, ignore_errors=True)

    def _stop(self, *_: object) -> None:
        self._stopping = True
        if self._orphan is not None:
            processes.send(self._orphan.process, signal.SIGTERM)
        if self._child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGTERM)

    def _sleep(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < deadline:
            time.sleep(min(0.1, seconds))


def fail(ready: int, message: str, code: str | None = None) -> None:
    """Tell the one who waits for the start that there will be none."""
    with contextlib.suppress(OSError):
        os.write(ready, json.dumps({"error": message, "code": code}).encode() + b"\n")


def alone(state_dir: Path) -> bool:
    """Be the only supervisor of this state, until the process ends; False if there is another."""
    return lock_for_good(state_dir / "local" / "supervisor.lock", LOCK_SECONDS)


def adopt(arguments: list[str]) -> int:
    """``<state dir> <folder of the mmectl package> <socket> <life> <server's pid> <told>``.

    Go on with a server whose supervisor died: descriptors of the socket, of the pipe on which that
    server says how it ends, and of the one on which it is told our number.
    """
    state_dir, root = Path(arguments[0]), arguments[1]
    socket_fd, life, pid, told = map(int, arguments[2:6])
    if os.fork():
        return 0
    if not alone(state_dir):
        say("another supervisor of this project is still running")
        return 1
    listener = socket.socket(fileno=socket_fd)
    nobody = os.open(os.devnull, os.O_WRONLY)  # waits for the start of the next server
    supervisor = Supervisor(state_dir, root, listener, nobody, Orphan(pid, life))
    os.write(told, str(os.getpid()).encode())
    os.close(told)
    say(f"took over the server (pid {pid}), whose supervisor died")
    return supervisor.run()


def main(arguments: list[str]) -> int:
    """``<state dir> <folder of the mmectl package> <descriptor to report on> [strict]``.

    ``strict``: the port is one that somebody asked for, so no other will do.
    """
    state_dir, root, ready = Path(arguments[0]), arguments[1], int(arguments[2])
    if os.fork():
        return 0  # the parent waits for this process, not for the platform
    if not alone(state_dir):
        fail(ready, "another supervisor of this project is still running")
        return 1
    known = record.read(state_dir)
    if known is None:
        fail(ready, "platform.json cannot be read")
        return 1
    try:
        listener, wished = listen(known.port, known.hosting.address)
    except OSError as error:
        fail(ready, f"no port can be opened on {known.hosting.address}: {error}")
        return 1
    if known.port and not wished and "strict" in arguments[3:]:
        fail(ready, f"port {known.port} is taken by another program", "platform_port")
        return 1
    if known.port and not wished:
        say(f"port {known.port} is taken by another program; using {listener.getsockname()[1]}")
    return Supervisor(state_dir, root, listener, ready).run()

"""What outlives the host (serving/workers/host.py): the sockets of its models.

Multi Model Server starts no second launcher for a model. So its listening socket is kept here, in
the process with which everything ends, and so are its connections: the server does not notice that
a host died, but for the request that this one was computing. Another host is forked, and asks for
them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from serving.workers import handover, host_line, launcher
from serving.workers.host_line import Mark

_PATIENCE = 2.0
# Deaths while it computed a model, so soon after each other, give that a process of its own
_STRIKES, _STRIKE_SECONDS = 2, 60.0
# Seconds before another host after one that died young, doubled each time
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
_YOUNG_SECONDS = 5.0


@dataclass
class _Kept:
    """A model: what the server started its launcher with, and its sockets."""

    arguments: list[str]
    listener: socket.socket
    clients: dict[int, socket.socket]
    strikes: list[float] = field(default_factory=list)

    @property
    def alone(self) -> bool:
        return len(self.strikes) >= _STRIKES

    def sockets(self) -> list[int]:
        return [self.listener.fileno(), *(one.fileno() for one in self.clients.values())]

    def hang_up(self) -> None:
        """End its connections: the server answers the request that waits, and connects again."""
        for client in self.clients.values():
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()
        self.clients.clear()


@dataclass
class _Line:
    """The connection to a host, and the models that it is still to be told of."""

    socket: socket.socket
    started: float
    to_tell: list[str]


class HostKeeper:
    """Keeps the sockets of `folder`, and a host while there are models for it."""

    def __init__(
        self,
        folder: Path,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Listen there; a host is started for the first model."""
        self._folder, self._say, self._clock = folder, say, clock
        self._kept: dict[str, _Kept] = {}
        self._front = _listening(folder / host_line.SOCKET)
        self._deposit = _listening(folder / host_line.DEPOSIT)
        self._mark = Mark.make()
        self._line: _Line | None = None
        self._pause, self._due = _FIRST_PAUSE, 0.0

    def descriptors(self) -> list[int]:
        """What to wait for."""
        found = [self._deposit.fileno()]
        return found if self._line is None else [*found, self._line.socket.fileno()]

    def seconds(self) -> float | None:
        """How long to wait for it; None: for ever."""
        if self._line is not None or not self._kept:
            return None
        return max(self._due - self._clock(), 0.0)

    def act(self, ready: set[int]) -> None:
        """Do what is due, after a wait that found these descriptors ready."""
        if self._line is not None and self._line.socket.fileno() in ready:
            self._hear(self._line)
        if self._deposit.fileno() in ready:
            self._take()
        if self._line is None and self._kept and self._clock() >= self._due:
            self._start()

    def _take(self) -> None:
        line, _ = self._deposit.accept()
        with line:
            line.settimeout(_PATIENCE)
            try:
                self._keep(*handover.receive(line))
                line.sendall(launcher.READY)
            except (OSError, ValueError, KeyError) as error:
                self._say(f"cannot keep the socket of a model: {error}")

    def _keep(self, body: bytes, files: list[int]) -> None:
        arguments, said = launcher.unpack(body)
        address = host_line.address(arguments)
        if host_line.WITHDRAWN in said:
            self._forget(address)
        else:
            listener, *clients = [socket.socket(fileno=file) for file in files]
            self._kept[address] = _Kept(arguments, listener, _numbered(clients))

    def _start(self) -> None:
        """Ask the fork server for a host."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(_PATIENCE)
        here = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        given = [0, 1, 2, here, self._front.fileno(), theirs.fileno(), self._mark.descriptor]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as request, theirs:
                request.settimeout(_PATIENCE)
                request.connect(str(self._folder / launcher.SOCKET))
                handover.send(request, launcher.pack([host_line.ARGUMENT], {}), given)
            self._line = _Line(ours, self._clock(), list(self._kept))
        except OSError as error:
            ours.close()
            self._say(f"cannot start a host of models: {error}")
            self._wait_longer()
        finally:
            os.close(here)

    def _wait_longer(self) -> None:
        self._due = self._clock() + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def _hear(self, line: _Line) -> None:
        try:
            text, files = handover.packet(line.socket)
            if text:
                self._listen(line, text[:1], text[1:], files)
                return
        except OSError:
            pass
        self._bury(line)

    def _listen(self, line: _Line, word: bytes, about: bytes, files: list[int]) -> None:
        address, _, number = os.fsdecode(about).partition("\0")
        kept = self._kept.get(address)
        clients = _numbered([socket.socket(fileno=file) for file in files])
        if word == host_line.NEXT:
            self._tell(line)
        elif word == host_line.FORGET:
            self._forget(address)
        elif kept is not None and word == host_line.JOINED:
            kept.clients.update(clients)
        elif kept is not None and word == host_line.PARTED and int(number) in kept.clients:
            kept.clients.pop(int(number)).close()

    def _tell(self, line: _Line) -> None:
        """Give the host the next of the models that there were before it."""
        while line.to_tell:
            kept = self._kept.get(line.to_tell.pop())
            if kept is not None:
                said = {host_line.ALONE: b""} if kept.alone else {}
                handover.send(line.socket, launcher.pack(kept.arguments, said), kept.sockets())
                return
        line.socket.sendall(launcher.pack([], {}))

    def _forget(self, name: str) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None:
            kept.hang_up()
            kept.listener.close()

    def _bury(self, line: _Line) -> None:
        """Note that the host died, and of what."""
        line.socket.close()
        self._line = None
        if self._clock() - line.started > _YOUNG_SECONDS:
            self._pause = _FIRST_PAUSE
        self._wait_longer()
        address, self._mark.name = self._mark.name, ""
        kept = self._kept.get(address)
        if kept is None:
            self._say("the host of models died: starting another")
            return
        kept.hang_up()
        now = self._clock()
        kept.strikes = [*(then for then in kept.strikes if now - then < _STRIKE_SECONDS), now]
        name = launcher.options(kept.arguments)["--model-name"]
        what = "it gets a process of its own" if kept.alone else "starting another"
        self._say(f"the host of models died while it served {name}: {what}")


def _numbered(clients: list[socket.socket]) -> dict[int, socket.socket]:
    return {host_line.number(client.fileno()): client for client in clients}


def _listening(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(128)
    return listener

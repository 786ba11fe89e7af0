"""What outlives workers and hosts of models: the sockets through which the server reaches them.

Multi Model Server starts one launcher for a model, and would need it as long as it has the model:
it listens for a worker's successor. Instead its listening socket is kept here, in the process with
which everything ends, and the launcher exits: 3 MB and four of Java's threads a model.

The connections of models in hosts (serving/workers/host.py) are kept as well: the server does not
notice that a host died, but for the request that this one was computing. Another host is forked in
its place (host_slot.py), and asks for them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runtimes.folders import MODEL

from serving.server import process_group
from serving.server.host_slot import PATIENCE, HostSlot, listening
from serving.workers import handover, host_line, launcher

# Models that a host has before there is a further one
MODELS_A_HOST = 8
MOST_HOSTS = 32
# Deaths of the host while it computed a model, so soon after each other, give that its own process
_STRIKES, _STRIKE_SECONDS = 2, 60.0
# For models without a connection, of which the server is asked: after one was ended in order, and
# where a process was killed
_SOON_SECONDS, _LOOK_SECONDS = 1.0, 60.0
_TRIES = 3


@dataclass
class _Kept:
    """A model: what the server started its launcher with, and its sockets."""

    name: str
    program: str
    arguments: list[str]
    environment: dict[bytes, bytes]
    listener: socket.socket
    clients: dict[int, socket.socket]
    host: HostSlot | None
    strikes: list[float] = field(default_factory=list)
    worker: int = 0
    reconnected: bool = False

    def end_worker(self) -> None:
        """End the worker of a model that the server has no longer, where it is there."""
        named = b"--model-name\0%s\0" % os.fsencode(self.name)
        with contextlib.suppress(OSError):
            if named in Path(f"/proc/{self.worker}/cmdline").read_bytes():
                os.kill(self.worker, signal.SIGKILL)

    def sockets(self) -> list[int]:
        return [self.listener.fileno(), *(one.fileno() for one in self.clients.values())]

    def hang_up(self) -> None:
        """End its connections: the server answers the request that waits, and connects again."""
        for client in self.clients.values():
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()
        self.clients.clear()

    def leave_host(self) -> None:
        """Be in a host no longer."""
        if self.host is not None:
            self.host.models.discard(host_line.address(self.arguments))
        self.host = None

    def strike(self, now: float) -> None:
        """Note that the host died of it; twice, and it is not served there any more."""
        self.hang_up()
        self.strikes = [*(then for then in self.strikes if now - then < _STRIKE_SECONDS), now]
        if len(self.strikes) >= _STRIKES:
            self.leave_host()
            self.listener.setblocking(False)


class SocketKeeper:
    """Keeps the sockets of the models that are served in `folder`; has workers and hosts forked."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        say: Callable[[str], None],
        is_registered: Callable[[str], bool],
        clock: Callable[[], float] = time.monotonic,
        hosts: int = 1,
    ) -> None:
        """Listen there; a host is started for the first model that shares one, `hosts` at most.

        `environment` is that of workers, but for a model that brought its own; `is_registered` asks
        the server for a model by name.
        """
        whole = {**environment, **host_line.FOR_WORKERS}
        self._environment = {os.fsencode(n): os.fsencode(v) for n, v in whole.items()}
        self._folder, self._say, self._clock = folder, say, clock
        self._is_registered = is_registered
        self._kept: dict[str, _Kept] = {}
        self._addresses: dict[str, str] = {}  # by the model's name, which the server has once
        self._own: dict[int, _Kept] = {}  # by its listening socket: models that are not hosted
        self._hosts = [HostSlot(number, folder, say, clock) for number in range(hosts)]
        self._deposit = listening(folder / host_line.DEPOSIT)
        self._look_due = 0.0

    def close(self) -> None:
        """Give all sockets up."""
        for address in list(self._kept):
            self._forget(address)
        for host in self._hosts:
            host.close()
        self._deposit.close()

    def descriptors(self) -> list[int]:
        """What to wait for."""
        lines = [host.line.fileno() for host in self._hosts if host.line is not None]
        return [self._deposit.fileno(), *self._own, *lines]

    def seconds(self) -> float | None:
        """How long to wait for it; None: for ever."""
        dues = [host.due for host in self._hosts if host.lacks_host]
        dues += [self._look_due] if self._kept else []
        return max(min(dues) - self._clock(), 0.0) if dues else None

    def act(self, ready: set[int]) -> None:
        """Do what is due, after a wait that found these descriptors ready."""
        for descriptor in ready & self._own.keys():
            self._have_forked(self._own[descriptor])
        for host in self._hosts:
            if host.line is not None and host.line.fileno() in ready:
                self._hear(host, host.line)
        if self._deposit.fileno() in ready:
            self._take()
        for host in self._hosts:
            if host.lacks_host and self._clock() >= host.due:
                host.start()
        if self._clock() >= self._look_due:
            self._look()

    def _take(self) -> None:
        line, _ = self._deposit.accept()
        with line:
            line.settimeout(PATIENCE)
            try:
                host = self._keep(*handover.receive(line), worker=_peer(line))
                line.sendall(launcher.READY + (b"%d" % host.number if host is not None else b""))
            except (OSError, ValueError, KeyError) as error:
                self._say(f"cannot keep the socket of a model: {error}")

    def _keep(self, body: bytes, files: list[int], worker: int) -> HostSlot | None:
        """Do what is said of a model; the host that it is to be served in, if any."""
        (what, program, *arguments), environment = launcher.unpack(body)
        address = host_line.address(arguments)
        sockets = [socket.socket(fileno=file) for file in files]
        if what == host_line.WITHDRAWN:
            self._forget(address)
        elif what == host_line.PARTED_WORKER:
            self._look_soon()
        elif address in self._kept or not sockets:  # of a worker's successor
            for one in sockets:
                one.close()
            if address in self._kept:
                self._kept[address].worker = worker
        else:
            listener, *clients = sockets
            host = self._emptiest() if what == host_line.HOSTED else None
            listener.setblocking(host is not None)
            name = launcher.options(arguments)["--model-name"]
            self._forget(self._addresses.get(name, ""))
            made = _Kept(name, program, arguments, environment, listener, _numbered(clients), host)
            made.worker = worker
            self._kept[address] = made
            self._addresses[name] = address
            if host is None:
                self._own[listener.fileno()] = made
            else:
                host.models.add(address)
        kept = self._kept.get(address)
        return kept.host if kept is not None else None

    def _emptiest(self) -> HostSlot:
        """The host with the fewest models, of as many as they are enough for."""
        models = sum(len(host.models) for host in self._hosts)
        return min(self._hosts[: models // MODELS_A_HOST + 1], key=lambda host: len(host.models))

    def _forget(self, address: str) -> None:
        """Give a model's sockets up; the server has it no longer."""
        kept = self._kept.pop(address, None)
        if kept is None:
            return
        self._addresses.pop(kept.name, None)
        self._own.pop(kept.listener.fileno(), None)
        kept.hang_up()
        kept.listener.close()
        if kept.host is None:
            kept.end_worker()
        with contextlib.suppress(OSError):
            Path(address).unlink()
        if kept.host is not None:
            kept.host.withdraw(kept)
            kept.leave_host()

    # Models with processes of their own

    def _have_forked(self, kept: _Kept) -> None:
        """Have a worker forked for a connection, as the launcher would; we do not wait for it."""
        try:
            client, _ = kept.listener.accept()
        except OSError:
            return
        kept.reconnected = True
        self._look_soon()
        with client:
            if os.fork():
                return
            try:
                self._fork_worker(kept, client.fileno())
            finally:
                os._exit(1)

    def _fork_worker(self, kept: _Kept, client: int) -> None:
        """Ask the fork server for a worker, in a child of ours; or become one that starts cold."""
        process_group.leave_signals()
        if not self._is_registered(kept.name):
            self._withdraw(kept)
            return
        os.chdir(launcher.options(kept.arguments)["--model-path"])
        own = {launcher.ISOLATION.encode(): MODEL.encode()}
        environment = {**(kept.environment or self._environment), **own}
        request = launcher.pack([kept.program, *kept.arguments], environment)
        for _ in range(_TRIES):
            path = str(self._folder / launcher.SOCKET)
            if launcher.ask(path, request, kept.listener.fileno(), [client]):
                os._exit(0)
        self._say("the fork server does not answer: this worker starts cold")
        os.set_inheritable(client, True)
        os.execve(  # noqa: S606
            sys.executable, launcher.cold(client, kept.arguments), environment
        )

    # Models that are gone

    def _look_soon(self) -> None:
        self._look_due = min(self._look_due, self._clock() + _SOON_SECONDS)

    def _look(self) -> None:
        """Ask the server, in a child of ours, for models that it may have no longer.

        Those that nobody is connected to; and those that it connected to again: it may have been
        about to when it unloaded the model, and then holds on to what it does not know.
        """
        self._look_due = self._clock() + _LOOK_SECONDS
        there = handover.bound()
        doubtful = [
            kept
            for address, kept in self._kept.items()
            if kept.reconnected or not (kept.clients if kept.host else there.get(address, 0) > 1)
        ]
        for kept in doubtful:
            kept.reconnected = False
        if not doubtful or os.fork():
            return
        try:
            process_group.leave_signals()
            for kept in doubtful:
                if not self._is_registered(kept.name):
                    self._withdraw(kept)
        finally:
            os._exit(0)

    @staticmethod
    def _withdraw(kept: _Kept) -> None:
        """Tell the entrypoint, from a child of it, that the server has a model no longer."""
        words = [kept.program, *kept.arguments]
        host_line.give(host_line.DEPOSIT, host_line.WITHDRAWN, words, {}, [])

    # The host

    def _hear(self, host: HostSlot, line: socket.socket) -> None:
        try:
            text, files = handover.packet(line)
            if text:
                self._listen(host, text[:1], text[1:], files)
                return
        except OSError:
            pass
        self._bury(host)

    def _listen(self, host: HostSlot, word: bytes, about: bytes, files: list[int]) -> None:
        address, _, number = os.fsdecode(about).partition("\0")
        kept = self._kept.get(address)
        clients = _numbered([socket.socket(fileno=file) for file in files])
        if word == host_line.NEXT:
            host.tell_next(self._kept)
        elif kept is not None and word == host_line.JOINED:
            kept.clients.update(clients)
            kept.reconnected = True
            self._look_soon()
        elif kept is not None and word == host_line.PARTED and int(number) in kept.clients:
            kept.clients.pop(int(number)).close()
            self._look_soon()

    def _bury(self, host: HostSlot) -> None:
        """Note that the host died, and of what."""
        kept = self._kept.get(host.bury())
        if kept is None:
            self._say("the host of models died: starting another")
            return
        kept.strike(self._clock())
        if kept.host is None:
            self._own[kept.listener.fileno()] = kept
        what = "starting another" if kept.host else "it gets a process of its own"
        self._say(f"the host of models died while it served {kept.name}: {what}")


def _peer(line: socket.socket) -> int:
    """The process at the other end."""
    size = struct.calcsize("3i")
    pid, _, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(pid)


def _numbered(clients: list[socket.socket]) -> dict[int, socket.socket]:
    return {host_line.number(client.fileno()): client for client in clients}

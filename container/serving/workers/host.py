"""A host: one process that serves many small models. There is one for each processor at most.

A process of its own costs a small model a hundred times the memory of its data. Multi Model Server
connects to a socket for each model, and does not care who answers: the launcher of a model hands
its connections and its listening socket over (prefork.py) and exits, and one loop here answers
them all, a request of each connection in turn.

What sharing a process gives up is given back otherwise:

- a model was loaded in a fork first (tier.py); here a load or a request has a deadline, after which
  the kernel ends this process;
- the entrypoint keeps the sockets (socket_keeper.py) and has another host forked, which goes on
  with them: a host that dies costs the request that it was computing;
- what was computed when it died stands in a `Mark`; a model found there twice gets a process of its
  own;
- a large payload is computed in a fork, so that the others need not wait for it.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mms.protocol.otf_message_handler import create_load_model_response, retrieve_msg
from mms.service import Service as ServerService
from model_handler import Service
from runtimes.values import EngineError, ModelError

from serving.workers import handover, host_line, launcher, memory
from serving.workers.host_line import Mark
from serving.workers.ledger import Ledger

log = logging.getLogger("host")

# Seconds that a load or a request may take here; one of a large payload has a fork of its own
DEADLINE_SECONDS = 10.0
LARGE_BODY_BYTES = 2**18
_SWEEP_SECONDS = 10.0
_READ_SECONDS = 10.0
_LISTENER, _CLIENT, _FRONT, _CHILD = "listener", "client", "front", "child"


class Buffered:
    """A connection as the server's codec reads it, in few system calls instead of forty."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._held = memoryview(b"")

    def recv(self, size: int) -> memoryview:
        """Take at most `size` bytes; none at the end of the connection."""
        if not self._held:
            self._held = memoryview(self._connection.recv(max(size, 2**16)))
        taken, self._held = self._held[:size], self._held[size:]
        return taken


class Hosted:
    """One model: its listening socket, connections, and once it is loaded its service."""

    def __init__(self, arguments: Sequence[str], listener: socket.socket) -> None:
        given = launcher.options(list(arguments))
        self.name, self.folder = given["--model-name"], Path(given["--model-path"])
        self.address = host_line.address(arguments)
        self.temporary = given["--tmp-dir"]
        self.listener = listener
        self.clients: set[int] = set()
        self.bytes, self.noted = 0, True  # what the model takes; whether the ledger has it
        self._service: ServerService | None = None
        self._litter: list[str] = []

    def load(self, channel: str) -> tuple[str, int]:
        """Load the model; the text and the status that the server is told."""
        # the server makes files of these names where nobody made pipes
        self._litter += [f"{self.temporary}/{channel}-{stream}" for stream in ("stdout", "stderr")]
        try:
            self._loaded()
        except MemoryError:
            return "System out of memory", 507
        return f"loaded model {self.name}. [PID]:{os.getpid()}", 200

    def predict(self, message: Any) -> bytes:
        """Answer a batch of requests; the host that loaded the model may have died since."""
        answer: bytes = self._loaded().predict(message)
        self.tidy()
        return answer

    def _loaded(self) -> ServerService:
        if self._service is None:
            before, service = memory.anonymous(), Service(rest_seconds=0)
            service.model = service.load(self.folder)
            self._service = ServerService(
                self.name, str(self.folder), None, service.handle, None, 1
            )
            self.bytes, self.noted = max(memory.anonymous() - before, 0), False
            log.info("%s, in the host, %d kB", service.model.took, self.bytes // 1024)
        return self._service

    def tidy(self) -> None:
        """Remove the server's files; it opened them after the load's answer."""
        for path in self._litter:
            with contextlib.suppress(OSError):
                Path(path).unlink()
        self._litter.clear()

    def unload(self) -> None:
        """Free the model; the server closed its connections."""
        self.tidy()
        self._service, self.bytes, self.noted = None, 0, True


class Host:
    """The loop. `front` is where models are handed over, `line` leads to the entrypoint."""

    def __init__(
        self, front: socket.socket, line: socket.socket, mark: Mark, ledger: Ledger
    ) -> None:
        self._front, self._line, self._mark = front, line, mark
        self._poll = select.epoll()
        self._watched: dict[int, tuple[str, Any]] = {}
        self._models: dict[str, Hosted] = {}
        self._children: dict[int, tuple[Hosted, socket.socket, Buffered]] = {}
        self._swept = time.monotonic()
        self._ledger = ledger

    def serve(self) -> NoReturn:
        """Serve until the entrypoint ends."""
        self._watch(self._front.fileno(), _FRONT, None)
        self._watch(self._line.fileno(), _FRONT, None)
        self._watch(self._hear_of_children(), _CHILD, None)
        self._ask_for_models()
        while True:
            for descriptor, _ in self._poll.poll(_SWEEP_SECONDS):
                self._act(descriptor)
            if time.monotonic() - self._swept > _SWEEP_SECONDS:
                self._sweep()

    def _hear_of_children(self) -> int:
        woken, waker = os.pipe()
        for end in (woken, waker):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        return woken

    def _ask_for_models(self) -> None:
        """Take the models of the host before this one from the entrypoint."""
        while True:
            self._line.sendall(host_line.NEXT)
            if not self._told():
                return

    def _told(self) -> bool:
        """Do what the entrypoint says on the line; False where it has no more to say."""
        text, files = handover.receive(self._line)
        if not text:
            os._exit(0)  # the entrypoint ended, and everything with it
        words, _ = launcher.unpack(text)
        if words and words[0] == host_line.WITHDRAWN:
            self._forget(host_line.address(words[2:]))
        elif words:
            self._take(words[2:], files)
        return bool(words)

    def _take(self, arguments: Sequence[str], files: list[int]) -> None:
        """Serve a model on these sockets; some of them may have come before, another way."""
        listener, *clients = [socket.socket(fileno=file) for file in files]
        hosted = self._models.get(host_line.address(arguments))
        if hosted is None:
            hosted = Hosted(arguments, listener)
            self._models[hosted.address] = hosted
            listener.setblocking(False)
            self._watch(listener.fileno(), _LISTENER, hosted)
        else:
            listener.close()
        for client in clients:
            self._join(hosted, client)

    def _watch(self, descriptor: int, kind: str, what: Any) -> None:
        self._watched[descriptor] = kind, what
        self._poll.register(descriptor, select.EPOLLIN)

    def _act(self, descriptor: int) -> None:
        kind, what = self._watched.get(descriptor, ("", None))
        if kind == _CLIENT:
            self._answer(*what)
        elif kind == _LISTENER:
            self._accept(what)
        elif kind == _CHILD:
            with contextlib.suppress(BlockingIOError):
                os.read(descriptor, 4096)
            self._reclaim()
        elif descriptor == self._line.fileno():
            self._told()
        elif kind == _FRONT:
            self._be_given()

    # Models come

    def _be_given(self) -> None:
        """Take a model with the connections that its launcher had accepted."""
        line, _ = self._front.accept()
        with line:
            line.settimeout(_READ_SECONDS)
            try:
                text, files = handover.receive(line)
                if not files:
                    return
                words, _ = launcher.unpack(text)
                self._take(words[2:], files)
                line.sendall(launcher.READY)
            except (OSError, ValueError, KeyError) as error:
                log.warning("cannot take a model over: %s", error)

    def _accept(self, hosted: Hosted) -> None:
        try:
            client, _ = hosted.listener.accept()
        except OSError:
            return
        said = host_line.JOINED + os.fsencode(hosted.address)
        handover.send(self._line, said, [client.fileno()])
        self._join(hosted, client)

    def _join(self, hosted: Hosted, client: socket.socket) -> None:
        number = host_line.number(client.fileno())
        if number in hosted.clients:
            client.close()
            return
        hosted.clients.add(number)
        client.settimeout(_READ_SECONDS)
        self._watch(client.fileno(), _CLIENT, (hosted, client, Buffered(client)))

    # Requests

    def _answer(self, hosted: Hosted, client: socket.socket, reader: Buffered) -> None:
        try:
            with self._deadline(hosted):
                command, message = retrieve_msg(reader)
                if command == b"L":
                    self._load(hosted, client, message)
                elif _bytes(message) <= LARGE_BODY_BYTES:
                    client.sendall(hosted.predict(message))
                else:
                    self._compute_aside(hosted, client, reader, message)
            self._note(hosted)
        except (ModelError, EngineError, MemoryError):
            self._part(hosted, client)  # the service has said why
        except (OSError, ValueError) as error:
            if "Frontend disconnected" not in str(error):
                log.warning("%s: %s", hosted.name, error)
            self._part(hosted, client)
        except Exception:
            log.exception("%s: the request failed", hosted.name)
            self._part(hosted, client)

    def _load(self, hosted: Hosted, client: socket.socket, message: Any) -> None:
        text, code = hosted.load(bytes(message["ioFileDescriptor"]).decode())
        self._note(hosted)
        client.sendall(create_load_model_response(code, text))
        if code != 200:
            self._part(hosted, client)

    def _note(self, hosted: Hosted) -> None:
        """Write down what a model takes that was loaded just now, after another host perhaps."""
        if not hosted.noted:
            self._ledger.came(hosted.name, hosted.bytes)
            hosted.noted = True

    @contextlib.contextmanager
    def _deadline(self, hosted: Hosted) -> Iterator[None]:
        """End the process by a signal where this takes too long, in whatever library."""
        self._mark.name = hosted.address
        signal.setitimer(signal.ITIMER_REAL, DEADLINE_SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._mark.name = ""

    def _compute_aside(
        self, hosted: Hosted, client: socket.socket, reader: Buffered, message: Any
    ) -> None:
        """Answer in a fork, while the others are served here."""
        child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.set_wakeup_fd(-1)
                client.settimeout(None)
                client.sendall(hosted.predict(message))
                code = 0
            finally:
                os._exit(code)
        self._unwatch(client.fileno())
        self._children[child] = hosted, client, reader

    def _reclaim(self) -> None:
        for child, (hosted, client, reader) in list(self._children.items()):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid == 0:
                continue
            del self._children[child]
            self._watch(client.fileno(), _CLIENT, (hosted, client, reader))
            if status:
                self._part(hosted, client)

    # Models go

    def _unwatch(self, descriptor: int) -> None:
        if self._watched.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def _part(self, hosted: Hosted, client: socket.socket) -> None:
        number = host_line.number(client.fileno())
        self._unwatch(client.fileno())
        hosted.clients.discard(number)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        client.close()
        self._line.sendall(host_line.PARTED + os.fsencode(f"{hosted.address}\0{number}"))
        if not hosted.clients:
            hosted.unload()
            self._ledger.went(hosted.name)

    def _sweep(self) -> None:
        """Remove the server's files of models that have had no request yet."""
        self._swept = time.monotonic()
        for hosted in self._models.values():
            hosted.tidy()

    def _forget(self, address: str) -> None:
        """Give up a model that the server has no longer; its connections have ended."""
        hosted = self._models.pop(address, None)
        if hosted is not None:
            self._unwatch(hosted.listener.fileno())
            hosted.listener.close()


def _bytes(message: Any) -> int:
    return sum(len(part["value"]) for request in message for part in request["parameters"])


def run(files: Sequence[int], number: int) -> NoReturn:
    """Be the host of that number, in the process forked for it, until the entrypoint ends."""
    front, line, mark = files
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.INFO)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.update(host_line.FOR_WORKERS)
    gc.freeze()
    ledger = Ledger.beside(os.environ, number)
    Host(socket.socket(fileno=front), socket.socket(fileno=line), Mark(mark), ledger).serve()

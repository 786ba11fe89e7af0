"""The worker of a model in Multi Model Server, in a process that was just forked for it.

The server makes a connection for each worker that a model may have, and sends one request at a
time on each. One process answers on all of them, as long as it keeps up: it alone has the memory
that computing takes. A request that came while it computed another goes to a replica, forked then,
which holds the weights with it and answers on that connection until there was nothing to do for
a while. So a model has a second process while it needs one.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mms.model_service_worker import MXNetModelServiceWorker
from mms.protocol.otf_message_handler import create_load_model_response, retrieve_msg
from mms.service import emit_metrics

log = logging.getLogger("worker")
# A replica exits after this many idle periods without work and returns its connection
_REPLICA_RESTS = 5
_OK = 200
_BACK, _ENDED = 0, 1  # exit codes of a replica
_FAILURES = 5  # of ending other threads, after which no replica is tried any more
_PIPE_SECONDS = 0.001
_TELL_SECONDS = 0.02  # after a load; the first request is on its way


class Worker(MXNetModelServiceWorker):  # type: ignore[misc]
    """The server's own worker, with a loop for several connections and its replicas.

    It leaves no pipes behind, and no process after a 507.
    """

    def __init__(
        self,
        given: Mapping[str, str],
        clients: Sequence[socket.socket],
        loaded: Callable[[], None] = lambda: None,
    ) -> None:
        """Make the worker of these connections; `loaded` is called after the load."""
        request = {
            "handler": given["--handler"].encode(),
            "modelPath": given["--model-path"].encode(),
            "modelName": given["--model-name"].encode(),
        }
        super().__init__("tcp", None, None, 0, request, False, given["--tmp-dir"])
        self.sock.close()  # it listens in the launcher
        self.socket_name = given.get("--sock-name")
        self._ours = list(clients)
        self._handed_over: dict[int, socket.socket] = {}  # by the replica's process
        self._outputs: dict[socket.socket, tuple[int, int]] = {}
        self._outcome: tuple[str, int] | Exception | None = None
        self._woken = -1
        self._waker = -1
        self._waiting: list[socket.socket] = []
        self._failed_replicas = 0
        self._to_tell: Callable[[], None] | None = None
        self._loaded = loaded

    def serve(self) -> None:
        """Answer until the server has closed all connections."""
        signal.signal(signal.SIGTERM, lambda *_: self.sigterm_handler())
        if len(self._ours) > 1:
            self._woken, self._waker = os.pipe()
            os.set_blocking(self._waker, False)
            signal.signal(signal.SIGCHLD, lambda *_: None)
            signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        while self._ours or self._handed_over:
            watched: list[Any] = [*self._ours, *([self._woken] if self._woken >= 0 else [])]
            seconds = _TELL_SECONDS if self._to_tell else None
            ready, _, _ = select.select(watched, [], [], seconds)
            if not ready:
                self._tell_of_the_load()
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reclaim()
            for client in ready:
                if client in self._ours:
                    self._answer(client)

    def _answer(self, client: socket.socket) -> bool:
        """Answer one message; False if that was the end of the connection."""
        try:
            command, message = retrieve_msg(client)
            if command == b"I":
                self._predict(client, message)
            else:
                self._tell(client, message)
        except Exception:
            log.error("Backend worker process died.", exc_info=True)
            self._end(client)
            return False
        try:
            self._share_work()
        except (OSError, MemoryError) as error:  # the request that waits is ours then
            log.warning("cannot fork another worker: %s", error)
        return True

    def _predict(self, client: socket.socket, message: Any) -> None:
        response = self.service.predict(message)
        # before the answer is sent: a client that asks again now has not waited
        self._waiting = [
            other
            for other in self._ours
            if other is not client and other in self._outputs and _readable(other)
        ]
        client.sendall(response)
        self._tell_of_the_load()
        if self.service.context is not None and self.service.context.metrics is not None:
            emit_metrics(self.service.context.metrics.store)

    def _tell_of_the_load(self) -> None:
        """Let the handler log what the load took, which takes some ms: not before an answer."""
        action, self._to_tell = self._to_tell, None
        if action is not None:
            action()

    def _share_work(self) -> None:
        """Fork replicas for requests that waited, as far as there is memory for them."""
        waiting, self._waiting = self._waiting, []
        if not waiting or self._failed_replicas >= _FAILURES or not _room():
            return
        if not self._alone():
            self._failed_replicas += 1
            return
        for other in waiting:
            if _room():
                self._hand_over(other)

    def _handler(self) -> Any:
        """The object whose method the server calls (Service); None for another handler."""
        return getattr(self.service._entry_point, "__self__", None)

    def _alone(self) -> bool:
        """Give back what is not to be shared; whether this process may fork now."""
        quiesce = getattr(self._handler(), "quiesce", None)
        if quiesce is None or not quiesce():
            return False
        gc.collect()
        gc.freeze()  # the first collection would copy every page of objects
        return True

    def _tell(self, client: socket.socket, request: Any) -> None:
        """Load the model, which is done once, and tell each connection what came of it."""
        if self._outcome is None:
            try:
                self._outcome = said = self.load_model(request)
                if said[1] == _OK:
                    self._loaded()  # before the server hears of it: who watches then sees us alone
            except Exception as error:  # noqa: BLE001 - raised again for each connection
                self._outcome = error
        else:
            self._create_io_files(self.tmp_dir, request["ioFileDescriptor"].decode())
        try:
            if isinstance(self._outcome, Exception):
                raise self._outcome
            text, code = self._outcome
            client.sendall(create_load_model_response(code, text))
            if code == _OK:
                self._open_pipes(client)
        finally:
            self._remove_pipes()
        if len(self._outputs) == len(self._ours):  # the server waits for all of them
            self._to_tell = getattr(self._handler(), "told", None)
        if code != _OK:
            raise RuntimeError(f"{code} - {text}")

    def _open_pipes(self, client: socket.socket) -> None:
        """Open the pipes through which the server reads what this connection's worker prints."""
        self._outputs[client] = (_opened(self.out, client), _opened(self.err, client))
        if len(self._outputs) == 1:
            self._print_to(client)

    def _print_to(self, client: socket.socket) -> None:
        for pipe, stream in zip(self._outputs[client], (1, 2)):  # noqa: B905 - Python 3.8
            os.dup2(pipe, stream)

    def _remove_pipes(self) -> None:
        # who was to open them has; for a model that could not be loaded nobody opens them
        for path in (self.out, self.err):
            with contextlib.suppress(OSError, TypeError):
                Path(path).unlink()

    def _end(self, client: socket.socket) -> None:
        self._ours.remove(client)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        client.close()
        for pipe in self._outputs.pop(client, ()):
            os.close(pipe)
        if self._ours and self._ours[0] in self._outputs:
            self._print_to(self._ours[0])

    def _hand_over(self, client: socket.socket) -> None:
        """Fork a replica for a connection."""
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            code = _ENDED
            try:
                code = self._be_replica(client, parent)
            finally:
                os._exit(code)
        self._ours.remove(client)
        self._handed_over[child] = client

    def _be_replica(self, client: socket.socket, parent: int) -> int:
        """Answer on one connection until it ends, or until the parent may reclaim it."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._woken)
        os.close(self._waker)
        self._print_to(client)
        for other in (*self._ours, *self._handed_over.values()):
            if other is not client:
                other.close()
                for pipe in self._outputs.pop(other, ()):
                    os.close(pipe)
        self._ours, self._handed_over = [client], {}
        # not at the top: another handler may have modules of such names
        from runtimes import process

        from serving.workers import idle

        process.reseed()

        seconds = idle.seconds(os.environ) * _REPLICA_RESTS or None
        while True:
            if select.select([client], [], [], seconds)[0]:
                if not self._answer(client):
                    return _ENDED
            elif os.getppid() == parent:
                return _BACK

    def _reclaim(self) -> None:
        """Go on with the connections of replicas that exited; close that of one that died."""
        for replica, client in list(self._handed_over.items()):
            pid, status = os.waitpid(replica, os.WNOHANG)
            if pid == 0:
                continue
            del self._handed_over[replica]
            self._ours.append(client)
            if status != _BACK:
                self._end(client)
            else:
                self._print_to(self._ours[0])


def _opened(path: str, client: socket.socket) -> int:
    """Open a pipe that the server reads from the other end, unless it gives the connection up."""
    while True:
        try:
            pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        else:
            os.set_blocking(pipe, True)
            return pipe
        readable = select.select([client], [], [], _PIPE_SECONDS)[0]
        if readable and not client.recv(1, socket.MSG_PEEK):
            raise RuntimeError("Frontend disconnected")


def _readable(client: socket.socket) -> bool:
    return bool(select.select([client], [], [], 0)[0])


def _room() -> bool:
    """Whether a replica would have memory to compute in; else requests wait for each other."""
    from serving.workers import memory

    room = memory.free()
    return room is None or room > memory.COMPUTING_BYTES


def run(
    given: Mapping[str, str],
    clients: Sequence[int],
    printing: Any,
    loaded: Callable[[], None] = lambda: None,
) -> int:
    """Serve connections (descriptors) of the server until they end; returns the exit code.

    `given` is the server's arguments (launcher.options), `printing` the module.

    As the fork in mms/model_service_worker.py of version 1.1.11 does, with its own code.
    """
    printing.begin()
    sockets = [socket.socket(fileno=client) for client in clients]
    try:
        Worker(given, sockets, loaded).serve()
    finally:
        printing.end()
    return 0


if __name__ == "__main__":
    import printing  # type: ignore[import-not-found]
    from launcher import HERE, options  # type: ignore[import-not-found]

    # a handler's own modules come first: what it needs is in PYTHONPATH
    sys.path.remove(HERE)
    del sys.modules["launcher"], sys.modules["printing"]
    sys.exit(run(options(sys.argv[2:]), [int(sys.argv[1])], printing))

"""A process forked ahead, which has written to the pages that a load writes to.

A fork of the fork server takes 2 to 10 ms, and the first write to each page that it shares another
4 us: of a small model's load the larger part. So one process waits with both done: it was forked
while nobody waited, and has loaded and asked a small model of each framework since. It takes one
request of the fork server's, as a fork made for it would, and is what that asks for. Where none is
ready, or it was killed, the fork server forks as before. It ends with the fork server, by the
socket between them.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Callable, NoReturn  # Python 3.8 has no other Callable for aliases

from serving.workers import handover, launcher, memory

# After a request: its load and its first answer are not to wait for the next process
DELAY_SECONDS = 0.15
# Where memory was short
_LATER_SECONDS = 5.0
# What one takes: measured 5 to 14 MB
BYTES = 16 * memory.MIB

Start = Callable[[socket.socket, bytes, "list[int]"], NoReturn]


class Standby:
    """The process that waits, as the fork server has it; `start` is what it does with a request.

    `rehearse` is done in it once; `free` tells the bytes of memory that are left.
    """

    def __init__(
        self,
        start: Start,
        rehearse: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        free: Callable[[], int | None] = memory.free,
    ) -> None:
        self._start, self._rehearse = start, rehearse
        self._clock, self._free = clock, free
        self._line: socket.socket | None = None
        self._ready = False
        self._due = clock() + DELAY_SECONDS

    def seconds(self) -> float | None:
        """How long until one is to be forked; None: one is there."""
        return None if self._line is not None else max(self._due - self._clock(), 0.0)

    def postpone(self) -> None:
        """Note that somebody is being served."""
        self._due = self._clock() + DELAY_SECONDS

    def act(self, listener: socket.socket) -> None:
        """Fork one where that is due; `listener` is the fork server's, which it does not keep."""
        if self.seconds() != 0.0:
            return
        if not memory.ample(BYTES, self._free()):
            self._due = self._clock() + _LATER_SECONDS
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        if os.fork() == 0:
            listener.close()
            ours.close()
            self._wait(theirs)
        theirs.close()
        self._line, self._ready = ours, False

    def _wait(self, line: socket.socket) -> NoReturn:
        """Be that process; never returns."""
        try:
            self._line = None
            with _limits_kept():
                self._rehearse()
            line.sendall(launcher.READY)
            body, files = handover.receive(line)
            line.close()
            if files:
                self._start(socket.socket(fileno=files[0]), body, files[1:])
        except BaseException as error:  # noqa: BLE001 - it is the end of the process
            with contextlib.suppress(OSError):
                sys.stderr.write(f"fork server: no process waits for the next model: {error!r}\n")
        finally:
            os._exit(0)

    def give(self, line: socket.socket, body: bytes, files: Sequence[int]) -> bool:
        """Give it a request; False where none is ready, and the request is the caller's still."""
        if self._line is None or not self._is_ready(self._line):
            return False
        with self._line as waiting:
            self._line = None
            message = len(body).to_bytes(handover.LENGTH, "big") + body
            try:
                handover.send(waiting, message, [line.fileno(), *files])
            except OSError:
                return False
        return True

    def _is_ready(self, line: socket.socket) -> bool:
        if self._ready:
            return True
        try:
            said = line.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            said = b""
        if not said:  # it was killed
            self.leave()
        self._ready = bool(said)
        return self._ready

    def leave(self) -> None:
        """Have it no more; a fork of the fork server's has nothing to do with it."""
        if self._line is not None:
            self._line.close()
        self._line = None


@contextlib.contextmanager
def _limits_kept() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)


def rehearse(samples: Sequence[Path]) -> None:
    """Load and ask each of these models, as the trial of a small one does."""
    from serving.workers import tier

    for folder in samples:
        tier.shares(folder, os.environ)
        tier.tried(folder)

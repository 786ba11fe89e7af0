"""One host of models (serving/workers/host.py), as the entrypoint sees it: started, told, buried.

The place that a host has outlives it: the socket where models are handed to it, the mark that says
what it computes, the models that are its own.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from serving.workers import handover, host_line, launcher
from serving.workers.host_line import Mark

PATIENCE = 2.0
# Seconds before another host after one that died before it had its models, doubled each time
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0


class Told(Protocol):
    """What a host is told of a model."""

    program: str
    arguments: list[str]

    def sockets(self) -> list[int]:
        """Its listening socket, and its connections."""
        ...


class HostSlot:
    """The place of host `number`, whose models' sockets lie in `folder`.

    `models` are the addresses of those that it serves.
    """

    def __init__(
        self,
        number: int,
        folder: Path,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.number = number
        self.models: set[str] = set()
        self.line: socket.socket | None = None
        self.due = 0.0
        self._folder, self._say, self._clock = folder, say, clock
        self._front = listening(folder / host_line.front(number))
        self._mark = Mark.make()
        self._to_tell: list[str] = []
        self._pause = _FIRST_PAUSE

    def close(self) -> None:
        """Give everything up."""
        if self.line is not None:
            self.line.close()
        self._mark.close()
        self._front.close()

    @property
    def lacks_host(self) -> bool:
        """Whether there are models, and no host."""
        return self.line is None and bool(self.models)

    def start(self) -> None:
        """Ask the fork server for a host."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(PATIENCE)
        here = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        given = [0, 1, 2, here, self._front.fileno(), theirs.fileno(), self._mark.descriptor]
        words = [host_line.ARGUMENT, str(self.number)]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as request, theirs:
                request.settimeout(PATIENCE)
                request.connect(str(self._folder / launcher.SOCKET))
                handover.send(request, launcher.pack(words, {}), given)
            self.line, self._to_tell = ours, list(self.models)
        except OSError as error:
            ours.close()
            self._say(f"cannot start a host of models: {error}")
        finally:
            os.close(here)
        self.due = self._clock() + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def tell_next(self, kept: Mapping[str, Told]) -> None:
        """Give the host the next of the models that there were before it; raises OSError."""
        if self.line is None:
            return
        while self._to_tell:
            model = kept.get(self._to_tell.pop())
            if model is not None:
                words = [host_line.HOSTED, model.program, *model.arguments]
                handover.send(self.line, launcher.pack(words, {}), model.sockets())
                return
        self.line.sendall(launcher.pack([], {}))
        self._pause = _FIRST_PAUSE

    def withdraw(self, model: Told) -> None:
        """Tell the host that the server has a model no longer."""
        if self.line is not None:
            words = [host_line.WITHDRAWN, model.program, *model.arguments]
            with contextlib.suppress(OSError):
                self.line.sendall(launcher.pack(words, {}))

    def bury(self) -> str:
        """Note that the host died; the address of the model that it computed, "" if none."""
        if self.line is not None:
            self.line.close()
        self.line = None
        address, self._mark.name = self._mark.name, ""
        return address


def listening(path: Path) -> socket.socket:
    """Listen on a Unix socket."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(128)
    return listener

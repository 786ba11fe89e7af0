"""What the parts of a fleet need of each other: instances, the models on them, unloads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mmectl.archive.unpack import Limits, Unpacked
from mmectl.local.fleet.tasks import Task
from mmectl.local.instance.http_client import Answer
from mmectl.local.values import InvokeRequest, MemoryUse

Unpack = Callable[[Path, Path, Limits, threading.Event], Unpacked]
"""Unpacks an archive into a folder, until the event is set; raises UnpackError."""


class Models(Protocol):
    """The models of an instance's server, by opaque name; see `model_host.ModelHost`.

    Where no server runs, calls to it raise WireError and no model is alive.
    """

    async def load(self, name: str, timeout: float) -> Answer:
        """Load an unpacked model."""
        ...

    async def unload(self, name: str, timeout: float) -> Answer:
        """Unload a model; one that is not loaded is fine."""
        ...

    async def invoke(self, name: str, request: InvokeRequest, timeout: float) -> Answer:
        """Send a request to a loaded model."""
        ...

    def abort(self, name: str, reason: str) -> int:
        """End the requests under way at a model with AbortedError; how many there were."""
        ...

    async def attach(self, name: str, died: Callable[[], None]) -> MemoryUse:
        """Watch the workers of a loaded model; bytes of memory that they hold."""
        ...

    async def measure(self, name: str) -> MemoryUse:
        """The memory of a model's workers now; zero if none can be seen."""
        ...

    def alive(self, name: str) -> bool:
        """Whether the workers of a model live."""
        ...


class Server(Protocol):
    """An instance as its fleet uses it; see `instance.Instance`.

    `up` and `down` are called when its server can be used, and when it no longer can.
    """

    id: str
    state: str
    restarts: int
    up: Callable[[], None]
    down: Callable[[], None]

    @property
    def models(self) -> Models:
        """The models of the server that runs now."""
        ...

    @property
    def pid(self) -> int | None:
        """The server's first process; None while there is none."""
        ...

    @property
    def runtime(self) -> dict[str, str]:
        """What the servers run as, and why."""
        ...

    @property
    def listens(self) -> Path | None:
        """The server's socket; None while there is none."""
        ...

    async def start(self) -> None:
        """Start, and return once the server answers; raises FleetFailed."""
        ...

    async def stop(self) -> None:
        """Stop the server and remove the instance's folders."""
        ...

    async def check(self) -> None:
        """Ping a server that lost a request; one that does not listen any more is ended."""
        ...

    def folder(self, name: str) -> Path:
        """Where the model of that opaque name is unpacked."""
        ...

    def printed(self) -> int:
        """How many lines the server has printed: a mark for `cause`."""
        ...

    def cause(self, mark: int, name: str) -> str | None:
        """Why that model failed, from the lines printed since that mark."""
        ...


class Unloading(Protocol):
    """Frees memory and disk of an instance; see `unloads.Unloads`."""

    def begin(self, server: Server, target: str) -> Task:
        """Begin to unload an idle model."""
        ...

    def begin_when_idle(self, server: Server, target: str) -> Task:
        """Begin to unload a busy model, which gets no further request."""
        ...

    async def delete_files(self, server: Server, target: str) -> None:
        """Delete the files of a model, unless it is loaded, or being loaded, by now."""
        ...

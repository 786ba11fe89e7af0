"""What a fleet is made of: instances and a loader as it sees them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mmectl.local.instance.http_client import Answer
from mmectl.local.values import Held, InvokeRequest


class Server(Protocol):
    """An instance as the fleet uses it; see `instance.Instance`."""

    id: str
    state: str
    restarts: int
    up: Callable[[], None]
    down: Callable[[], None]

    @property
    def pid(self) -> int | None: ...  # noqa: D102
    @property
    def runtime(self) -> dict[str, str]: ...  # noqa: D102
    @property
    def listens(self) -> Path | int | None: ...  # noqa: D102
    async def start(self) -> None: ...  # noqa: D102
    async def stop(self) -> None: ...  # noqa: D102
    def folder(self, name: str) -> Path: ...  # noqa: D102
    async def load(self, name: str, timeout: float) -> Answer: ...  # noqa: D102
    async def unload(self, name: str, timeout: float) -> Answer: ...  # noqa: D102
    async def invoke(self, name: str, request: InvokeRequest, timeout: float) -> Answer: ...  # noqa: D102
    def abort(self, name: str, reason: str) -> int: ...  # noqa: D102
    async def attach(self, name: str, died: Callable[[], None]) -> int: ...  # noqa: D102
    async def measure(self, name: str) -> Held: ...  # noqa: D102
    async def check(self) -> None: ...  # noqa: D102
    def alive(self, name: str) -> bool: ...  # noqa: D102
    def printed(self) -> int: ...  # noqa: D102
    def cause(self, mark: int, name: str) -> str | None: ...  # noqa: D102


class LoaderLike(Protocol):
    """What brings models in and out; see `loader.Loader`."""

    async def load(self, server: Server, target: str) -> None:
        """Bring a model into memory, or raise AwsError or WireError."""
        ...

    async def unload(self, server: Server, target: str, *, files: bool = False) -> None:
        """Take a model out of memory whose unload was begun; with `files` also off the disk."""
        ...

    async def measure(self, server: Server, target: str) -> None:
        """Write down what a model in memory takes by now, and keep within the budget."""
        ...

    async def trim(self, server: Server) -> None:
        """Unload idle models and delete files until the instance is within its budgets."""
        ...

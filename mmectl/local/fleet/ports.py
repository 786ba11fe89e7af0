"""What a fleet is made of: instances and a loader as it sees them, and waiting for changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mmectl.local.instance.http_client import Answer
from mmectl.local.values import InvokeRequest


class Held(NamedTuple):
    """Bytes of memory that a model takes, and whether some of its processes are passing ones."""

    memory: int
    passing: bool


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


async def gather_all(tasks: Sequence[asyncio.Future[None]]) -> None:
    """Wait for all; where one fails, the others are cancelled and have ended before it raises."""
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        raise


async def within(timeout: float, work: Coroutine[Any, Any, object]) -> bool:
    """Whether that has ended within the time; else it is called off.

    Unlike asyncio.wait_for before Python 3.12 it ends when it is cancelled, even at the moment
    when the work ends.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,), timeout=timeout)
        if task.done():
            task.result()
        return task.done()
    finally:
        task.cancel()


class Changes:
    """Lets tasks wait until something in the fleet changes."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def tell(self) -> None:
        """Wake everybody who waits."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, timeout: float) -> bool:
        """Wait for a change; False when time is up."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await asyncio.wait((future,), timeout=max(timeout, 0))
            return future.done()
        finally:
            self._waiting.discard(future)

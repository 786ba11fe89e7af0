"""The instances of one variant: started, added, removed; which of them take requests."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence

from mmectl.local.fleet.placement import Placement
from mmectl.local.fleet.ports import Server
from mmectl.local.fleet.tasks import Tasks
from mmectl.local.settings import RouterSettings
from mmectl.local.waiting import Changes, gather_all

_GONE = ("Failed", "Stopping", "Stopped")


class Instances:
    """The instances of one fleet, by id. The placement hears when one comes up or goes down."""

    def __init__(
        self, placement: Placement, tasks: Tasks, changes: Changes, settings: RouterSettings
    ) -> None:
        self._placement = placement
        self._tasks = tasks
        self._changes = changes
        self._settings = settings
        self._servers: dict[str, Server] = {}
        self._leaving: set[str] = set()

    @property
    def servers(self) -> Collection[Server]:
        """All instances, those that are leaving included."""
        return self._servers.values()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all instances."""
        return tuple(self._servers)

    @property
    def size(self) -> int:
        """How many instances there are, without those that are leaving."""
        return len(self._servers) - len(self._leaving)

    @property
    def in_service(self) -> int:
        """How many instances have a server that answers."""
        return sum(server.state == "InService" for server in self._servers.values())

    @property
    def all_gone(self) -> bool:
        """Whether no instance is in service or about to be."""
        return all(server.state in _GONE for server in self._servers.values())

    def of(self, instance: str) -> Server:
        """The instance of that id."""
        return self._servers[instance]

    def add(self, servers: Iterable[Server]) -> None:
        """Count further instances in, before they start; they have no budget yet."""
        for server in servers:
            self._servers[server.id] = server
            self._placement.add(server.id, 0, 0)
            server.up = lambda server=server: self._up(server)  # type: ignore[misc]
            server.down = lambda server=server: self._down(server)  # type: ignore[misc]

    async def start(self) -> None:
        """Start all together; raises FleetFailed."""
        await _start(self._servers.values())

    async def grow(self, servers: Sequence[Server]) -> None:
        """Start instances that were added; raises FleetFailed, then none of them is left."""
        try:
            await _start(servers)
        except BaseException:
            await asyncio.gather(
                *(self._remove(server, self._settings.drain) for server in servers)
            )
            raise

    async def shrink(self, size: int, drain: float) -> None:
        """Stop instances until `size` are left, each after its requests, `drain` seconds at most.

        Those that are not in service go first, then those that hold the fewest models.
        """
        staying = [server for name, server in self._servers.items() if name not in self._leaving]
        staying.sort(key=lambda server: (server.state == "InService", self._held(server)))
        leaving = staying[: max(len(staying) - size, 0)]
        await asyncio.gather(*(self._remove(server, drain) for server in leaving))

    async def stop(self) -> None:
        """Stop all at once, and the loads and unloads on them."""
        for instance in self._servers:
            self._placement.lost(instance)
        await self._tasks.stop()
        await asyncio.gather(*(server.stop() for server in self._servers.values()))
        self._changes.tell()

    def _held(self, server: Server) -> int:
        return len(self._placement.cache(server.id).replicas)

    def _up(self, server: Server) -> None:
        if server.id not in self._leaving:
            self._placement.ready(server.id)
        self._changes.tell()

    def _down(self, server: Server) -> None:
        self._placement.lost(server.id)
        self._tasks.cancel(server.id)
        self._changes.tell()

    async def _remove(self, server: Server, drain: float) -> None:
        """Take no more requests on an instance, wait for those it has, and end it."""
        self._leaving.add(server.id)
        cache = self._placement.cache(server.id)
        cache.ready = False
        self._changes.tell()
        deadline = asyncio.get_running_loop().time() + drain
        while cache.busy or self._tasks.of(server.id):
            if not await self._changes.wait(deadline - asyncio.get_running_loop().time()):
                break
        self._down(server)
        tasks = self._tasks.of(server.id)
        if tasks:
            await asyncio.wait(tasks)
        await server.stop()
        while cache.busy:  # they have lost their server and try another one
            await self._changes.wait(drain)
        self._servers.pop(server.id, None)
        self._leaving.discard(server.id)
        self._placement.remove(server.id)


async def _start(servers: Iterable[Server]) -> None:
    """Start them together."""
    await gather_all([asyncio.ensure_future(server.start()) for server in servers])

"""The instances of one variant: their life and number, and the models on them.

Requests go their way in `dispatch`, models come and go by `loader`; `work` holds what is under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence

from mmectl.local.fleet import errors, reports
from mmectl.local.fleet.dispatch import Dispatcher
from mmectl.local.fleet.metering import Meter
from mmectl.local.fleet.placement import Phase, Placement
from mmectl.local.fleet.ports import LoaderLike, Server
from mmectl.local.fleet.tasks import Task, Work
from mmectl.local.settings import RouterSettings
from mmectl.local.values import FleetSpec, InvokeRequest, InvokeResponse
from mmectl.local.waiting import Changes, gather_all


class Fleet:
    """See the module. `servers` are not started yet; `make_loader` gets the fleet itself."""

    def __init__(
        self,
        spec: FleetSpec,
        servers: Sequence[Server],
        settings: RouterSettings,
        make_loader: Callable[[Fleet], LoaderLike],
        meter: Meter | None = None,
    ) -> None:
        self.spec = spec
        self.settings = settings
        self.meter = meter or Meter()
        self.errors = errors.ErrorMessages(spec, settings.region)
        self.placement = Placement(settings.spread_at, spec.routing)
        self.changes = Changes()
        self.work = Work(self.changes)
        self.tally = reports.Tally()
        self._servers: dict[str, Server] = {}
        self._leaving: set[str] = set()
        self._requests = 0
        self._loader = make_loader(self)
        self._dispatcher = Dispatcher(self)
        self.add(servers)

    # life

    async def start(self) -> None:
        """Start every instance; raises FleetFailed, then nothing is left running."""
        try:
            await _start(self._servers.values())
        except BaseException:
            await self.stop()
            raise
        self.work.chore(self._look())

    async def invoke(self, request: InvokeRequest) -> InvokeResponse:
        """Answer one request; AwsError as the runtime API names it."""
        up = sum(server.state == "InService" for server in self._servers.values())
        self._requests += 1
        try:
            with self.meter.invocation(up) as trace:
                return await self._dispatcher.invoke(request, trace)
        finally:
            self._requests -= 1
            self.changes.tell()

    async def drain(self, timeout: float) -> None:
        """Wait until no request is in flight, or time is up."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while self._requests:
            if not await self.changes.wait(deadline - loop.time()):
                return

    async def stop(self) -> None:
        """Stop the instances and whatever is under way."""
        for instance in self._servers:
            self.placement.lost(instance)
        await self.work.stop()
        await asyncio.gather(*(server.stop() for server in self._servers.values()))
        self.changes.tell()

    async def _look(self) -> None:
        """Time and again, give up the replicas that nobody needs any more."""
        while True:
            await asyncio.sleep(self.settings.look_every)
            self.scale_in()

    def _up(self, server: Server) -> None:
        if server.id not in self._leaving:
            self.placement.ready(server.id)
        self.changes.tell()

    def _down(self, server: Server) -> None:
        self.placement.lost(server.id)
        self.work.cancel(server.id)
        self.changes.tell()

    # size

    @property
    def servers(self) -> Collection[Server]:
        """The instances, those that are leaving included."""
        return self._servers.values()

    @property
    def instances(self) -> tuple[str, ...]:
        """The ids of the instances."""
        return tuple(self._servers)

    def server(self, instance: str) -> Server:
        """The instance of that id."""
        return self._servers[instance]

    @property
    def size(self) -> int:
        """How many instances there are, without those that are leaving."""
        return len(self._servers) - len(self._leaving)

    def add(self, servers: Iterable[Server]) -> None:
        """Count further instances in, before they start; `limit` gives them their budgets."""
        for server in servers:
            self._servers[server.id] = server
            self.placement.add(server.id, 0, 0)
            server.up = lambda server=server: self._up(server)  # type: ignore[misc]
            server.down = lambda server=server: self._down(server)  # type: ignore[misc]

    async def grow(self, servers: Sequence[Server]) -> None:
        """Start instances that were added; raises FleetFailed, then none of them is left."""
        try:
            await _start(servers)
        except BaseException:
            await asyncio.gather(*(self._remove(server, self.settings.drain) for server in servers))
            raise

    async def shrink(self, size: int, drain: float) -> None:
        """Stop instances until `size` are left, each after its requests, `drain` seconds at most.

        Those that are not in service go first, then those that hold the fewest models.
        """
        staying = [server for name, server in self._servers.items() if name not in self._leaving]
        staying.sort(
            key=lambda s: (s.state == "InService", len(self.placement.cache(s.id).replicas))
        )
        leaving = staying[: max(len(staying) - size, 0)]
        await asyncio.gather(*(self._remove(server, drain) for server in leaving))

    async def _remove(self, server: Server, drain: float) -> None:
        """Take no more requests on an instance, wait for those it has, and end it."""
        self._leaving.add(server.id)
        cache = self.placement.cache(server.id)
        cache.ready = False
        self.changes.tell()
        deadline = asyncio.get_running_loop().time() + drain
        while cache.busy or self.work.of(server.id):
            if not await self.changes.wait(deadline - asyncio.get_running_loop().time()):
                break
        self._down(server)
        work = self.work.of(server.id)
        if work:
            await asyncio.wait(work)
        await server.stop()
        while cache.busy:  # they have lost their server and try another one
            await self.changes.wait(drain)
        self._servers.pop(server.id, None)
        self._leaving.discard(server.id)
        self.placement.remove(server.id)

    # models

    def limit(self, memory: int, disk: int) -> None:
        """Set what models may take on each instance, in bytes; what is too much goes."""
        for instance, server in self._servers.items():
            self.placement.limit(instance, memory, disk)
            plan = self.placement.evictions(instance)
            if plan.unload or plan.delete:
                self.work.chore(self._loader.trim(server))

    def scale_in(self) -> None:
        """Unload the replicas of models that the demand since the last time did not need."""
        for instance, target in self.placement.surplus():
            self.begin_unload(instance, target)

    def begin_load(self, instance: str, target: str) -> Task:
        """Load a model that is not in memory; requests for it wait for that."""
        self.placement.begin_load(instance, target)
        load = self._loader.load(self._servers[instance], target)
        return self.work.begin(instance, target, load)

    def begin_unload(self, instance: str, target: str, *, files: bool = False) -> Task:
        """Unload an idle model; requests for it wait for that and load it again."""
        self.placement.begin_unload(instance, target)
        self.meter.unloaded(instance)
        unload = self._loader.unload(self._servers[instance], target, files=files)
        return self.work.begin(instance, target, unload)

    def measure(self, server: Server, target: str) -> None:
        """Look what a model in memory takes by now."""
        self.work.chore(self._loader.measure(server, target))

    def drop(self, server: Server, target: str) -> None:
        """Forget a model at once: ModelCacheSetting is Disabled."""
        replica = self.placement.replica(server.id, target)
        if replica is not None and replica.phase is Phase.MEMORY:
            self.begin_unload(server.id, target, files=True)

    def broken(self, server: Server, target: str) -> None:
        """Mend a model whose worker died: unload it, so that the next request loads it."""
        if not self.placement.in_memory(server.id, target):
            return
        self.placement.begin_unload(server.id, target, broken=True)
        self.work.begin(server.id, target, self._bury(server, target))

    async def _bury(self, server: Server, target: str) -> None:
        # the request that killed the worker gets its own answer, the others are sent again
        await asyncio.sleep(self.settings.grace)
        server.abort(errors.model_name(target), "the worker died")
        await self._loader.unload(server, target)

    # for people

    def describe(self) -> list[dict[str, object]]:
        """One JSON-ready row per instance."""
        return [
            self._row(server) | {"live": self.meter.live(server.id)}
            for server in self._servers.values()
        ]

    def measured(self) -> list[dict[str, object]]:
        """One row per instance with what the sampler needs; memory and disk in bytes."""
        memory = self.settings.server_memory
        return [
            self._row(server) | reports.measures(self.spec, self.placement.cache(server.id), memory)
            for server in self._servers.values()
        ]

    def _row(self, server: Server) -> dict[str, object]:
        return reports.row(self.spec, server, self.placement.cache(server.id), self.tally)


async def _start(servers: Iterable[Server]) -> None:
    """Start them together."""
    await gather_all([asyncio.ensure_future(server.start()) for server in servers])

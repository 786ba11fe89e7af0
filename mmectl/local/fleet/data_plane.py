"""The data plane: starts and stops the fleets of endpoints, chooses one by weight for a request."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmectl.local import processes
from mmectl.local.fleet import errors
from mmectl.local.fleet.budgets import MachineBudgets
from mmectl.local.fleet.compose import compose
from mmectl.local.fleet.copies import Copies
from mmectl.local.fleet.fleet import Fleet
from mmectl.local.fleet.metering import Meter, nowhere
from mmectl.local.fleet.ports import Server, Unpack
from mmectl.local.instance.container_log import prune
from mmectl.local.instance.instance import Instance
from mmectl.local.instance.process_runtime import MakeRuntime
from mmectl.local.instance.runtime_choice import AUTO, RuntimeChoice, Runtimes
from mmectl.local.settings import RouterSettings
from mmectl.local.values import (
    AwsError,
    FleetFailed,
    FleetSpec,
    InvokeRequest,
    InvokeResponse,
    ObjectReader,
    Put,
    PutOf,
)
from mmectl.local.waiting import gather_all

__all__ = ["DataPlane", "RouterSettings"]

MakeServer = Callable[[FleetSpec, int], Server]
PutsOf = Callable[[FleetSpec], Put]
PutsByInstance = Callable[[FleetSpec], PutOf | None]


@dataclass(slots=True)
class _Entry:
    """The fleets of one (endpoint, configuration), one for each variant."""

    fleets: tuple[Fleet, ...]
    starting: asyncio.Task[None] | None = None
    draining: asyncio.Future[list[None]] | None = None


class DataPlane:
    """The fleets of every endpoint on this machine (`values.Fleets`), and the way to them.

    `folder` holds the instances' directories, `logs` what their servers print; processes are
    marked with `state_dir` in their environment, as the platform itself is, so that those of
    a platform that was killed can be found. `runtime` is what instances run as (`choice`),
    `environment` the platform's own, which also says where the Docker engine is. `make_server`
    gets a variant and the number of instances on this machine; it is for tests. `puts` says
    where the measures of a variant go, `puts_by_instance` those of its instances. `unpacker`
    unpacks archives; it is for tests, too.
    """

    def __init__(
        self,
        folder: Path,
        objects: ObjectReader,
        settings: RouterSettings | None = None,
        logs: Path | None = None,
        *,
        state_dir: Path | None = None,
        runtime: str = AUTO,
        environment: Mapping[str, str] = os.environ,
        make_server: MakeServer | None = None,
        puts: PutsOf = lambda spec: nowhere,  # noqa: ARG005
        puts_by_instance: PutsByInstance = lambda spec: None,  # noqa: ARG005
        unpacker: Unpack | None = None,
    ) -> None:
        self._folder = folder
        self._objects = objects
        self._settings = settings or RouterSettings()
        self._logs = logs or folder / "logs"
        self._state_dir = state_dir or Path(os.environ.get(processes.SERVER_MARK) or folder)
        wanted = self._settings.memory
        least = 0 if wanted is None else wanted + self._settings.server_memory
        reserved = self._settings.server_memory
        self._runtimes = Runtimes(runtime, folder, self._state_dir, environment, least, reserved)
        self._puts, self._puts_by_instance = puts, puts_by_instance
        self._unpacker = unpacker or Copies()
        self._make_server = make_server or self._instance
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._budgets = MachineBudgets(folder, self._settings)
        self._random = random.Random()
        # what is being stopped, and of which (endpoint, configuration)
        self._ending: dict[asyncio.Task[None], tuple[tuple[str, str], _Entry]] = {}
        self._closed = False
        self._swept: asyncio.Future[int] | None = None
        self._looking: asyncio.Task[None] | None = None

    def _instance(self, spec: FleetSpec, share: int) -> Server:
        async def choose(spec: FleetSpec) -> tuple[RuntimeChoice, MakeRuntime]:
            choice = await self._runtimes.choose(spec)
            return choice, self._runtimes.maker(choice, spec, share)

        return Instance(
            spec,
            self._folder,
            self._logs,
            state_dir=self._state_dir,
            settings=self._settings,
            choose=choose,
        )

    # values.Fleets

    async def start(self, specs: tuple[FleetSpec, ...]) -> None:
        """Start the instances of one endpoint configuration; FleetFailed says why not."""
        _check(specs)
        await self._sweep_once()
        running = {str(row["instance_id"]) for row in self.instances()}
        await asyncio.to_thread(prune, self._logs, running)
        if self._closed:
            raise FleetFailed("The platform is shutting down.")
        key = (specs[0].endpoint, specs[0].config)
        if key in self._entries:
            raise FleetFailed(f"The instances of {key[1]} run already.")
        total = sum(spec.instance_count for spec in specs)
        entry = _Entry(tuple(self._fleet(spec, total) for spec in specs))
        self._entries[key] = entry
        entry.starting = asyncio.ensure_future(_start_all(entry.fleets))
        try:
            await asyncio.wait((entry.starting,))
        except asyncio.CancelledError:
            await self.stop(*key)
            raise
        if entry.starting.cancelled():
            raise FleetFailed("The start was called off.")
        error = entry.starting.exception()
        if error is not None:
            self._entries.pop(key, None)
            raise error
        self._budgets.join(entry.fleets)
        self._looking = self._looking or asyncio.create_task(self._look())

    async def resize(self, specs: tuple[FleetSpec, ...]) -> None:
        """Add and remove instances of a configuration that runs, and take over its weights."""
        key = (specs[0].endpoint, specs[0].config)
        entry = self._entries.get(key)
        if entry is None:
            raise FleetFailed(f"The instances of {key[1]} do not run.")
        total = sum(spec.instance_count for spec in specs)
        pairs = [(fleet, spec) for fleet in entry.fleets for spec in specs if _same(fleet, spec)]
        drain = self._settings.drain
        before = [fleet.size for fleet, _ in pairs]
        growing = [asyncio.ensure_future(self._grow(*pair, total)) for pair in pairs]
        wanted = [spec.instance_count for _, spec in pairs]
        try:
            await gather_all(growing)
            for fleet, spec in pairs:
                fleet.spec = spec
        except BaseException:
            wanted = before
            raise
        finally:
            await asyncio.gather(
                *(fleet.shrink(size, drain) for (fleet, _), size in zip(pairs, wanted, strict=True))
            )
            self._budgets.divide()

    async def stop(self, endpoint: str, config: str) -> None:
        """Stop the instances of a configuration, after the requests they have.

        A caller that is cancelled only waits no longer: they end all the same, and whoever
        asks again waits for that.
        """
        key = (endpoint, config)
        entry = self._entries.pop(key, None)
        if entry is not None:
            task = asyncio.create_task(self._end(entry, self._settings.drain))
            self._ending[task] = (key, entry)
            task.add_done_callback(self._ending.pop)
        ending = [task for task, (of, _) in self._ending.items() if of == key]
        await asyncio.shield(asyncio.gather(*ending))

    async def invoke(self, endpoint: str, config: str, request: InvokeRequest) -> InvokeResponse:
        """Route one request to a variant, by weight, and within it to an instance."""
        entry = self._entries.get((endpoint, config))
        if entry is None:
            raise AwsError(
                "ServiceUnavailable", f"Endpoint {endpoint} has no instances in service.", 503
            )
        fleet = self._pick(entry.fleets, request.target_variant)
        return await fleet.dispatcher.dispatch(request)

    def describe(self, endpoint: str, config: str) -> list[dict[str, object]]:
        """One JSON-ready row per instance; empty where nothing runs."""
        entry = self._entries.get((endpoint, config))
        return [row for fleet in entry.fleets for row in fleet.reports.describe()] if entry else []

    def instances(self) -> list[dict[str, object]]:
        """What there is to measure of every instance: see `Reports.measured`."""
        entries = list(self._entries.values())
        return [
            row for entry in entries for fleet in entry.fleets for row in fleet.reports.measured()
        ]

    def moves(self, endpoint: str, seconds: float) -> list[dict[str, object]]:
        """Loads and evictions of that time: see `Reports.moves`."""
        entries = [entry for (name, _), entry in self._entries.items() if name == endpoint]
        return [
            row
            for entry in entries
            for fleet in entry.fleets
            for row in fleet.reports.moves(seconds)
        ]

    def course(self, endpoint: str, target: str, seconds: float) -> list[dict[str, object]]:
        """Each load and eviction of one model in that time: see `Reports.course`."""
        entries = [entry for (name, _), entry in self._entries.items() if name == endpoint]
        return [
            row
            for entry in entries
            for fleet in entry.fleets
            for row in fleet.reports.course(target, seconds)
        ]

    async def close(self) -> None:
        """Stop everything without waiting for requests."""
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait((self._looking,))
        entries, self._entries = list(self._entries.values()), {}
        for _, entry in self._ending.values():
            if entry.draining is not None:
                entry.draining.cancel()
        await asyncio.gather(*self._ending, *(self._end(entry, 0) for entry in entries))

    # within

    async def _sweep_once(self) -> None:
        """Before anything is started: remove what a killed platform left."""
        if self._swept is None:
            work = asyncio.to_thread(self._runtimes.sweep)
            self._swept = asyncio.ensure_future(work)
        await asyncio.shield(self._swept)

    async def _look(self) -> None:
        """Time and again, see whether there is more disk to give than there was."""
        while True:
            await asyncio.sleep(self._settings.look_every)
            self._budgets.refresh()

    def _fleet(self, spec: FleetSpec, total: int) -> Fleet:
        servers = [self._make_server(spec, total) for _ in range(spec.instance_count)]
        meter = Meter(self._puts(spec), self._puts_by_instance(spec))
        return compose(spec, servers, self._objects, self._settings, meter, self._unpacker)

    async def _grow(self, fleet: Fleet, spec: FleetSpec, total: int) -> None:
        missing = spec.instance_count - fleet.size
        servers = [self._make_server(spec, total) for _ in range(missing)]
        fleet.add(servers)
        self._budgets.divide()
        await fleet.grow(servers)

    def _pick(self, fleets: Sequence[Fleet], variant: str | None) -> Fleet:
        if variant is not None:
            for fleet in fleets:
                if fleet.spec.variant == variant:
                    return fleet
            raise errors.no_variant(variant)
        if len(fleets) == 1:
            return fleets[0]
        weights = [fleet.spec.weight for fleet in fleets]
        return self._random.choices(fleets, weights if any(weights) else None)[0]

    async def _end(self, entry: _Entry, drain: float) -> None:
        if entry.starting is not None and not entry.starting.done():
            entry.starting.cancel()
            await asyncio.wait((entry.starting,))
        if drain and not self._closed:
            entry.draining = asyncio.gather(
                *(fleet.dispatcher.drain(drain) for fleet in entry.fleets)
            )
            await asyncio.wait((entry.draining,))
        try:
            await asyncio.gather(*(fleet.stop() for fleet in entry.fleets))
        finally:
            self._budgets.leave(entry.fleets)


def _same(fleet: Fleet, spec: FleetSpec) -> bool:
    return fleet.spec.variant == spec.variant


def _check(specs: tuple[FleetSpec, ...]) -> None:
    """Refuse what this platform cannot serve."""
    if not specs:
        raise FleetFailed("The endpoint configuration has no production variant.")
    for spec in specs:
        if not spec.multi_model:
            raise FleetFailed(
                f"Variant {spec.variant}: the local platform serves Mode MultiModel only."
            )


async def _start_all(fleets: Sequence[Fleet]) -> None:
    """Start the fleets together; if one fails, stop them all."""
    try:
        await gather_all([asyncio.ensure_future(fleet.start()) for fleet in fleets])
    except BaseException:
        await asyncio.gather(*(fleet.stop() for fleet in fleets))
        raise

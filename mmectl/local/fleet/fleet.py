"""The fleet of one variant: its life, its size, and the budgets of its instances.

Requests are the dispatcher's; `compose` puts a fleet together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from mmectl.local.fleet.admission import Admission
from mmectl.local.fleet.dispatch import Dispatcher
from mmectl.local.fleet.instances import Instances
from mmectl.local.fleet.placement import Placement
from mmectl.local.fleet.ports import Server
from mmectl.local.fleet.reports import Reports
from mmectl.local.fleet.tasks import Tasks
from mmectl.local.fleet.unloads import Unloads
from mmectl.local.settings import RouterSettings
from mmectl.local.values import FleetSpec


class Fleet:
    """See the module."""

    def __init__(
        self,
        spec: FleetSpec,
        instances: Instances,
        dispatcher: Dispatcher,
        placement: Placement,
        admission: Admission,
        unloads: Unloads,
        tasks: Tasks,
        reports: Reports,
        settings: RouterSettings,
    ) -> None:
        self.spec = spec
        self.dispatcher = dispatcher
        self.reports = reports
        self._instances = instances
        self._placement = placement
        self._admission = admission
        self._unloads = unloads
        self._tasks = tasks
        self._settings = settings

    async def start(self) -> None:
        """Start every instance; raises FleetFailed, then nothing is left running."""
        try:
            await self._instances.start()
        except BaseException:
            await self.stop()
            raise
        self._tasks.chore(self._keep_scaling_in())

    async def stop(self) -> None:
        """Stop the instances and whatever is under way."""
        await self._instances.stop()

    @property
    def instances(self) -> tuple[str, ...]:
        """The ids of the instances, those that are leaving included."""
        return self._instances.ids

    @property
    def size(self) -> int:
        """How many instances there are, without those that are leaving."""
        return self._instances.size

    @property
    def disk_used(self) -> int:
        """Bytes of unpacked models on all instances."""
        return sum(self._placement.cache(instance).disk_used for instance in self.instances)

    def add(self, servers: Iterable[Server]) -> None:
        """Count further instances in, before they start; `limit` gives them their budgets."""
        self._instances.add(servers)

    async def grow(self, servers: Sequence[Server]) -> None:
        """Start instances that were added; raises FleetFailed, then none of them is left."""
        await self._instances.grow(servers)

    async def shrink(self, size: int, drain: float) -> None:
        """Stop instances until `size` are left, each after `drain` seconds at most."""
        await self._instances.shrink(size, drain)

    def limit(self, memory: int, disk: int) -> None:
        """Set what models may take on each instance, in bytes; what is too much goes."""
        for server in self._instances.servers:
            self._placement.limit(server.id, memory, disk)
            plan = self._placement.evictions(server.id)
            if plan.unload or plan.delete:
                self._tasks.chore(self._admission.trim(server))

    def scale_in(self) -> None:
        """Unload the replicas of models that the demand since the last call did not need."""
        for instance, target in self._placement.surplus():
            self._unloads.begin(self._instances.of(instance), target)

    async def _keep_scaling_in(self) -> None:
        while True:
            await asyncio.sleep(self._settings.look_every)
            self.scale_in()

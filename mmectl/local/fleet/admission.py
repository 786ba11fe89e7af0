"""Decides whether a model fits on an instance: reserves its footprint, evicts others for it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from mmectl.local.fleet.placement import (
    Evictions,
    ExceedsInstanceError,
    OverBudgetError,
    Placement,
)
from mmectl.local.fleet.ports import Server, Unloading
from mmectl.local.settings import RouterSettings
from mmectl.local.waiting import Changes

_MB = 1 << 20


class NotAdmittedError(Exception):
    """The model does not fit on the instance now; that may change."""


class NeverFitsError(NotAdmittedError):
    """The model does not fit even on an empty instance; its files are of no use."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a model will take: bytes of memory, bytes of disk in all."""

    memory: int
    disk: int


class Admission:
    """Admits models to the instances of one fleet."""

    def __init__(
        self,
        placement: Placement,
        unloads: Unloading,
        changes: Changes,
        settings: RouterSettings,
    ) -> None:
        self._placement = placement
        self._unloads = unloads
        self._changes = changes
        self._settings = settings

    def _footprint(self, server: Server, target: str, disk: int) -> Footprint:
        """What a model will take: what it took before, else an estimate.

        An estimate alone refuses no model whose weights fit: it may have the whole instance.
        """
        known = self._placement.estimates.of(target)
        if known is not None:
            return Footprint(known, disk)
        budget = self._placement.cache(server.id).memory
        estimate = self._settings.model_base + int(self._settings.model_factor * disk)
        expected = self._placement.estimates.expected(target, disk) or estimate
        return Footprint(expected if disk > budget else min(expected, budget), disk)

    async def reserve(self, server: Server, target: str, disk: int) -> Footprint:
        """Reserve what a model of so many bytes on disk will take; evicts others for it.

        Idle ones go at once, busy ones when they are idle. Raises NotAdmittedError, after
        `settings.admission` seconds at most.
        """
        loop = asyncio.get_running_loop()
        asked = loop.time()
        deadline = asked + self._settings.admission
        while True:
            # each time anew: others that were measured meanwhile make the estimate smaller
            footprint = self._footprint(server, target, disk)
            with contextlib.suppress(OverBudgetError):
                self._placement.reserve(server.id, target, footprint.memory, footprint.disk)
                return footprint
            plan = self._evictions(server, target, footprint)
            if plan.enough and (plan.unload or plan.delete):
                await self._evict(server, plan)
                continue
            settings, now = self._settings, loop.time()
            due = asked + (settings.give_way_again if plan.enough else settings.give_way)
            if now >= deadline:
                raise NotAdmittedError("no room: every other model of the instance is in use")
            if now >= due:
                self._give_way(server, target)
                due, asked = now + settings.give_way, now
            await self._changes.wait(min(due, deadline) - now)

    def _give_way(self, server: Server, target: str) -> bool:
        """Have the busy model that was asked for least recently leave; False if there is none."""
        victim = self._placement.least_wanted(server.id, keep=target)
        if victim is not None:
            self._unloads.begin_when_idle(server, victim)
        return victim is not None

    def _evictions(self, server: Server, target: str, footprint: Footprint) -> Evictions:
        replica = self._placement.replica(server.id, target)
        more = footprint.disk - (replica.disk if replica is not None else 0)
        try:
            return self._placement.evictions(
                server.id, memory=footprint.memory, disk=more, keep=target
            )
        except ExceedsInstanceError as error:
            raise _never_fits(error) from None

    def confirm(self, server: Server, target: str, memory: int, disk: int) -> None:
        """Raise NeverFitsError for a loaded model that took more than an instance has."""
        try:
            self._placement.check_size(server.id, memory, 0)
        except ExceedsInstanceError as error:
            self._placement.estimates.learn(target, disk, memory)
            raise _never_fits(error) from None

    async def trim(self, server: Server, keep: str = "") -> None:
        """Evict models and files until the instance is within its budgets: idle ones first.

        Where those are not enough busy ones leave as soon as they are idle, but not `keep`.
        """
        await self._evict(server, self._placement.evictions(server.id))
        self._relieve(server, keep)

    def trim_memory(self, server: Server, keep: str) -> None:
        """Begin to unload models, but not `keep`, until the memory is within its budget."""
        for victim in self._placement.evictions(server.id, keep=keep).unload:
            self._unloads.begin(server, victim)
        self._relieve(server, keep)

    def _relieve(self, server: Server, keep: str) -> None:
        while self._placement.over_budget(server.id) and self._give_way(server, keep):
            pass

    async def evict_one(self, server: Server, target: str) -> None:
        """Unload the idle model that was used least recently, but not `target`.

        Raises NotAdmittedError where no other model is idle.
        """
        victim = self._placement.oldest_idle(server.id, keep=target)
        if victim is None:
            raise NotAdmittedError("the instance has not enough memory for it")
        await self._unload(server, victim)

    async def free_disk(self, server: Server, target: str) -> bool:
        """Delete the files of the model that was used least recently; False if there is none."""
        cache = self._placement.cache(server.id)
        before = cache.disk_used
        with contextlib.suppress(ExceedsInstanceError):
            free = max(cache.disk - before, 0)
            await self._evict(
                server, self._placement.evictions(server.id, disk=free + 1, keep=target)
            )
        return cache.disk_used < before

    async def _evict(self, server: Server, plan: Evictions) -> None:
        for victim in plan.unload:
            await self._unload(server, victim)
        for victim in plan.delete:
            await self._unloads.delete_files(server, victim)

    async def _unload(self, server: Server, target: str) -> None:
        """Unload a model if it is still idle and in memory: another load may have been quicker."""
        replica = self._placement.replica(server.id, target)
        idle = replica is not None and replica.idle
        if idle and self._placement.in_memory(server.id, target):
            await asyncio.wait((self._unloads.begin(server, target),))


def _never_fits(error: ExceedsInstanceError) -> NeverFitsError:
    return NeverFitsError(
        f"it needs about {error.need // _MB} MB of {error.what}, "
        f"and an instance has {error.budget // _MB} MB for models"
    )

"""Admission on an instance: what a model is expected to take, and making that much free."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from asyncio import to_thread
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmectl.local.fleet.errors import model_name
from mmectl.local.fleet.instance_cache import (
    Evictions,
    ExceedsInstanceError,
    OverBudgetError,
    Phase,
)
from mmectl.local.fleet.ports import Server

if TYPE_CHECKING:
    from mmectl.local.fleet.fleet import Fleet

_MB = 1 << 20


class NotAdmittedError(Exception):
    """There is no room for the model, and that may change."""


class NeverFitsError(NotAdmittedError):
    """An instance is too small for the model, and its files are of no use."""


def never_fits(error: ExceedsInstanceError) -> NeverFitsError:
    """Say so of a model that was measured."""
    return NeverFitsError(
        f"it needs about {error.need // _MB} MB of {error.what}, "
        f"and an instance has {error.budget // _MB} MB for models"
    )


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a model will take: bytes of memory, bytes of disk in all."""

    memory: int
    disk: int


class Admission:
    """The room on the instances of one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._settings = fleet.settings
        self._placement = fleet.placement

    def footprint(self, server: Server, target: str, disk: int) -> Footprint:
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

    async def reserve(self, server: Server, target: str, footprint: Footprint) -> None:
        """Reserve what is needed; evicts idle models, waits for busy ones; NotAdmittedError."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.wait
        while True:
            with contextlib.suppress(OverBudgetError):
                self._placement.reserve(server.id, target, footprint.memory, footprint.disk)
                return
            replica = self._placement.replica(server.id, target)
            more = footprint.disk - (replica.disk if replica is not None else 0)
            try:
                plan = self._placement.evictions(
                    server.id, memory=footprint.memory, disk=more, keep=target
                )
            except ExceedsInstanceError as error:
                raise never_fits(error) from None
            if plan.enough and (plan.unload or plan.delete):
                await self._evict(server, plan)
            elif not await self._fleet.changes.wait(deadline - loop.time()):
                raise NotAdmittedError("no room: every other model of the instance is in use")

    async def trim(self, server: Server) -> None:
        """Unload idle models and delete files until the instance is within its budgets."""
        plan = self._placement.evictions(server.id)
        await self._evict(server, plan)

    async def evict_one(self, server: Server, target: str) -> None:
        """Unload the idle model that was used least recently.

        `target` itself is spared. Raises NotAdmittedError where no other is idle.
        """
        victim = self._placement.oldest_idle(server.id, keep=target)
        if victim is None:
            raise NotAdmittedError("the instance has not enough memory for it")
        await self._unload(server, victim)

    async def _evict(self, server: Server, plan: Evictions) -> None:
        for victim in plan.unload:
            await self._unload(server, victim)
        for victim in plan.delete:
            await self.delete(server, victim)

    async def _unload(self, server: Server, target: str) -> None:
        """Unload a model if it is still idle and in memory: another load may have been quicker."""
        replica = self._placement.replica(server.id, target)
        if (
            replica is not None
            and replica.busy == 0
            and self._placement.in_memory(server.id, target)
        ):
            await asyncio.wait((self._fleet.begin_unload(server.id, target),))

    async def free_disk(self, server: Server, target: str) -> bool:
        """Delete the files of the model that was used least recently; False if there is none."""
        cache = self._placement.cache(server.id)
        before = cache.disk_used
        with contextlib.suppress(ExceedsInstanceError):
            free = max(cache.disk - before, 0)
            plan = self._placement.evictions(server.id, disk=free + 1, keep=target)
            await self._evict(server, plan)
        return cache.disk_used < before

    async def delete(self, server: Server, target: str) -> None:
        """Delete the files of a model, unless it is loaded, or being loaded, by now."""
        replica = self._placement.replica(server.id, target)
        if replica is None or replica.busy or replica.phase is not Phase.DISK:
            return
        # out of the way at once: a load that begins meanwhile unpacks into the same folder
        gone = _set_aside(server.folder(model_name(target)).parent)
        self._placement.deleted(server.id, target)
        await to_thread(shutil.rmtree, gone, ignore_errors=True)


def _set_aside(folder: Path) -> Path:
    gone = folder.with_name(f".gone-{secrets.token_hex(8)}")
    with contextlib.suppress(OSError):
        folder.rename(gone)
    return gone

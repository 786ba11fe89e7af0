"""Room on an instance: what a model is expected to take, and making that much free."""

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
from mmectl.local.fleet.instance_cache import Evictions, NoRoomError, Phase, TooWideError
from mmectl.local.fleet.ports import Server

if TYPE_CHECKING:
    from mmectl.local.fleet.fleet import Fleet

_MB = 1 << 20


class RoomError(Exception):
    """There is no room for the model, and that may change."""


class WideError(RoomError):
    """An instance is too small for the model, and its files are of no use."""


def wide(error: TooWideError) -> WideError:
    """Say so of a model that was measured."""
    return WideError(
        f"it needs about {error.need // _MB} MB of {error.what}, "
        f"and an instance has {error.budget // _MB} MB for models"
    )


@dataclass(frozen=True, slots=True)
class Need:
    """What a model will take: bytes of memory, bytes of disk in all."""

    memory: int
    disk: int


class Room:
    """The room on the instances of one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._settings = fleet.settings
        self._book = fleet.residency

    def need(self, server: Server, target: str, disk: int) -> Need:
        """What a model will take: what it took before, else an estimate.

        An estimate alone refuses no model whose weights fit: it may have the whole instance.
        """
        known = self._book.sizes.of(target)
        if known is not None:
            return Need(known, disk)
        budget = self._book.shelf(server.id).memory
        estimate = self._settings.model_base + int(self._settings.model_factor * disk)
        expected = self._book.sizes.expected(target, disk) or estimate
        return Need(expected if disk > budget else min(expected, budget), disk)

    async def make(self, server: Server, target: str, need: Need) -> None:
        """Reserve what is needed; evicts idle models, waits for busy ones; RoomError."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.wait
        while True:
            with contextlib.suppress(NoRoomError):
                self._book.reserve(server.id, target, need.memory, need.disk)
                return
            copy = self._book.copy(server.id, target)
            more = need.disk - (copy.disk if copy is not None else 0)
            try:
                plan = self._book.evictions(server.id, memory=need.memory, disk=more, keep=target)
            except TooWideError as error:
                raise wide(error) from None
            if plan.enough and (plan.unload or plan.delete):
                await self._evict(server, plan)
            elif not await self._fleet.changes.wait(deadline - loop.time()):
                raise RoomError("no room: every other model of the instance is in use")

    async def trim(self, server: Server) -> None:
        """Unload idle models and delete files until the instance is within its budgets."""
        plan = self._book.evictions(server.id)
        await self._evict(server, plan)

    async def evict_one(self, server: Server, target: str) -> None:
        """Unload the idle model that was used least recently, another than `target`; RoomError."""
        victim = self._book.oldest_idle(server.id, keep=target)
        if victim is None:
            raise RoomError("the instance has not enough memory for it")
        await self._unload(server, victim)

    async def _evict(self, server: Server, plan: Evictions) -> None:
        for victim in plan.unload:
            await self._unload(server, victim)
        for victim in plan.delete:
            await self.delete(server, victim)

    async def _unload(self, server: Server, target: str) -> None:
        """Unload a model if it is still idle and in memory: another load may have been quicker."""
        copy = self._book.copy(server.id, target)
        if copy is not None and copy.busy == 0 and self._book.in_memory(server.id, target):
            await asyncio.wait((self._fleet.begin_unload(server.id, target),))

    async def free_disk(self, server: Server, target: str) -> bool:
        """Delete the files of the model that was used least recently; False if there is none."""
        shelf = self._book.shelf(server.id)
        before = shelf.disk_used
        with contextlib.suppress(TooWideError):
            free = max(shelf.disk - before, 0)
            plan = self._book.evictions(server.id, disk=free + 1, keep=target)
            await self._evict(server, plan)
        return shelf.disk_used < before

    async def delete(self, server: Server, target: str) -> None:
        """Delete the files of a model, unless it is loaded, or being loaded, by now."""
        copy = self._book.copy(server.id, target)
        if copy is None or copy.busy or copy.phase is not Phase.DISK:
            return
        # out of the way at once: a load that begins meanwhile unpacks into the same folder
        gone = _set_aside(server.folder(model_name(target)).parent)
        self._book.deleted(server.id, target)
        await to_thread(shutil.rmtree, gone, ignore_errors=True)


def _set_aside(folder: Path) -> Path:
    gone = folder.with_name(f".gone-{secrets.token_hex(8)}")
    with contextlib.suppress(OSError):
        folder.rename(gone)
    return gone

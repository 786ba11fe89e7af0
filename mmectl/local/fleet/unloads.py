"""Takes models off instances: out of memory, off the disk, away from a dead worker."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from asyncio import to_thread
from pathlib import Path

from mmectl.local.fleet.errors import model_name
from mmectl.local.fleet.metering import Meter
from mmectl.local.fleet.placement import Phase, Placement
from mmectl.local.fleet.ports import Server
from mmectl.local.fleet.tasks import Task, Tasks
from mmectl.local.settings import RouterSettings
from mmectl.local.waiting import Changes


class Unloads:
    """The unloads of one fleet; each is a task that requests for the model wait for.

    `keep_files`: the files of a model stay on the disk (ModelCacheSetting is Enabled).
    """

    def __init__(
        self,
        placement: Placement,
        tasks: Tasks,
        changes: Changes,
        meter: Meter,
        settings: RouterSettings,
        *,
        keep_files: bool = True,
    ) -> None:
        self._placement = placement
        self._tasks = tasks
        self._changes = changes
        self._meter = meter
        self._settings = settings
        self._keep_files = keep_files

    def begin(self, server: Server, target: str, *, files: bool = False) -> Task:
        """Unload an idle model, with `files` also off the disk."""
        self._placement.begin_unload(server.id, target)
        self._meter.unloaded(server.id, target)
        unload = self._unload(server, target, files=files)
        return self._tasks.begin(server.id, target, unload)

    def begin_when_idle(self, server: Server, target: str) -> Task:
        """Give a busy model no further request, and unload it once it has answered those it has."""
        self._placement.begin_unload(server.id, target, busy=True)
        self._meter.unloaded(server.id, target)
        return self._tasks.begin(server.id, target, self._unload_when_idle(server, target))

    def drop(self, server: Server, target: str) -> None:
        """Unload a model and delete its files: ModelCacheSetting is Disabled."""
        if self._placement.in_memory(server.id, target):
            self.begin(server, target, files=True)

    def unload_broken(self, server: Server, target: str) -> None:
        """Unload a model whose worker died, so that the next request loads it again."""
        if not self._placement.in_memory(server.id, target):
            return
        self._placement.begin_unload(server.id, target, busy=True)
        self._tasks.begin(server.id, target, self._unload_broken(server, target))

    async def delete_files(self, server: Server, target: str) -> None:
        """Delete the files of a model, unless it is loaded, or being loaded, by now."""
        replica = self._placement.replica(server.id, target)
        if replica is None or replica.busy or replica.phase is not Phase.DISK:
            return
        # renamed at once: a load that begins meanwhile unpacks into the same folder
        renamed = _set_aside(server.folder(model_name(target)).parent)
        self._placement.deleted(server.id, target)
        await to_thread(shutil.rmtree, renamed, ignore_errors=True)

    async def _unload(self, server: Server, target: str, *, files: bool = False) -> None:
        """Unload a model whose unload was begun; an answer of 404 is as good as 200."""
        try:
            with self._meter.timed("ModelUnloadingTime"):
                await server.models.unload(model_name(target), self._settings.unload)
        finally:
            self._placement.unloaded(server.id, target)
        if files:
            await self.delete_files(server, target)

    async def _unload_when_idle(self, server: Server, target: str) -> None:
        try:
            while (replica := self._placement.replica(server.id, target)) and replica.busy:
                await self._changes.wait(self._settings.invoke)
        except asyncio.CancelledError:
            self._placement.unloaded(server.id, target)
            raise
        await self._unload(server, target, files=not self._keep_files)

    async def _unload_broken(self, server: Server, target: str) -> None:
        # the request that killed the worker gets its own answer, the others are sent again
        await asyncio.sleep(self._settings.grace)
        server.models.abort(model_name(target), "the worker died")
        await self._unload(server, target)


def _set_aside(folder: Path) -> Path:
    renamed = folder.with_name(f".gone-{secrets.token_hex(8)}")
    with contextlib.suppress(OSError):
        folder.rename(renamed)
    return renamed

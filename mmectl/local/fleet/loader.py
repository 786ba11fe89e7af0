"""Loads models on instances: downloaded, admitted, loaded by the server, measured."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from asyncio import to_thread
from collections.abc import Callable
from pathlib import Path

from mmectl.local.fleet.admission import (
    Admission,
    Footprint,
    NeverFitsError,
    NotAdmittedError,
)
from mmectl.local.fleet.crash_backoff import CrashBackoff
from mmectl.local.fleet.downloads import Downloads, SlowDownloadError
from mmectl.local.fleet.errors import ErrorMessages, model_name
from mmectl.local.fleet.metering import Meter
from mmectl.local.fleet.placement import Placement
from mmectl.local.fleet.ports import Server
from mmectl.local.fleet.tasks import Task, Tasks, Times
from mmectl.local.fleet.too_large import TooLargeCache
from mmectl.local.fleet.unloads import Unloads
from mmectl.local.instance import procfs
from mmectl.local.instance.http_client import Answer, AnswerTimeoutError, WireError
from mmectl.local.settings import RouterSettings

# As the image's handler words them: the model does not fit where nothing else is; the network
# ended its worker.
_TOO_LARGE = "it needs more memory than an instance has"
_NOT_ALONE = "an instance that held nothing else had not enough memory for it"
_ENDED = " ended the process with "
_AGAIN = 0.1  # seconds until a server that still holds a failed load is asked again


class Loader:
    """The loads of one fleet; `available` gives the machine's free memory, in bytes."""

    def __init__(
        self,
        placement: Placement,
        tasks: Tasks,
        admission: Admission,
        downloads: Downloads,
        unloads: Unloads,
        meter: Meter,
        errors: ErrorMessages,
        settings: RouterSettings,
        available: Callable[[], int | None] = procfs.available,
    ) -> None:
        self._placement = placement
        self._tasks = tasks
        self._admission = admission
        self._downloads = downloads
        self._unloads = unloads
        self._meter = meter
        self._errors = errors
        self._settings = settings
        self._available = available
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._too_large = TooLargeCache(settings.too_large)
        self._crashes = CrashBackoff(settings.crash_backoff, settings.too_large)

    def begin(self, server: Server, target: str) -> Task:
        """Begin to load a model that is not in memory; requests for it wait for the task.

        The task raises AwsError, or WireError if the server was lost. The placement is right
        in either case.
        """
        self._placement.begin_load(server.id, target)
        return self._tasks.begin(server.id, target, self._load(server, target))

    def measure(self, server: Server, target: str) -> None:
        """Measure in the background what a model in memory takes now."""
        self._tasks.chore(self._measure(server, target))

    async def _load(self, server: Server, target: str) -> Times:
        slot = self._slots.setdefault(server.id, asyncio.Semaphore(self._settings.loads_at_once))
        folder = server.folder(model_name(target))
        try:
            async with slot:
                return await self._download_and_load(server, target, folder)
        except BaseException as error:
            keep = isinstance(error, (WireError, asyncio.CancelledError, NotAdmittedError))
            keep = keep and not isinstance(error, NeverFitsError)
            await self._failed(server, target, folder, keep=keep)
            if isinstance(error, SlowDownloadError):
                raise self._errors.slow_download(target, server.id) from None
            if isinstance(error, NotAdmittedError):
                raise self._errors.no_memory(target, str(error), server.id) from None
            raise

    async def _download_and_load(self, server: Server, target: str, folder: Path) -> Times:
        await self._refuse_too_large(target)
        await self._refuse_crashing(server, target)
        replica = self._placement.replica(server.id, target)
        clock = asyncio.get_running_loop().time
        began = clock()
        if replica is not None and replica.disk and _is_folder(folder):
            footprint = await self._admission.reserve(server, target, replica.disk)
        else:
            footprint = await self._downloads.fetch(server, target, folder)
        there = clock()
        with self._meter.timed("ModelLoadingTime"):
            await self._load_with_evictions(server, target, footprint)
        await self._attach(server, target, footprint)
        return there - began, clock() - there

    # what is not tried again

    async def _refuse_too_large(self, target: str) -> None:
        found = self._too_large.get(target, asyncio.get_running_loop().time())
        if found is not None and found.archive == await self._downloads.find(target):
            raise NotAdmittedError(found.why)

    async def _refuse_crashing(self, server: Server, target: str) -> None:
        archive = self._downloads.origin(target)
        now = asyncio.get_running_loop().time()
        crash = self._crashes.refused(archive, now) if archive is not None else None
        if crash is not None and archive == await self._downloads.find(target):
            raise self._errors.load_failed(crash.answer, target, server.id, crash.why)

    async def _remember_too_large(self, target: str, why: str) -> None:
        now = asyncio.get_running_loop().time()
        self._too_large.add(target, await self._downloads.find(target), why, now)

    def _remember_crash(self, target: str, answer: Answer, why: str | None) -> None:
        archive = self._downloads.origin(target)
        if archive is not None and (why is None or _ENDED in why):
            now = asyncio.get_running_loop().time()
            self._crashes.crashed(archive, answer, why, now)

    # the server's part

    async def _load_with_evictions(self, server: Server, target: str, footprint: Footprint) -> None:
        """LOAD; while the server says 507, unload the oldest idle model and try again.

        A load that fails without the handler having raised anything is tried once more: the
        worker was killed, by the kernel perhaps where the machine has no memory left.
        """
        name = model_name(target)
        tries, evicted, loop = 0, 0, asyncio.get_running_loop()
        deadline = loop.time() + self._settings.load
        while True:
            mark = server.printed()
            answer = await self._load_once(server, target)
            if answer.status == 200:
                self._crashes.loaded(self._downloads.origin(target) or Path())
                return
            # The server keeps a model whose load failed registered, for a moment even after its
            # unload, and answers 409 for it: that is no loaded model.
            await server.models.unload(name, self._settings.unload)
            if answer.status == 409 and loop.time() < deadline:
                await asyncio.sleep(_AGAIN)
                continue
            if answer.status == 507:
                await self._free_memory(server, target, mark, alone=evicted > 0)
                evicted += 1
                continue
            await asyncio.sleep(self._settings.grace)  # the log is written by another thread
            why = server.cause(mark, name)
            tries += 1
            if answer.status == 500:
                self._remember_crash(target, answer, why)
            if why is not None or answer.status != 500 or tries >= self._settings.deaths:
                raise self._errors.load_failed(answer, target, server.id, why)
            free = self._available()
            if free is not None and free < footprint.memory:
                with contextlib.suppress(NotAdmittedError):
                    await self._admission.evict_one(server, target)

    async def _free_memory(self, server: Server, target: str, mark: int, *, alone: bool) -> None:
        """Unload the oldest idle model. Raises NotAdmittedError where that cannot help.

        `alone`: that others were unloaded before, so that the model has the instance to itself.
        """
        why = server.cause(mark, model_name(target))
        if why is None:
            await asyncio.sleep(self._settings.grace)  # the log is written by another thread
            why = server.cause(mark, model_name(target))
        if why is not None and why.startswith(_TOO_LARGE):
            await self._remember_too_large(target, why)
            raise NeverFitsError(why)
        try:
            await self._admission.evict_one(server, target)
        except NotAdmittedError as error:
            if not alone:
                raise
            await self._remember_too_large(target, _NOT_ALONE)
            raise NeverFitsError(str(error)) from None

    async def _load_once(self, server: Server, target: str) -> Answer:
        name = model_name(target)
        try:
            return await server.models.load(name, self._settings.load)
        except AnswerTimeoutError:
            await server.models.unload(name, self._settings.unload)
            reason = f"Failed to load model {target}: it took over {self._settings.load:g} s"
            raise self._errors.model_error(500, reason, server.id) from None

    # after it

    async def _attach(self, server: Server, target: str, footprint: Footprint) -> None:
        """Watch the workers, record what the model takes, and keep the instance in its budget.

        Raises NeverFitsError for a model that took more than an instance has: it is unloaded.
        """
        name = model_name(target)
        use = await server.models.attach(name, lambda: self._unloads.unload_broken(server, target))
        try:
            self._admission.confirm(server, target, use.memory, footprint.disk)
        except NeverFitsError:
            await server.models.unload(name, self._settings.unload)
            raise
        memory = use.memory or footprint.memory
        self._placement.loaded(server.id, target, memory, shared=use.shared)
        self._meter.loaded(server.id, target)
        if not server.models.alive(name):  # died before it counted as loaded
            self._unloads.unload_broken(server, target)
        self._admission.trim_memory(server, keep=target)

    async def _measure(self, server: Server, target: str) -> None:
        """Record what a model in memory takes now, and keep the instance in its budget.

        Again until replicas of its worker, which many requests at once bring, have left.
        """
        while (use := await server.models.measure(model_name(target))).memory:
            self._placement.measured(server.id, target, use.memory)
            await self._admission.trim(server, keep=target)
            if not use.transient:
                break
            await asyncio.sleep(self._settings.measured_again)

    async def _failed(self, server: Server, target: str, folder: Path, *, keep: bool) -> None:
        """Correct the placement after a failed load; files that are good stay."""
        replica = self._placement.replica(server.id, target)
        size = replica.disk if replica is not None and keep and _is_folder(folder) else 0
        if not size:
            await asyncio.shield(to_thread(shutil.rmtree, folder.parent, ignore_errors=True))
        self._placement.load_failed(server.id, target, disk=size)


def _is_folder(path: Path) -> bool:
    return path.is_dir()

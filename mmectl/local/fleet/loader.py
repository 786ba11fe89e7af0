"""Bringing a model onto an instance and off it: find, unpack, load, measure; `room` makes room."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
from asyncio import to_thread
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mmectl.archive.unpack import (
    DiskFullError,
    FaultError,
    Limits,
    StoppedError,
    TooLargeError,
    Unpacked,
    UnpackError,
    size_hint,
    unpack,
)
from mmectl.local.fleet.admission import (
    Admission,
    Footprint,
    NeverFitsError,
    NotAdmittedError,
    never_fits,
)
from mmectl.local.fleet.deadly import DeadlyLoads
from mmectl.local.fleet.errors import model_name
from mmectl.local.fleet.instance_cache import ExceedsInstanceError
from mmectl.local.fleet.ports import Server
from mmectl.local.instance import procfs
from mmectl.local.instance.http_client import Answer, AnswerTimeoutError, WireError
from mmectl.local.values import AwsError, ObjectReader

if TYPE_CHECKING:
    from mmectl.local.fleet.fleet import Fleet

ALLOW_CODE = "MMECTL_ALLOW_MODEL_CODE"
_REFUSALS = 1000  # remembered
# As the image's handler words them: the model does not fit where nothing else is; the network
# ended its worker.
_TOO_LARGE = "it needs more memory than an instance has"
_NOT_ALONE = "an instance that held nothing else had not enough memory for it"
_ENDED = "MXNet ended the process with "
_AGAIN = 0.1  # seconds until a server that still holds a failed load is asked again


class _SlowError(Exception):
    """ModelDataDownloadTimeoutInSeconds is over."""


class Loader:
    """The loads and unloads of one fleet; `available` gives the machine's free memory."""

    def __init__(
        self,
        fleet: Fleet,
        store: ObjectReader,
        available: Callable[[], int | None] = procfs.available,
    ) -> None:
        self._fleet = fleet
        self._store = store
        self._available = available
        self._settings = fleet.settings
        self._placement = fleet.placement
        self._admission = Admission(fleet)
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._unpacker = _unpack_fresh
        # Models that do not fit even alone, by their object, until when, and why: every try would
        # cost as much again, perhaps all other models.
        self._misfits: dict[str, tuple[Path, float, str]] = {}
        self._deadly = DeadlyLoads(self._settings.condemned, self._settings.misfit)
        # Why archives were refused, by the object's file: reading them again would cost as much
        self._refusals: dict[Path, str] = {}
        self._origins: dict[str, Path] = {}  # of what is known of a model: the object's file

    async def load(self, server: Server, target: str) -> None:
        """Bring a model, whose load was begun, into memory.

        Raises AwsError; WireError if the server was lost. The placement is right in either case.
        """
        slot = self._slots.setdefault(server.id, asyncio.Semaphore(self._settings.loads_at_once))
        folder = server.folder(model_name(target))
        try:
            async with slot:
                await self._bring(server, target, folder)
        except BaseException as error:
            keep = isinstance(error, (WireError, asyncio.CancelledError, NotAdmittedError))
            keep = keep and not isinstance(error, NeverFitsError)
            await self._failed(server, target, folder, keep=keep)
            if isinstance(error, _SlowError):
                raise self._fleet.errors.slow_download(target, server.id) from None
            if isinstance(error, NotAdmittedError):
                raise self._fleet.errors.no_memory(target, str(error), server.id) from None
            raise

    async def unload(self, server: Server, target: str, *, files: bool = False) -> None:
        """Take a model, whose unload was begun, out of memory; 404 is as good as 200."""
        try:
            with self._fleet.meter.timed("ModelUnloadingTime"):
                await server.unload(model_name(target), self._settings.unload)
        finally:
            self._placement.unloaded(server.id, target)
        if files:
            await self._admission.delete(server, target)

    async def measure(self, server: Server, target: str) -> None:
        """Write down what a model in memory takes by now, and keep within the budget.

        And again until processes that it has for a while, as many ask at once, have left.
        """
        while (held := await server.measure(model_name(target))).memory:
            self._placement.measured(server.id, target, held.memory)
            await self._admission.trim(server)
            if not held.passing:
                break
            await asyncio.sleep(self._settings.measured_again)

    async def trim(self, server: Server) -> None:
        """Unload idle models and delete files until the instance is within its budgets."""
        await self._admission.trim(server)

    # within

    async def _bring(self, server: Server, target: str, folder: Path) -> None:
        await self._refuse_misfit(target)
        await self._refuse_deadly(server, target)
        replica = self._placement.replica(server.id, target)
        if replica is not None and replica.disk and _is_folder(folder):
            footprint = self._admission.footprint(server, target, replica.disk)
            await self._admission.reserve(server, target, footprint)
        else:
            footprint = await self._fetch(server, target, folder)
        with self._fleet.meter.timed("ModelLoadingTime"):
            await self._load_with_evictions(server, target, footprint)
        await self._settle(server, target, footprint)

    async def _fetch(self, server: Server, target: str, folder: Path) -> Footprint:
        """Unpack the object; one that is replaced or deleted meanwhile is looked for anew."""
        while True:
            archive = await self._find(target)
            if archive in self._refusals:
                raise self._fleet.errors.bad_archive(target, self._refusals[archive], server.id)
            if self._origins.setdefault(target, archive) != archive:
                self._origins[target] = archive
                self._placement.estimates.forget(target)
            try:
                footprint = self._admission.footprint(
                    server, target, await to_thread(size_hint, archive)
                )
                await self._admission.reserve(server, target, footprint)
                with self._fleet.meter.timed("ModelDownloadingTime"):
                    return await self._unpack(server, target, archive, folder, footprint)
            except (FileNotFoundError, AwsError):
                if await to_thread(archive.exists):
                    raise

    async def _refuse_misfit(self, target: str) -> None:
        found, until, why = self._misfits.get(target, (None, 0.0, ""))
        if asyncio.get_running_loop().time() < until and found == await self._find(target):
            raise NotAdmittedError(why)

    async def _refuse_deadly(self, server: Server, target: str) -> None:
        archive = self._origins.get(target)
        now = asyncio.get_running_loop().time()
        death = self._deadly.refused(archive, now) if archive is not None else None
        if death is not None and archive == await self._find(target):
            raise self._fleet.errors.load_failed(death.answer, target, server.id, death.why)

    async def _remember_misfit(self, target: str, why: str) -> None:
        until = asyncio.get_running_loop().time() + self._settings.misfit
        self._misfits[target] = (await self._find(target), until, why)

    def _remember_death(self, target: str, answer: Answer, why: str | None) -> None:
        archive = self._origins.get(target)
        if archive is not None and (why is None or why.startswith(_ENDED)):
            now = asyncio.get_running_loop().time()
            self._deadly.died(archive, answer, why, now)

    async def _find(self, target: str) -> Path:
        spec = self._fleet.spec
        found = await self._store.find(spec.bucket, spec.prefix + target)
        if found is None:
            raise self._fleet.errors.no_object(target)
        return found.path

    async def _unpack(
        self, server: Server, target: str, archive: Path, folder: Path, footprint: Footprint
    ) -> Footprint:
        """Unpack into what is free, make more room while that is too little; what it came to."""
        cache = self._placement.cache(server.id)
        while True:
            limit = max(footprint.disk, footprint.disk + cache.disk - cache.disk_used)
            try:
                done = await self._unpack_in_thread(archive, folder, limit)
            except TooLargeError as error:
                if limit >= cache.disk:
                    raise self._fleet.errors.bad_archive(target, str(error), server.id) from error
                footprint = Footprint(footprint.memory, min(4 * limit, cache.disk))
                await self._admission.reserve(server, target, footprint)
            except DiskFullError as error:
                if not await self._admission.free_disk(server, target):
                    raise NotAdmittedError("the disk of this machine is full") from error
            except UnpackError as error:
                if not isinstance(error, (FaultError, StoppedError)):
                    self._refusals[archive] = str(error)
                    if len(self._refusals) > _REFUSALS:
                        del self._refusals[next(iter(self._refusals))]
                raise self._fleet.errors.bad_archive(target, str(error), server.id) from error
            else:
                exact = self._admission.footprint(server, target, done.disk)
                await self._admission.reserve(server, target, exact)
                return exact

    async def _unpack_in_thread(self, archive: Path, folder: Path, limit: int) -> Unpacked:
        stop = threading.Event()
        limit_s = self._fleet.spec.download_timeout
        code = self._fleet.spec.environment.get(ALLOW_CODE, "").lower() in ("true", "1")
        limits = Limits(unpacked=limit, code=code)
        try:
            unpacking = to_thread(self._unpacker, archive, folder, limits, stop)
            return await asyncio.wait_for(unpacking, limit_s)
        except asyncio.TimeoutError:
            raise _SlowError from None
        finally:
            stop.set()  # where we were cancelled, the thread ends as well

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
                self._deadly.loaded(self._origins.get(target, Path()))
                return
            # The server keeps a model whose load failed registered, for a moment even after its
            # unload, and answers 409 for it: that is no loaded model.
            await server.unload(name, self._settings.unload)
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
                self._remember_death(target, answer, why)
            if why is not None or answer.status != 500 or tries >= self._settings.deaths:
                raise self._fleet.errors.load_failed(answer, target, server.id, why)
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
            await self._remember_misfit(target, why)
            raise NeverFitsError(why)
        try:
            await self._admission.evict_one(server, target)
        except NotAdmittedError as error:
            if not alone:
                raise
            await self._remember_misfit(target, _NOT_ALONE)
            raise NeverFitsError(str(error)) from None

    async def _load_once(self, server: Server, target: str) -> Answer:
        name = model_name(target)
        try:
            return await server.load(name, self._settings.load)
        except AnswerTimeoutError:
            await server.unload(name, self._settings.unload)
            reason = f"Failed to load model {target}: it took over {self._settings.load:g} s"
            raise self._fleet.errors.model_error(500, reason, server.id) from None

    async def _settle(self, server: Server, target: str, footprint: Footprint) -> None:
        """Watch the workers, write down what the model really takes, and mend the budget.

        NotAdmittedError for a model that turns out wider than the instance: it is unloaded again.
        """
        name = model_name(target)
        measured = await server.attach(name, lambda: self._fleet.broken(server, target))
        try:
            self._placement.check_size(server.id, measured, 0)
        except ExceedsInstanceError as error:
            self._placement.estimates.learn(target, footprint.disk, measured)
            await server.unload(name, self._settings.unload)
            raise never_fits(error) from None
        self._placement.loaded(server.id, target, measured or footprint.memory)
        self._fleet.meter.loaded(server.id)
        if not server.alive(name):  # died before it counted as loaded
            self._fleet.broken(server, target)
        with contextlib.suppress(ExceedsInstanceError):
            plan = self._placement.evictions(server.id, keep=target)
            for victim in plan.unload:
                self._fleet.begin_unload(server.id, victim)

    async def _failed(self, server: Server, target: str, folder: Path, *, keep: bool) -> None:
        """Correct the placement after a failed load; files that are good stay."""
        replica = self._placement.replica(server.id, target)
        size = replica.disk if replica is not None and keep and _is_folder(folder) else 0
        if not size:
            await asyncio.shield(to_thread(shutil.rmtree, folder.parent, ignore_errors=True))
        self._placement.load_failed(server.id, target, disk=size)


def _is_folder(path: Path) -> bool:
    return path.is_dir()


def _unpack_fresh(archive: Path, folder: Path, limits: Limits, stop: threading.Event) -> Unpacked:
    """Unpack where an earlier try may have left files."""
    shutil.rmtree(folder, ignore_errors=True)
    return unpack(archive, folder, limits, stop)

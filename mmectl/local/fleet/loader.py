"""Bringing a model onto an instance and off it: find, make room, unpack, load, measure."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
from asyncio import to_thread
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmectl.local.fleet.parts import Server
from mmectl.local.fleet.residency import NoRoomError, TooWideError
from mmectl.local.fleet.verdicts import model_name
from mmectl.local.fleet.wire import Answer, AnswerTimeoutError, WireError
from mmectl.local.values import ObjectReader
from mmectl.unpack import (
    Limits,
    TooLargeError,
    Unpacked,
    UnpackError,
    size_hint,
    unpack,
)

if TYPE_CHECKING:
    from mmectl.local.fleet.fleet import Fleet

ALLOW_CODE = "MMECTL_ALLOW_MODEL_CODE"
_MB = 1 << 20
_AGAIN = 0.1  # seconds until a server that still holds a failed load is asked again


@dataclass(frozen=True, slots=True)
class _Need:
    """What a model will take: bytes of memory, bytes of disk in all."""

    memory: int
    disk: int


class Loader:
    """The loads and unloads of one fleet."""

    def __init__(self, fleet: Fleet, store: ObjectReader) -> None:
        self._fleet = fleet
        self._store = store
        self._settings = fleet.settings
        self._book = fleet.residency
        self._slots: dict[str, asyncio.Semaphore] = {}
        # Models that cost an instance all others and still did not fit, by their object, until
        # when: every try would cost as much again.
        self._misfits: dict[str, tuple[Path, float]] = {}

    async def load(self, server: Server, target: str) -> None:
        """Bring a model, whose load was begun, into memory.

        Raises AwsError; WireError if the server was lost. The book is right in either case.
        """
        slot = self._slots.setdefault(server.id, asyncio.Semaphore(self._settings.loads_at_once))
        folder = server.folder(model_name(target))
        try:
            async with slot:
                await self._bring(server, target, folder)
        except BaseException as error:
            keep = isinstance(error, (WireError, asyncio.CancelledError, _RoomError))
            await self._failed(server, target, folder, keep=keep)
            if isinstance(error, _RoomError):
                raise self._fleet.say.no_memory(target, str(error), server.id) from None
            raise

    async def unload(self, server: Server, target: str, *, files: bool = False) -> None:
        """Take a model, whose unload was begun, out of memory; 404 is as good as 200."""
        try:
            await server.unload(model_name(target), self._settings.unload)
        finally:
            self._book.unloaded(server.id, target)
        if files:
            await self._delete(server, target)

    # within

    async def _bring(self, server: Server, target: str, folder: Path) -> None:
        await self._refuse_misfit(target)
        copy = self._book.copy(server.id, target)
        if copy is not None and copy.disk and _is_folder(folder):
            need = self._need(target, copy.disk)
            await self._make_room(server, target, need)
        else:
            archive = await self._find(target)
            need = self._need(target, await to_thread(size_hint, archive))
            await self._make_room(server, target, need)
            need = await self._unpack(server, target, archive, folder, need)
        await self._load_with_evictions(server, target)
        await self._settle(server, target, need)

    async def _refuse_misfit(self, target: str) -> None:
        found, until = self._misfits.get(target, (None, 0.0))
        if asyncio.get_running_loop().time() < until and found == await self._find(target):
            raise _RoomError("an instance that held nothing else had not enough memory for it")

    async def _find(self, target: str) -> Path:
        spec = self._fleet.spec
        found = await self._store.find(spec.bucket, spec.prefix + target)
        if found is None:
            raise self._fleet.say.no_object(target)
        return found.path

    def _need(self, target: str, disk: int) -> _Need:
        estimate = self._settings.model_base + int(self._settings.model_factor * disk)
        return _Need(self._book.known_size(target) or estimate, disk)

    async def _make_room(self, server: Server, target: str, need: _Need) -> None:
        """Reserve what is needed; evicts idle models, waits for busy ones; _RoomError."""
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
                raise _RoomError(_too_wide(error)) from None
            if plan.enough:
                await self._evict(server, plan.unload, plan.delete)
            elif not await self._fleet.changes.wait(deadline - loop.time()):
                raise _RoomError("no room: every other model of the instance is in use")

    async def _evict(
        self, server: Server, unload: tuple[str, ...], delete: tuple[str, ...]
    ) -> None:
        for victim in unload:
            if self._is_idle(server, victim):
                task = self._fleet.begin_unload(server.id, victim)
                await asyncio.wait((task,))
        for victim in delete:
            await self._delete(server, victim)

    def _is_idle(self, server: Server, target: str) -> bool:
        """Still idle and in memory: another load may have been quicker."""
        copy = self._book.copy(server.id, target)
        return copy is not None and copy.busy == 0 and self._book.in_memory(server.id, target)

    async def _unpack(
        self, server: Server, target: str, archive: Path, folder: Path, need: _Need
    ) -> _Need:
        """Unpack into what is free, make more room while that is too little; what it came to."""
        shelf = self._book.shelf(server.id)
        while True:
            limit = max(need.disk, need.disk + shelf.disk - shelf.disk_used)
            try:
                done = await self._unpack_in_thread(archive, folder, limit)
            except TooLargeError as error:
                if limit >= shelf.disk:
                    raise self._fleet.say.bad_archive(target, str(error), server.id) from error
                need = _Need(need.memory, min(4 * limit, shelf.disk))
                await self._make_room(server, target, need)
            except UnpackError as error:
                raise self._fleet.say.bad_archive(target, str(error), server.id) from error
            else:
                exact = self._need(target, done.size)
                await self._make_room(server, target, exact)
                return exact

    async def _unpack_in_thread(self, archive: Path, folder: Path, limit: int) -> Unpacked:
        stop = threading.Event()
        code = self._fleet.spec.environment.get(ALLOW_CODE, "").lower() in ("true", "1")
        limits = Limits(unpacked=limit, code=code)
        try:
            return await to_thread(_unpack_fresh, archive, folder, limits, stop)
        finally:
            stop.set()  # where we were cancelled, the thread ends as well

    async def _load_with_evictions(self, server: Server, target: str) -> None:
        """LOAD; while the server says 507, unload the oldest idle model and try again.

        A load that fails without the handler having raised anything is tried once more: the
        worker was killed.
        """
        name = model_name(target)
        tries, evicted, loop = 0, 0, asyncio.get_running_loop()
        deadline = loop.time() + self._settings.load
        while True:
            mark = server.printed()
            answer = await self._load_once(server, target)
            if answer.status == 200:
                return
            # The server keeps a model whose load failed registered, for a moment even after its
            # unload, and answers 409 for it: that is no loaded model.
            await server.unload(name, self._settings.unload)
            if answer.status == 409 and loop.time() < deadline:
                await asyncio.sleep(_AGAIN)
                continue
            if answer.status == 507:
                try:
                    await self._evict_one(server, target)
                except _RoomError:
                    if evicted:
                        until = loop.time() + self._settings.misfit
                        self._misfits[target] = (await self._find(target), until)
                    raise
                evicted += 1
                continue
            await asyncio.sleep(self._settings.grace)  # the log is written by another thread
            why = server.cause(mark, name)
            tries += 1
            if why is not None or answer.status != 500 or tries >= self._settings.deaths:
                raise self._fleet.say.load_failed(answer, target, server.id, why)

    async def _load_once(self, server: Server, target: str) -> Answer:
        name = model_name(target)
        try:
            return await server.load(name, self._settings.load)
        except AnswerTimeoutError:
            await server.unload(name, self._settings.unload)
            reason = f"Failed to load model {target}: it took over {self._settings.load:g} s"
            raise self._fleet.say.model_error(500, reason, server.id) from None

    async def _evict_one(self, server: Server, target: str) -> None:
        victim = self._book.oldest_idle(server.id, keep=target)
        if victim is None:
            raise _RoomError("the instance has not enough memory for it")
        await self._evict(server, (victim,), ())

    async def _settle(self, server: Server, target: str, need: _Need) -> None:
        """Watch the workers, write down what the model really takes, and mend the budget."""
        name = model_name(target)
        measured = await server.attach(name, lambda: self._fleet.broken(server, target))
        self._book.loaded(server.id, target, measured or need.memory)
        if not server.alive(name):  # died before it counted as loaded
            self._fleet.broken(server, target)
        with contextlib.suppress(TooWideError):
            plan = self._book.evictions(server.id, keep=target)
            for victim in plan.unload:
                self._fleet.begin_unload(server.id, victim)

    async def _failed(self, server: Server, target: str, folder: Path, *, keep: bool) -> None:
        """Put the book right after a failed load; files that are good stay."""
        copy = self._book.copy(server.id, target)
        size = copy.disk if copy is not None and keep and _is_folder(folder) else 0
        if not size:
            await asyncio.shield(to_thread(shutil.rmtree, folder.parent, ignore_errors=True))
        self._book.load_failed(server.id, target, disk=size)

    async def _delete(self, server: Server, target: str) -> None:
        copy = self._book.copy(server.id, target)
        if copy is None or copy.busy or copy.memory:
            return
        folder = server.folder(model_name(target)).parent
        self._book.deleted(server.id, target)
        await to_thread(shutil.rmtree, folder, ignore_errors=True)


def _is_folder(path: Path) -> bool:
    return path.is_dir()


class _RoomError(Exception):
    """There is no room for the model, and that may change."""


def _too_wide(error: TooWideError) -> str:
    return (
        f"it needs about {error.need // _MB} MB of {error.what}, "
        f"and an instance has {error.budget // _MB} MB for models"
    )


def _unpack_fresh(archive: Path, folder: Path, limits: Limits, stop: threading.Event) -> Unpacked:
    """Unpack where an earlier try may have left files."""
    shutil.rmtree(folder, ignore_errors=True)
    return unpack(archive, folder, limits, stop)

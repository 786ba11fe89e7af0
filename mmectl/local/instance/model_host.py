"""The models of one running server: loaded, unloaded, invoked, their workers watched.

Multi Model Server does not notice every death of a worker: one that dies before it began blocks
its model for a minute, one that dies together with its worker server blocks it for ever. So the
processes themselves are watched; but for models that share a process, which their container sees
to.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from asyncio import to_thread
from collections.abc import Callable
from pathlib import Path

from mmectl.local.instance import procfs
from mmectl.local.instance.hosted import Hosted
from mmectl.local.instance.http_client import Answer
from mmectl.local.instance.mms import Mms
from mmectl.local.instance.process_runtime import Runtime
from mmectl.local.values import InvokeRequest, MemoryUse
from mmectl.local.waiting import within

WORKER_DIED = Answer(
    500, body=b'{"code": 500, "type": "InternalServerException", "message": "Worker died."}'
)
_POLL = 0.05
# what a server may still answer after a worker's death
_LAST_WORD = 0.5
_LONG_REMOVAL = 120.0
# Looks in a row without a process: a list of processes may lack one that starts while it is made
_MISSES = 2
# a worker that was never seen in this time died at once: others come within 0.1 s
_WORKER_COMES = 3.0


class ModelHost:
    """See the module. `models` is the directory of ``<name>/model`` directories."""

    def __init__(self, mms: Mms, models: Path, runtime: Runtime) -> None:
        self.mms = mms
        self._models = models
        self._runtime = runtime
        self._names: dict[str, str] = {}
        self._removals: set[asyncio.Task[Answer]] = set()
        self._hosted = Hosted(runtime.listens)
        self._watches: dict[str, procfs.Watch] = {}
        self._unseen: set[str] = set()
        self._sees_workers = False

    def folder(self, name: str) -> Path:
        """Where the model of that opaque name is unpacked."""
        return self._models / name / "model"

    async def load(self, name: str, timeout: float) -> Answer:
        """Load an unpacked model; a worker that dies meanwhile gives 500 "Worker died."."""
        await to_thread(self._runtime.admit, self.folder(name).parent)
        url = self._runtime.seen(self.folder(name))
        sent = self.mms.load(self._known_as(name), url, timeout)
        load = asyncio.create_task(sent)
        death = asyncio.create_task(self._worker_death(name))
        try:
            await asyncio.wait((load, death), return_when=asyncio.FIRST_COMPLETED)
            if not load.done():
                await asyncio.wait((load,), timeout=_LAST_WORD)
            if load.done():
                return load.result()
            self._abandon(name)
            return WORKER_DIED
        finally:
            load.cancel()
            death.cancel()

    async def _worker_death(self, name: str) -> None:
        """Wait until the worker of a model that is being loaded has died, or never came.

        Its launcher may leave before. A model that shares a process has none after that.
        """
        ended = asyncio.Event()
        watch: procfs.Watch | None = None
        seen: list[int] = []
        missed, began = 0, time.monotonic()
        try:
            while missed < _MISSES or await to_thread(self._hosted.there):
                now = await to_thread(self._workers, name)
                late = time.monotonic() - began > _WORKER_COMES and self._sees_workers
                missed = 0 if now else missed + (bool(seen) or late)
                if now and now != seen:
                    if watch is not None:
                        watch.close()
                    watch, seen = procfs.Watch(now, ended.set), now
                    self._sees_workers = True
                await within(_POLL * (4 if now else 1), ended.wait())
                ended.clear()
        finally:
            if watch is not None:
                watch.close()

    def _workers(self, name: str) -> list[int]:
        return self._runtime.workers(self.folder(name), self._known_as(name))

    async def unload(self, name: str, timeout: float) -> Answer:
        """Unload a model; ends the requests that it still has."""
        self.detach(name)
        removal = self._remove(name)
        await asyncio.wait((removal,), timeout=timeout)
        if removal.done():
            return removal.result()
        self._rename(name)
        return Answer(202)

    def _abandon(self, name: str) -> None:
        """Leave a model to the server that holds on to it, and load it anew as another."""
        self._remove(name)
        self._rename(name)

    def _remove(self, name: str) -> asyncio.Task[Answer]:
        """Remove a model, however long that takes."""
        removal = asyncio.create_task(self.mms.unload(self._known_as(name), _LONG_REMOVAL))
        self._removals.add(removal)
        removal.add_done_callback(self._removed)
        return removal

    def _removed(self, removal: asyncio.Task[Answer]) -> None:
        self._removals.discard(removal)
        if not removal.cancelled():
            removal.exception()  # seen: nobody may be waiting any more

    def _rename(self, name: str) -> None:
        self._names[name] = f"{name}-{secrets.token_hex(4)}"

    def _known_as(self, name: str) -> str:
        """What the server calls that model."""
        return self._names.get(name, name)

    async def invoke(self, name: str, request: InvokeRequest, timeout: float) -> Answer:
        """Send a request to a loaded model."""
        return await self.mms.invoke(self._known_as(name), request, timeout)

    def abort(self, name: str, reason: str) -> int:
        """End the requests under way at a model with AbortedError."""
        return self.mms.abort(reason, self._known_as(name))

    async def attach(self, name: str, died: Callable[[], None]) -> MemoryUse:
        """Watch the workers of a model that was just loaded; `died` is called when one ends.

        Returns the memory that they hold, 0 if none can be seen.
        """
        workers = await to_thread(self._workers, name)
        self.detach(name)
        if workers:
            self._watches[name] = procfs.Watch(workers, died)
            return MemoryUse(await to_thread(procfs.memory, workers), transient=False)
        self._unseen.add(name)
        return await self._in_host(name)

    async def measure(self, name: str) -> MemoryUse:
        """Look what a model holds by now; nothing where neither workers nor a host tell of it."""
        watch = self._watches.get(name)
        if watch is None:
            return await self._in_host(name)
        workers = await to_thread(self._workers, name)
        memory = await to_thread(procfs.memory, workers)
        return MemoryUse(memory, transient=not set(workers) <= set(watch.pids))

    async def _in_host(self, name: str) -> MemoryUse:
        taken = await to_thread(self._hosted.memory, self._known_as(name))
        return MemoryUse(taken, transient=False, shared=taken > 0)

    def detach(self, name: str) -> None:
        """Watch the workers of a model no longer."""
        self._unseen.discard(name)
        watch = self._watches.pop(name, None)
        if watch is not None:
            watch.close()

    def alive(self, name: str) -> bool:
        """Whether the workers of an attached model live; True where they cannot be seen."""
        watch = self._watches.get(name)
        return name in self._unseen if watch is None else watch.alive

    def close(self) -> None:
        """End every request and every watch."""
        for name in list(self._watches):
            self.detach(name)
        self.mms.close()

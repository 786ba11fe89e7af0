"""Instances, a store and archives for tests of the data plane, all in memory but the files."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mmectl.local.fleet.errors import model_name
from mmectl.local.fleet.ports import Server
from mmectl.local.instance.http_client import AbortedError, Answer, WireError
from mmectl.local.values import (
    FleetFailed,
    FleetSpec,
    Image,
    InvokeRequest,
    MemoryUse,
    ObjectReader,
    StoredObject,
)


def error(status: int, kind: str, message: str) -> Answer:
    body = json.dumps({"code": status, "type": kind, "message": message}).encode()
    return Answer(status, {"content-type": "application/json"}, body)


DIED = error(500, "InternalServerException", "Worker died.")
UNKNOWN = error(404, "ModelNotFoundException", "Model not found")
NO_WORKER = error(503, "ServiceUnavailableException", "No worker is available to serve request")
NO_MEMORY = error(507, "InternalServerException", "Out of resources")
CONFLICT = error(409, "ConflictStatusException", "Model is already registered.")
NOT_STARTED = error(500, "InternalServerException", "Failed to start workers")


class FakeServer:
    """One instance with a model server in it, as `instance.Instance` behaves.

    `script` holds answers to give before the normal ones, by (verb, target): an Answer, or an
    exception to raise. A request stands at the gate of its model while that is closed.
    """

    def __init__(self, number: int, folder: Path) -> None:
        self.id = f"i-{number}"
        self.state = "Pending"
        self.restarts = 0
        self.pid: int | None = None
        self.runtime = {"name": "process", "reason": "it is a fake"}
        self.listens = folder / f"{number}.sock"
        self.up: Callable[[], None] = lambda: None
        self.down: Callable[[], None] = lambda: None
        self.loaded: set[str] = set()
        self.script: dict[tuple[str, str], list[Answer | Exception]] = {}
        self.calls: Counter[tuple[str, str]] = Counter()
        self.requests: list[InvokeRequest] = []
        self.gates: dict[tuple[str, str], asyncio.Event] = {}
        self.failing: str | None = None
        self.memory = 0
        self.replicas = 0  # what that takes besides
        self.watched: dict[str, Callable[[], None]] = {}
        self.dead: set[str] = set()
        self.log: list[str] = []
        self._folder = folder / self.id
        self._held: dict[asyncio.Future[None], str] = {}

    @property
    def models(self) -> FakeServer:
        return self

    async def start(self) -> None:
        if self.failing:
            raise FleetFailed(self.failing)
        self.rise()

    def rise(self) -> None:
        self.state, self.pid = "InService", 1
        self.loaded.clear()
        self.watched.clear()
        self.dead.clear()
        self.up()

    def fall(self) -> None:
        """The server dies; its supervisor has heard of it."""
        self.state, self.pid = "Restarting", None
        for future in self._held:
            if not future.done():
                future.set_exception(WireError("connection lost"))
        self.down()

    async def stop(self) -> None:
        self.state, self.pid = "Stopped", None

    def folder(self, name: str) -> Path:
        return self._folder / name / "model"

    def gate(self, verb: str, target: str) -> asyncio.Event:
        """A closed gate: calls of that verb wait until it is set."""
        return self.gates.setdefault((verb, model_name(target)), asyncio.Event())

    def open(self, verb: str, target: str) -> None:
        """Take a gate away: those that stand at it stay there until it is set."""
        del self.gates[verb, model_name(target)]

    def will(self, verb: str, target: str, *answers: Answer | Exception) -> None:
        self.script[verb, model_name(target)] = list(answers)

    async def _said(self, verb: str, name: str) -> Answer | None:
        self.calls[verb, name] += 1
        if self.state != "InService":
            raise WireError("cannot connect")
        if (verb, name) in self.gates:
            await self._wait(name, self.gates[verb, name])
        planned = self.script.get((verb, name))
        if not planned:
            return None
        answer = planned.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _wait(self, name: str, gate: asyncio.Event) -> None:
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        passed = asyncio.ensure_future(gate.wait())
        self._held[lost] = name
        try:
            await asyncio.wait((lost, passed), return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                lost.result()
        finally:
            passed.cancel()
            del self._held[lost]
            lost.cancel()

    async def load(self, name: str, timeout: float) -> Answer:
        said = await self._said("load", name)
        if said is None and name in self.loaded:
            return CONFLICT
        if said is None and not list(self.folder(name).iterdir()):
            raise AssertionError("loaded before it was unpacked")
        if said is None or said.status in (409, 507):
            self.loaded.add(name)  # a ghost, where it is 507
        return said or Answer(200)

    async def unload(self, name: str, timeout: float) -> Answer:
        said = await self._said("unload", name)
        self.loaded.discard(name)
        self.watched.pop(name, None)
        self.dead.discard(name)
        return said or Answer(200)

    async def invoke(self, name: str, request: InvokeRequest, timeout: float) -> Answer:
        self.requests.append(request)
        said = await self._said("invoke", name)
        if said is not None:
            return said
        if name not in self.loaded:
            return UNKNOWN
        return Answer(200, {"content-type": "text/plain"}, self.id.encode() + request.body)

    def abort(self, name: str, reason: str) -> int:
        held = [future for future, which in self._held.items() if which == name]
        for future in held:
            future.set_exception(AbortedError(reason))
        return len(held)

    async def attach(self, name: str, died: Callable[[], None]) -> MemoryUse:
        self.watched[name] = died
        return MemoryUse(self.memory, transient=False)

    async def measure(self, name: str) -> MemoryUse:
        if self.state != "InService":
            return MemoryUse(0, transient=False)
        return MemoryUse(self.memory + self.replicas, transient=self.replicas > 0)

    def kill_worker(self, target: str) -> None:
        name = model_name(target)
        self.dead.add(name)
        self.watched.pop(name)()

    def alive(self, name: str) -> bool:
        return self.state == "InService" and name not in self.dead

    async def check(self) -> None:
        await asyncio.sleep(0)

    def printed(self) -> int:
        return len(self.log)

    def cause(self, mark: int, name: str) -> str | None:
        return self.log[-1] if len(self.log) > mark else None

    def count(self, verb: str, target: str) -> int:
        return self.calls[verb, model_name(target)]

    def holds(self, target: str) -> bool:
        return model_name(target) in self.loaded


def archive(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(out.getvalue(), 1)


class FakeStore:
    """Objects of bucket ``models`` as files in a folder; counts what is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._objects: dict[str, StoredObject] = {}
        self.asked: Counter[str] = Counter()

    def put(self, key: str, data: bytes | None = None) -> None:
        data = archive(weights=key.encode()) if data is None else data
        path = self._folder / f"{len(self._objects)}.object"
        path.write_bytes(data)
        self._objects[key] = StoredObject(path, "etag", len(data))

    def delete(self, key: str) -> None:
        del self._objects[key]

    async def find(self, bucket: str, key: str) -> StoredObject | None:
        self.asked[key] += 1
        return self._objects.get(key) if bucket == "models" else None


def spec(**changes: object) -> FleetSpec:
    values: dict[str, object] = {
        "endpoint": "ep",
        "config": "cfg",
        "variant": "AllTraffic",
        "image": Image("reference", "sha256:0", ("/bin/false",)),
        "environment": {},
        "instance_type": "ml.m5.xlarge",
        "instance_count": 1,
        "bucket": "models",
        "prefix": "demo/",
    }
    return FleetSpec(**{**values, **changes})  # type: ignore[arg-type]


_server: type[Server] = FakeServer
_store: type[ObjectReader] = FakeStore

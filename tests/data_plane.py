"""One endpoint on the data plane, what its instances run, and real models to ask."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import os
import re
import signal
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmectl.local import processes
from mmectl.local.fleet.data_plane import DataPlane
from mmectl.local.instance import procfs
from mmectl.local.instance.workspace import RUN_MARK
from mmectl.local.values import FleetSpec, Image, InvokeRequest, StoredObject

NETWORKS = ("squeezenet_v1.0", "squeezenet_v1.0_retrained", "squeezenet_v1.1")


def marked(run: str) -> list[int]:
    """The processes of the instance whose run directory that is."""
    return [process.pid for process in processes.carrying({f"{RUN_MARK}={run}"})]


class Folder:
    """A store over a folder of files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def find(self, bucket: str, key: str) -> StoredObject | None:
        path = self.folder / bucket / key
        return StoredObject(path, "etag", path.stat().st_size) if path.is_file() else None

    def put(self, key: str, data: bytes) -> None:
        path = self.folder / "models" / "demo" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def pack(folder: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    return gzip.compress(out.getvalue(), 1)


def fill(store: Folder, models: Path) -> None:
    """The real models, one of them also ten times under other names."""
    packed = {name: pack(models / name) for name in NETWORKS}
    for name, data in packed.items():
        store.put(f"{name}.tar.gz", data)
    for number in range(10):
        store.put(f"sub/model_{number}.tar.gz", packed[NETWORKS[0]])


@pytest.fixture(scope="module")
def store(shared_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The real models; import it into a test module, and `cat` with it."""
    store = Folder(tmp_path_factory.mktemp("store"))
    fill(store, shared_models)
    return store


@pytest.fixture(scope="module")
def cat(shared_images: Path) -> bytes:
    return (shared_images / "cat.jpg").read_bytes()


class Plane:
    """One endpoint and what its instances run."""

    def __init__(self, fleets: DataPlane, cat: bytes, folder: Path) -> None:
        self.fleets = fleets
        self.folder = folder
        self._cat = cat

    async def invoke(self, target: str, body: bytes | None = None) -> list[str]:
        request = InvokeRequest(body or self._cat, "image/jpeg", target_model=target)
        answer = await self.fleets.invoke("ep", "cfg", request)
        return json.loads(answer.body)

    def rows(self) -> list[dict]:
        return self.fleets.describe("ep", "cfg")

    def holder(self, target: str) -> dict:
        return next(r for r in self.rows() if target in [m["target_model"] for m in r["models"]])

    def processes(self, row: dict, part: str) -> list[int]:
        """The processes of an instance whose command line has that part."""
        return [pid for pid in self.all(row) if part in command(pid)]

    def all(self, row: dict) -> list[int]:
        run = environment(row["pid"], RUN_MARK)
        return marked(run)

    def named(self, model: str) -> list[int]:
        """The processes of a model, on whichever instance."""
        return [pid for pid in procfs.pids() if f"--model-name {model}" in command(pid)]

    def log(self, row: dict) -> list[str]:
        (path,) = self.folder.rglob(f"{row['instance_id']}.log")
        return path.read_text().splitlines()

    def workers(self, target: str) -> list[int]:
        """The workers of a model."""
        lines = {pid: command(pid) for pid in self.all(self.holder(target))}
        found = {pid: line for pid, line in lines.items() if "model_service_worker" in line}
        name = next(line.split("--model-name ")[1].split()[0] for line in found.values())
        return sorted(pid for pid, line in found.items() if name in line)


class Containers(Plane):
    """A plane whose instances are containers."""

    def all(self, row: dict) -> list[int]:
        return offspring(row["pid"])


def offspring(pid: int) -> list[int]:
    """The processes of the container whose first process that is."""
    (name,) = set(re.findall(r"/([0-9a-f]{64})", group(pid)))
    return [pid for pid in procfs.pids() if name in group(pid)]


def group(pid: int) -> str:
    """The control groups of a process."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cgroup").read_text()
    return ""


def command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").replace("\0", " ")
    return ""


def environment(pid: int, name: str) -> str:
    whole = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return next(item.partition("=")[2] for item in whole if item.startswith(f"{name}="))


def alive(pids: list[int]) -> list[int]:
    """Those that run; one that nobody has reaped yet does not."""
    return [pid for pid in pids if command(pid)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def until(
    condition: Callable[[], bool], seconds: float = 60, told: object = "never happened"
) -> None:
    """Wait for the condition; where it does not come, fail with what is `told`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, told
        await asyncio.sleep(0.05)


def kill(*pids: int) -> None:
    """Kill processes; one may end with another, or by itself before."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def spec(image: Image, **changes: Any) -> FleetSpec:
    same = {"OMP_NUM_THREADS": "1"}  # the same bytes in every answer
    whole = FleetSpec("ep", "cfg", "AllTraffic", image, same, "ml.m5.xlarge", 2, "models", "demo/")
    return replace(whole, **changes)


def close_to(lines: list[str], golden: list[str]) -> bool:
    def split(line: str) -> tuple[float, str]:
        probability, _, label = line.removeprefix("probability=").partition(", ")
        return float(probability), label

    pairs = list(zip(map(split, lines), map(split, golden), strict=True))
    return all(a[1] == b[1] and abs(a[0] - b[0]) < 1e-4 for a, b in pairs)

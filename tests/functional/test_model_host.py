"""Loads are given up when their worker dies, and not when its launcher leaves; real processes."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmectl.local.instance.hosted import NAME
from mmectl.local.instance.http_client import Answer
from mmectl.local.instance.model_host import WORKER_DIED, ModelHost

LOADED = Answer(200)


class Processes:
    """A launcher and a worker, as far as /proc would show them."""

    def __init__(self) -> None:
        self.launcher, self.worker = (subprocess.Popen(["sleep", "60"]) for _ in range(2))
        self.shown: list[subprocess.Popen[bytes]] = []
        self.hidden = 0

    def end(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()

    def pids(self) -> list[int]:
        if self.hidden:  # a list that lacks what starts while it is made
            self.hidden -= 1
            return []
        return [one.pid for one in self.shown if one.poll() is None]


class Runtime:
    """What of a runtime a load needs."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self.listens, self._processes = folder / "mms.sock", processes

    def admit(self, folder: Path) -> None:
        """All may be read."""

    def seen(self, folder: Path) -> str:
        return str(folder)

    def workers(self, folder: Path, model: str) -> list[int]:
        return self._processes.pids()


class Mms:
    """A server that answers a load when the test says so."""

    def __init__(self) -> None:
        self.done = asyncio.Event()

    async def load(self, *_: Any) -> Answer:
        await self.done.wait()
        return LOADED

    async def unload(self, *_: Any) -> Answer:
        return Answer(200)


@pytest.fixture
def processes() -> Iterator[Processes]:
    made = Processes()
    yield made
    made.end(made.launcher)
    made.end(made.worker)


@pytest.fixture
async def loading(processes: Processes, tmp_path: Path):
    """The server, and the load of a model whose launcher has just been seen."""
    mms: Any = Mms()
    runtime: Any = Runtime(tmp_path, processes)
    processes.shown = [processes.launcher]
    load = asyncio.create_task(ModelHost(mms, tmp_path, runtime).load("m", 60))
    await asyncio.sleep(0.1)
    return mms, load


async def test_a_launcher_may_leave(processes: Processes, loading) -> None:
    mms, load = loading
    processes.hidden = 1
    processes.shown.append(processes.worker)
    processes.end(processes.launcher)
    await asyncio.sleep(1.0)
    assert not load.done()
    mms.done.set()
    assert await load == LOADED


async def test_a_worker_may_not(processes: Processes, loading) -> None:
    _, load = loading
    processes.shown.append(processes.worker)
    processes.end(processes.launcher)
    await asyncio.sleep(0.3)
    processes.end(processes.worker)
    assert await asyncio.wait_for(load, 10) == WORKER_DIED


async def test_but_for_a_model_that_shares_a_process(
    processes: Processes, loading, tmp_path: Path
) -> None:
    mms, load = loading
    (tmp_path / f"{NAME}0").write_text("")
    processes.end(processes.launcher)
    await asyncio.sleep(1.0)
    assert not load.done()
    mms.done.set()
    assert await load == LOADED


async def test_one_that_is_answered_as_its_launcher_leaves_is_watched_no_longer(
    processes: Processes, loading, tmp_path: Path
) -> None:
    """As models that share a process do: both are heard of in one turn of the event loop."""
    (tmp_path / f"{NAME}0").touch()
    mms, load = loading
    processes.end(processes.launcher)
    mms.done.set()
    assert await load == LOADED
    await asyncio.sleep(0.3)
    assert "_worker_death" not in "".join(map(repr, asyncio.all_tasks()))

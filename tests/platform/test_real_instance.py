"""An instance with a real Multi Model Server, held to the contract that the fake one is held to."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from data_plane import kill, spec, until
from instance_contract import InstanceContract, ServerDeathContract, Subject

from mmectl.frameworks.mxnet.sample import picture, write_model
from mmectl.local.fleet.errors import model_name
from mmectl.local.instance import procfs
from mmectl.local.instance.instance import Instance
from mmectl.local.instance.process_runtime import MakeRuntime
from mmectl.local.instance.runtime_choice import PROCESS, RuntimeChoice, Runtimes
from mmectl.local.settings import RouterSettings
from mmectl.local.values import FleetSpec, Image, InvokeRequest


class Real:
    """A real instance."""

    def __init__(self, image: Image, folder: Path) -> None:
        runtimes = Runtimes(PROCESS, folder, folder, dict(os.environ))

        async def choose(spec: FleetSpec) -> tuple[RuntimeChoice, MakeRuntime]:
            choice = await runtimes.choose(spec)
            return choice, runtimes.maker(choice, spec, 1)

        self.server = Instance(
            spec(image),
            folder / "f",
            folder / "logs",
            state_dir=folder,
            settings=RouterSettings(backoff=0.01),
            choose=choose,
        )
        self.told: list[str] = []
        self.server.up = lambda: self.told.append("up")
        self.server.down = lambda: self.told.append("down")

    def unpack(self, target: str) -> InvokeRequest:
        folder = self.server.folder(model_name(target))
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        write_model(folder)
        return InvokeRequest(picture(), "image/bmp")

    async def kill_worker(self, target: str) -> None:
        name = model_name(target)
        kill(*procfs.working_in(self.server.folder(name)))
        await until(lambda: f"died {target}" in self.told)

    async def kill_server(self) -> None:
        assert self.server.pid is not None
        os.killpg(self.server.pid, signal.SIGKILL)
        await until(lambda: self.told[-1] == "down")

    async def recover(self) -> None:
        await until(lambda: self.told[-1] == "up", 60)


_real: type[Subject] = Real


async def started(image: Image, folder: Path) -> Real:
    real = Real(image, folder)
    await asyncio.wait_for(real.server.start(), 120)
    return real


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def subject(
    serving_image: Image, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Real]:
    """One instance in service for all cases."""
    real = await started(serving_image, tmp_path_factory.mktemp("i"))
    yield real
    await real.server.stop()


@pytest.mark.asyncio(loop_scope="module")
class TestRealInstance(InstanceContract):
    """Every case of an instance in service."""


class TestDeathOfRealInstance(ServerDeathContract):
    """Every case of a server that ends."""

    @pytest_asyncio.fixture
    async def subject(self, serving_image: Image, tmp_path: Path) -> AsyncIterator[Real]:
        real = await started(serving_image, tmp_path)
        yield real
        await real.server.stop()

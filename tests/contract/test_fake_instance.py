"""The fake instance of unit tests, held to what the real one does."""

from __future__ import annotations

from pathlib import Path

import pytest_asyncio
from fakes.fleet import FakeServer
from instance_contract import InstanceContract, ServerDeathContract, Subject

from mmectl.local.fleet.errors import model_name
from mmectl.local.values import InvokeRequest


class Fake:
    """A fake instance, started."""

    def __init__(self, folder: Path) -> None:
        self.server = FakeServer(0, folder)
        self.server.memory = 1 << 20
        self.told: list[str] = []
        self.server.up = lambda: self.told.append("up")
        self.server.down = lambda: self.told.append("down")

    def unpack(self, target: str) -> InvokeRequest:
        folder = self.server.folder(model_name(target))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights").write_bytes(b"1")
        return InvokeRequest(b"{}")

    async def kill_worker(self, target: str) -> None:
        self.server.kill_worker(target)

    async def kill_server(self) -> None:
        self.server.fall()

    async def recover(self) -> None:
        self.server.rise()


_fake: type[Subject] = Fake


@pytest_asyncio.fixture
async def subject(tmp_path: Path) -> Fake:
    fake = Fake(tmp_path)
    await fake.server.start()
    return fake


class TestFakeInstance(InstanceContract):
    """Every case of an instance in service."""


class TestDeathOfFakeInstance(ServerDeathContract):
    """Every case of a server that ends."""

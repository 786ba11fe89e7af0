"""A data plane of fake instances for tests, and waiting for its tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fakes.fleet import (
    FakeServer,
    FakeStore,
    spec,
)
from mmectl.local.fleet.data_plane import DataPlane, RouterSettings
from mmectl.local.fleet.ports import Unpack
from mmectl.local.values import AwsError, FleetSpec, InvokeRequest, InvokeResponse

MB = 1 << 20
QUICK = RouterSettings(grace=0, memory=1000 * MB, model_base=100 * MB, model_factor=0)


class Plane:
    """A data plane of fake instances."""

    def __init__(
        self, folder: Path, settings: RouterSettings = QUICK, unpacker: Unpack | None = None
    ) -> None:
        self.store = FakeStore(folder)
        self.servers: list[FakeServer] = []
        self._folder = folder / "fleets"
        self.fleets = DataPlane(
            self._folder, self.store, settings, make_server=self._server, unpacker=unpacker
        )

    def _server(self, spec: FleetSpec, share: int) -> FakeServer:
        self.servers.append(FakeServer(len(self.servers), self._folder))
        return self.servers[-1]

    async def start(self, **changes: object) -> Plane:
        await self.fleets.start((spec(**changes),))
        return self

    async def invoke(self, target: str | None = "a.tar.gz", body: bytes = b"!") -> InvokeResponse:
        return await self.fleets.invoke("ep", "cfg", InvokeRequest(body, target_model=target))

    async def refusal(self, target: str | None = "a.tar.gz") -> AwsError:
        with pytest.raises(AwsError) as caught:
            await self.invoke(target)
        return caught.value

    def put(self, *names: str) -> None:
        for name in names:
            self.store.put(f"demo/{name}")


MakePlane = Callable[..., Awaitable[Plane]]


@pytest.fixture
def plane(tmp_path: Path) -> MakePlane:
    async def make(
        settings: RouterSettings = QUICK, unpacker: Unpack | None = None, **changes: object
    ) -> Plane:
        made = await Plane(tmp_path, settings, unpacker).start(**changes)
        made.put("a.tar.gz", "b.tar.gz", "c.tar.gz", "sub/d.tar.gz")
        return made

    return make


async def settle() -> None:
    """Let tasks run that wait for nothing but each other."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Let tasks and threads run until that holds."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "never happened"
        await asyncio.sleep(0)

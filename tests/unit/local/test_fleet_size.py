"""Fleets that gain and lose instances and change weights while they serve; target variants."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.fleet import FakeServer, FakeStore, spec

from mmectl.local.fleet.budgets import MachineBudgets
from mmectl.local.fleet.data_plane import DataPlane, RouterSettings
from mmectl.local.values import AwsError, FleetFailed, FleetSpec, InvokeRequest, InvokeResponse

MB = 1 << 20
QUICK = RouterSettings(grace=0, memory=1000 * MB, model_base=100 * MB, model_factor=0, drain=5)
MODELS = [f"{letter}.tar.gz" for letter in "abcdef"]


class Plane:
    """A data plane of fake instances; the `failing`-th that is made does not start."""

    def __init__(self, folder: Path, settings: RouterSettings = QUICK) -> None:
        self.store = FakeStore(folder)
        self.servers: list[FakeServer] = []
        self.failing: int | None = None
        self._folder = folder / "fleets"
        self.fleets = DataPlane(self._folder, self.store, settings, make_server=self._server)
        for name in MODELS:
            self.store.put(f"demo/{name}")

    def _server(self, spec: FleetSpec, share: int) -> FakeServer:
        server = FakeServer(len(self.servers), self._folder)
        server.failing = "no Java" if self.failing == len(self.servers) else None
        self.servers.append(server)
        return server

    async def invoke(self, target: str = "a.tar.gz", variant: str | None = None) -> InvokeResponse:
        request = InvokeRequest(b"!", target_model=target, target_variant=variant)
        return await self.fleets.invoke("ep", "cfg", request)

    def states(self) -> list[str]:
        return [server.state for server in self.servers]


@pytest.fixture
async def plane(tmp_path: Path) -> Plane:
    made = Plane(tmp_path)
    await made.fleets.start((spec(instance_count=2),))
    return made


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "never happened"
        await asyncio.sleep(0)


async def test_growing_keeps_what_is_loaded(plane: Plane) -> None:
    before = {name: (await plane.invoke(name)).body for name in MODELS}
    await plane.fleets.resize((spec(instance_count=4),))

    assert plane.states() == ["InService"] * 4
    assert {name: (await plane.invoke(name)).body for name in MODELS} == before
    assert sum(s.count("load", name) for s in plane.servers for name in MODELS) == len(MODELS)
    assert len(plane.fleets.describe("ep", "cfg")) == 4


async def test_shrinking_keeps_what_stays_loaded(plane: Plane) -> None:
    for name in MODELS[:3]:
        await plane.invoke(name)
    await plane.fleets.resize((spec(instance_count=1),))
    staying = next(s for s in plane.servers if s.state == "InService")

    assert sorted(plane.states()) == ["InService", "Stopped"]
    assert len(staying.loaded) == 2, "the one with the fewest models went"
    answers = {(await plane.invoke(name)).body for name in MODELS}
    assert answers == {staying.id.encode() + b"!"}
    (row,) = plane.fleets.describe("ep", "cfg")
    assert row["instance_id"] == staying.id


async def test_what_goes_finishes_its_requests(plane: Plane) -> None:
    await plane.invoke("a.tar.gz")
    await plane.invoke("b.tar.gz")
    leaving = plane.servers[0]
    plane.servers[1].loaded.add("x")
    gate = leaving.gate("invoke", "a.tar.gz")
    held = asyncio.create_task(plane.invoke("a.tar.gz"))
    await until(lambda: leaving.count("invoke", "a.tar.gz") == 2)
    await plane.invoke("c.tar.gz")
    await plane.invoke("d.tar.gz")
    await plane.fleets.resize((spec(instance_count=3),))
    shrinking = asyncio.create_task(plane.fleets.resize((spec(instance_count=1),)))
    await until(lambda: plane.servers[2].state == "Stopped")
    answer = asyncio.create_task(plane.invoke("a.tar.gz"))
    gate.set()

    assert (await held).body == b"i-0!"
    assert (await answer).body.endswith(b"!")
    await shrinking
    assert plane.states().count("InService") == 1


async def test_a_load_on_what_goes_is_waited_for(plane: Plane) -> None:
    for name in MODELS[:2]:
        await plane.invoke(name)
    gates = [server.gate("load", "c.tar.gz") for server in plane.servers]
    waiting = asyncio.create_task(plane.invoke("c.tar.gz"))
    await until(lambda: any(s.count("load", "c.tar.gz") for s in plane.servers))
    shrinking = asyncio.create_task(plane.fleets.resize((spec(instance_count=1),)))
    await asyncio.sleep(0)
    for gate in gates:
        gate.set()

    assert (await waiting).body.endswith(b"!")
    await shrinking
    assert plane.states().count("InService") == 1


async def test_a_request_that_does_not_end_goes_elsewhere(tmp_path: Path) -> None:
    plane = Plane(tmp_path, replace(QUICK, drain=0.01))
    await plane.fleets.start((spec(instance_count=2),))
    for name in MODELS[:2]:
        await plane.invoke(name)
    first = plane.servers[0]
    first.gate("invoke", "a.tar.gz")
    held = asyncio.create_task(plane.invoke("a.tar.gz"))
    await until(lambda: first.count("invoke", "a.tar.gz") == 2)
    stop = first.stop

    async def stop_and_fall() -> None:
        first.fall()
        await stop()

    first.stop = stop_and_fall  # type: ignore[method-assign]
    first.state = "Restarting"  # so that it is the one that goes
    await plane.fleets.resize((spec(instance_count=1),))

    assert (await held).body == b"i-1!"


async def test_no_request_fails_while_the_size_changes(plane: Plane) -> None:
    done: Counter[str] = Counter()
    running = True

    async def client(number: int) -> None:
        while running:
            await plane.invoke(MODELS[number % len(MODELS)])
            done["answers"] += 1
            await asyncio.sleep(0)

    clients = [asyncio.create_task(client(number)) for number in range(8)]
    for count in (4, 1, 3, 2, 5, 1):
        await plane.fleets.resize((spec(instance_count=count),))
        enough = done["answers"] + 20
        await until(lambda: done["answers"] > enough)  # noqa: B023 - it is over with the turn
    running = False
    await asyncio.gather(*clients)

    assert plane.states().count("InService") == 1
    assert set(plane.states()) == {"InService", "Stopped"}


async def test_an_instance_that_does_not_start_leaves_the_others(plane: Plane) -> None:
    await plane.invoke()
    plane.failing = 3
    with pytest.raises(FleetFailed, match="no Java"):
        await plane.fleets.resize((spec(instance_count=4),))

    assert plane.states() == ["InService", "InService", "Stopped", "Stopped"]
    assert (await plane.invoke()).body == b"i-0!"
    assert len(plane.fleets.describe("ep", "cfg")) == 2


async def test_two_variants_grow_together_or_not_at_all(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    await plane.fleets.start((spec(variant="one"), spec(variant="two")))
    plane.failing = 4
    with pytest.raises(FleetFailed, match="no Java"):
        await plane.fleets.resize(
            (spec(variant="one", instance_count=2), spec(variant="two", instance_count=3))
        )
    rows = plane.fleets.describe("ep", "cfg")
    assert [row["variant"] for row in rows] == ["one", "two"]


async def test_weights_change_without_new_instances(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    one, two = spec(variant="one", weight=1.0), spec(variant="two", weight=0.0)
    await plane.fleets.start((one, two))
    before = {(await plane.invoke()).variant for _ in range(8)}
    await plane.fleets.resize((replace(one, weight=0.0), replace(two, weight=1.0)))
    after = {(await plane.invoke()).variant for _ in range(8)}

    assert (before, after) == ({"one"}, {"two"})
    assert plane.states() == ["InService"] * 2


async def test_what_does_not_run_cannot_be_changed(plane: Plane) -> None:
    with pytest.raises(FleetFailed, match="do not run"):
        await plane.fleets.resize((spec(config="other"),))


async def test_a_growth_that_is_called_off_leaves_nothing(plane: Plane) -> None:
    never = asyncio.Event()

    class Slow(FakeServer):
        async def start(self) -> None:
            await never.wait()

    def slow(spec: FleetSpec, share: int) -> FakeServer:
        plane.servers.append(Slow(len(plane.servers), plane._folder))
        return plane.servers[-1]

    plane.fleets._make_server = slow
    growing = asyncio.create_task(plane.fleets.resize((spec(instance_count=3),)))
    await until(lambda: len(plane.servers) == 3)
    growing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await growing

    assert plane.states() == ["InService", "InService", "Stopped"]
    assert len(plane.fleets.describe("ep", "cfg")) == 2


async def test_a_target_variant_is_asked_whatever_its_weight(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    await plane.fleets.start((spec(variant="one", weight=0.0), spec(variant="two")))
    answers = [await plane.invoke(variant="one") for _ in range(4)]

    assert {answer.variant for answer in answers} == {"one"}


@pytest.mark.parametrize("wrong", ["three", "ONE", ""])
async def test_a_variant_that_there_is_not(plane: Plane, wrong: str) -> None:
    with pytest.raises(AwsError) as caught:
        await plane.invoke(variant=wrong)

    assert (caught.value.code, caught.value.status) == ("ValidationError", 400)
    assert caught.value.message == f"Variant {wrong} not found for Request."


async def test_a_download_that_takes_too_long(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    await plane.fleets.start((spec(download_timeout=0.0),))
    with pytest.raises(AwsError) as caught:
        await plane.invoke()

    assert (caught.value.code, caught.value.status) == ("ModelError", 424)
    assert caught.value.members["OriginalMessage"] == (
        "Failed to download model data for TargetModel a.tar.gz within "
        "ModelDataDownloadTimeoutInSeconds (0 seconds)."
    )
    assert plane.servers[0].count("load", "a.tar.gz") == 0


async def test_a_start_in_vain_takes_no_budget_from_others(plane: Plane) -> None:
    changed: list[int] = []
    (fleet,) = plane.fleets._entries["ep", "cfg"].fleets
    fleet.limit = lambda memory, disk: changed.append(memory)  # type: ignore[method-assign]
    plane.failing = 2
    with pytest.raises(FleetFailed, match="no Java"):
        await plane.fleets.start((spec(endpoint="other", instance_count=1),))
    assert changed == []
    plane.failing = None
    await plane.fleets.start((spec(endpoint="other", instance_count=1),))
    assert len(changed) == 1


async def test_disk_that_was_full_is_divided_when_it_is_free_again(plane: Plane) -> None:
    free = [0]
    shares = MachineBudgets(Path("/"), RouterSettings(), lambda: 1 << 40, lambda folder: free[0])
    limits: list[int] = []
    fleets = plane.fleets._entries["ep", "cfg"].fleets
    fleets[0].limit = lambda memory, disk: limits.append(disk)  # type: ignore[method-assign]
    shares.join(fleets)
    for now in (0, 20 << 30, 21 << 30, 10 << 30):
        free[0] = now
        shares.refresh()
    assert limits == [0, (20 << 30) * 9 // 20]

"""What the data plane counts, with clocks that are turned."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from fakes.fleet import FakeServer, FakeStore, error, spec

from mmectl.local.fleet.data_plane import DataPlane, RouterSettings
from mmectl.local.fleet.metering import Meter, Trace
from mmectl.local.values import AwsError, InvokeRequest

MB = 1 << 20
QUICK = RouterSettings(grace=0, memory=250 * MB, model_base=100 * MB, model_factor=0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Plane:
    """One variant of two fake instances that hold two models each, and what it counted."""

    def __init__(self, folder: Path) -> None:
        self.counted: dict[str, list[float]] = defaultdict(list)
        self.servers: list[FakeServer] = []
        self.store = FakeStore(folder)
        self.fleets = DataPlane(
            folder / "fleets",
            self.store,
            QUICK,
            make_server=self._server,
            puts=lambda spec: lambda name, value: self.counted[name].append(value),
            puts_by_instance=lambda spec: self.count if spec.enhanced else None,
        )
        self._folder = folder / "fleets"

    def _server(self, spec, share) -> FakeServer:
        self.servers.append(FakeServer(len(self.servers), self._folder))
        return self.servers[-1]

    def count(self, instance: str, name: str, value: float) -> None:
        self.counted[f"{instance} {name}"].append(value)

    async def invoke(self, target: str) -> None:
        await self.fleets.invoke("ep", "cfg", InvokeRequest(b"!", target_model=target))

    def live(self) -> list[Any]:
        return [row["live"] for row in self.fleets.describe("ep", "cfg")]


@pytest.fixture
async def plane(tmp_path):
    made = Plane(tmp_path)
    for name in "abcdef":
        made.store.put(f"demo/{name}.tar.gz")
    await made.fleets.start((spec(instance_count=2),))
    yield made
    await made.fleets.close()


async def test_loads_and_evictions_by_model(plane):
    for target in ("a.tar.gz", "b.tar.gz", "a.tar.gz", "c.tar.gz", "d.tar.gz", "e.tar.gz"):
        await plane.invoke(target)
    found = plane.fleets.moves("ep", 3600)
    loads = {row["target_model"]: row["loads"] for row in found}
    assert loads == {f"{name}.tar.gz": 1 for name in "abcde"}
    assert sum(row["evictions"] for row in found) == 1
    assert plane.fleets.moves("ep", 0) == plane.fleets.moves("another", 3600) == []


async def test_enhanced_metrics_are_those_of_the_instance_that_answered(tmp_path):
    plane = Plane(tmp_path)
    plane.store.put("demo/a.tar.gz")
    await plane.fleets.start((spec(instance_count=2, enhanced=True),))
    for _ in range(3):
        await plane.invoke("a.tar.gz")
    by_instance = {name: values for name, values in plane.counted.items() if " " in name}
    assert sum(len(v) for n, v in by_instance.items() if n.endswith(" Invocations")) == 3
    assert sum(len(v) for n, v in by_instance.items() if n.endswith(" ModelLatency")) == 3
    assert not any(n.endswith("ModelCacheHit") for n in by_instance)
    await plane.fleets.close()


async def test_hits_and_misses(plane):
    for target in ("a.tar.gz", "a.tar.gz", "b.tar.gz"):
        await plane.invoke(target)
    counted = plane.counted
    assert counted["Invocations"] == [1, 1, 1]
    assert counted["InvocationsPerInstance"] == [0.5, 0.5, 0.5]
    assert counted["ModelCacheHit"] == [0, 1, 0]
    assert (len(counted["ModelLatency"]), len(counted["OverheadLatency"])) == (3, 3)
    assert len(counted["ModelLoadingWaitTime"]) == 2
    assert (len(counted["ModelLoadingTime"]), len(counted["ModelDownloadingTime"])) == (2, 2)
    assert sum(live["requests"] for live in plane.live()) == 3
    assert sum(live["hits"] for live in plane.live()) == 1
    assert sum(live["loads"] for live in plane.live()) == 2


async def test_unloads(plane):
    for name in "abcdef":
        await plane.invoke(f"{name}.tar.gz")
    assert len(plane.counted["ModelUnloadingTime"]) == 2
    assert sum(live["evictions"] for live in plane.live()) == 2


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        (error(400, "Bad", "no picture"), (1, 0, 1)),
        (error(500, "Wrong", "ValueError: x"), (0, 1, 1)),
    ],
)
async def test_errors_of_the_model(plane, answer, counts):
    await plane.invoke("a.tar.gz")
    for server in plane.servers:
        server.will("invoke", "a.tar.gz", answer)
    with pytest.raises(AwsError, match=r"error \("):
        await plane.invoke("a.tar.gz")
    names = ("Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors")
    assert tuple(plane.counted[name][-1] for name in names) == counts
    assert sum(live["errors"] for live in plane.live()) == 1


async def test_a_model_that_does_not_exist(plane):
    with pytest.raises(AwsError):
        await plane.invoke("nobody.tar.gz")
    assert plane.counted["Invocation4XXErrors"] == [1]
    assert plane.counted["InvocationModelErrors"] == [0]
    assert plane.counted["ModelLatency"] == []


async def test_a_refused_request_is_no_hit(plane):
    with pytest.raises(AwsError):
        await plane.invoke("../a.tar.gz")
    assert plane.counted["Invocation4XXErrors"] == [1]
    assert plane.counted["ModelCacheHit"] == []


def test_the_last_minute():
    clock = Clock()
    meter = Meter(clock=clock)
    for instance, took in [("i-1", 0.010), ("i-1", 0.030), ("i-2", 1.0)]:
        with meter.invocation(2) as trace, trace.serving(instance, clock):
            clock.now += took
    clock.now = 1010.0
    live = meter.live("i-1")
    assert (live["requests"], live["requests_per_second"], live["window"]) == (2, 0.2, 10.0)
    assert (live["p50_ms"], live["p99_ms"]) == (10.0, 30.0)
    clock.now += 61
    assert meter.live("i-1") == {
        "window": 60.0,
        "requests": 0,
        "requests_per_second": 0.0,
        "errors": 0,
        "hits": 0,
        "p50_ms": None,
        "p99_ms": None,
        "loads": 0,
        "evictions": 0,
    }


def test_waiting_is_overhead_and_not_latency():
    clock, counted = Clock(), {}
    meter = Meter(counted.__setitem__, clock=clock)
    with meter.invocation(1) as trace:
        with trace.waiting(clock):
            clock.now += 2
        with trace.serving("i-1", clock):
            clock.now += 0.5
        clock.now += 0.25
    assert counted["ModelLoadingWaitTime"] == 2_000_000
    assert counted["ModelLatency"] == 500_000
    assert counted["OverheadLatency"] == 2_250_000


def test_a_failed_load_is_not_timed():
    counted = {}
    meter = Meter(counted.__setitem__)
    with pytest.raises(AwsError), meter.timed("ModelLoadingTime"):
        raise AwsError("ModelError", "no")
    assert counted == {}


@pytest.mark.parametrize(
    ("trace", "seconds"),
    [
        (Trace(waited=0.5, served=0.1, downloaded=0.1, loaded=0.3), (0.1, 0.1, 0.3, 0.1)),
        (Trace(waited=0.2, served=0.1, downloaded=0.4, loaded=0.1), (0.0, 0.1, 0.1, 0.1)),
        (Trace(waited=0.1, served=0.1, downloaded=0.4, loaded=0.3), (0.0, 0.0, 0.1, 0.1)),
        (Trace(served=0.1), (0.0, 0.0, 0.0, 0.1)),
    ],
)
def test_where_the_time_of_a_request_went_adds_up(trace, seconds):
    """One that came while others had begun the load waits for its end alone."""
    assert tuple(trace.seconds.values()) == pytest.approx(seconds)

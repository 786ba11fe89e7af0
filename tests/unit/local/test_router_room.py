"""Memory and disk of instances: models that go so that others fit."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

from fakes.fleet import (
    CONFLICT,
    NO_MEMORY,
    archive,
    spec,
)
from fakes.planes import MB, QUICK, MakePlane, Plane, plane, settle, until

from mmectl.archive.unpack import DiskFullError, FaultError
from mmectl.local.fleet.copies import unpack_fresh
from mmectl.local.fleet.errors import model_name
from mmectl.local.values import InvokeResponse

__all__ = ["plane"]


def described(plane: Plane, endpoint: str = "ep") -> list[Any]:
    """What is told of each instance."""
    return list(plane.fleets.describe(endpoint, "cfg"))


def evictions(plane: Plane) -> int:
    """How many models left the only instance by the fleet's will."""
    return int(described(plane)[0]["live"]["evictions"])


async def test_idle_models_make_room(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=200 * MB))
    for name in ("a.tar.gz", "b.tar.gz", "a.tar.gz", "c.tar.gz"):
        await p.invoke(name)
    (server,) = p.servers
    assert [server.holds(n) for n in ("a.tar.gz", "b.tar.gz", "c.tar.gz")] == [True, False, True]
    await p.invoke("b.tar.gz")
    assert p.store.asked["demo/b.tar.gz"] == 1  # its files were still there
    assert not server.holds("a.tar.gz")


async def test_a_busy_model_is_waited_for(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=100 * MB))
    await p.invoke()
    gate = p.servers[0].gate("invoke", "a.tar.gz")
    busy = asyncio.create_task(p.invoke())
    await until(lambda: p.servers[0].count("invoke", "a.tar.gz") == 2)
    other = asyncio.create_task(p.invoke("b.tar.gz"))
    await settle()
    assert p.servers[0].count("load", "b.tar.gz") == 0
    gate.set()
    assert (await busy).body == b"i-0!"
    assert (await other).body == b"i-0!"
    assert not p.servers[0].holds("a.tar.gz")


async def test_a_busy_model_is_not_waited_for_for_ever(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=100 * MB, admission=0.01))
    await p.invoke()
    gate = p.servers[0].gate("invoke", "a.tar.gz")
    busy = asyncio.create_task(p.invoke())
    await until(lambda: p.servers[0].count("invoke", "a.tar.gz") == 2)
    refusal = await p.refusal("b.tar.gz")
    assert refusal.members["OriginalStatusCode"] == 507
    assert "in use" in refusal.message
    gate.set()
    await busy


async def test_a_model_in_use_gives_way(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=100 * MB, give_way=0))
    (server,) = p.servers
    await p.invoke()
    gate = server.gate("invoke", "a.tar.gz")
    busy = asyncio.create_task(p.invoke())
    await until(lambda: server.count("invoke", "a.tar.gz") == 2)
    other = asyncio.create_task(p.invoke("b.tar.gz"))
    await until(lambda: evictions(p) == 1)
    late = asyncio.create_task(p.invoke())  # would keep the model in use for ever
    await settle()
    assert server.count("invoke", "a.tar.gz") == 2
    assert server.holds("a.tar.gz")  # what it has it answers
    gate.set()
    assert [(await task).body for task in (busy, other, late)] == [b"i-0!"] * 3
    assert server.count("load", "a.tar.gz") == 2


async def test_a_model_in_use_that_gives_way_leaves_no_files_without_a_cache(
    plane: MakePlane,
) -> None:
    p = await plane(replace(QUICK, memory=100 * MB, give_way=0), cache_enabled=False)
    (server,) = p.servers
    gate = server.gate("invoke", "a.tar.gz")
    busy = asyncio.create_task(p.invoke())
    await until(lambda: server.count("invoke", "a.tar.gz") == 1)
    other = asyncio.create_task(p.invoke("b.tar.gz"))
    await until(lambda: evictions(p) == 1)
    gate.set()
    await asyncio.gather(busy, other)
    await until(lambda: not p.fleets.describe("ep", "cfg")[0]["on_disk"])


async def test_a_model_that_gives_way_too_slowly_is_not_alone_in_it(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=200 * MB, give_way=0, give_way_again=0))
    (server,) = p.servers
    gates = [server.gate("invoke", name) for name in ("a.tar.gz", "b.tar.gz")]
    slow = asyncio.create_task(p.invoke("a.tar.gz"))
    await until(lambda: server.count("invoke", "a.tar.gz") == 1)
    quick = asyncio.create_task(p.invoke("b.tar.gz"))
    await until(lambda: server.count("invoke", "b.tar.gz") == 1)
    other = asyncio.create_task(p.invoke("c.tar.gz"))
    await until(lambda: evictions(p) == 2)
    gates[1].set()
    await asyncio.gather(quick, other)
    assert not slow.done()
    gates[0].set()
    await slow


async def test_a_load_that_waits_learns_what_others_took(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=100 * MB, give_way=100))
    (server,) = p.servers
    server.memory = 20 * MB
    loading, answering = server.gate("load", "a.tar.gz"), server.gate("invoke", "a.tar.gz")
    first = asyncio.create_task(p.invoke("a.tar.gz"))
    await until(lambda: server.count("load", "a.tar.gz") == 1)
    second = asyncio.create_task(p.invoke("b.tar.gz"))  # nothing is known: it may need all
    await settle()
    loading.set()
    assert (await second).body == b"i-0!"
    assert not first.done()
    answering.set()
    await first


async def test_models_in_use_leave_where_another_grew(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=300 * MB))
    (server,) = p.servers
    server.memory = 90 * MB
    for name in ("a.tar.gz", "b.tar.gz"):
        await p.invoke(name)
    held = [await standing(p, name) for name in ("a.tar.gz", "b.tar.gz")]
    server.memory = 220 * MB
    for _ in range(6):  # the eighth in all is followed by a measurement
        await p.invoke("b.tar.gz")
    await until(lambda: evictions(p) == 1)
    for gate, task in held:
        gate.set()
        assert (await task).body == b"i-0!"
    await until(lambda: not server.holds("a.tar.gz"))
    assert server.holds("b.tar.gz")


async def standing(p: Plane, target: str) -> tuple[asyncio.Event, asyncio.Task[InvokeResponse]]:
    """A request that stands at a gate, which later ones do not."""
    (server,) = p.servers
    gate = server.gate("invoke", target)
    before = server.count("invoke", target)
    task = asyncio.create_task(p.invoke(target))
    await until(lambda: server.count("invoke", target) > before)
    server.open("invoke", target)
    return gate, task


async def test_a_model_is_measured_however_many_ask_at_once(plane: MakePlane) -> None:
    p = await plane()
    (server,) = p.servers
    server.memory = 10 * MB
    loading = server.gate("load", "a.tar.gz")
    asked = [asyncio.create_task(p.invoke()) for _ in range(3)]
    await until(lambda: server.count("load", "a.tar.gz") == 1)
    await settle()
    gate = server.gate("invoke", "a.tar.gz")
    loading.set()
    await until(lambda: server.count("invoke", "a.tar.gz") == 3)
    server.memory = 40 * MB
    gate.set()
    await asyncio.gather(*asked)
    await until(lambda: described(p)[0]["models"][0]["memory_mb"] == 40)


async def test_a_model_is_not_evicted_before_those_that_waited_for_it_were_answered(
    plane: MakePlane,
) -> None:
    p = await plane(replace(QUICK, memory=100 * MB))
    (server,) = p.servers
    names = ("a.tar.gz", "b.tar.gz", "c.tar.gz")
    for _ in range(3):
        answers = await asyncio.gather(*(p.invoke(name) for name in names))
        assert [answer.body for answer in answers] == [b"i-0!"] * 3
    loads = sum(server.count("load", name) for name in names)
    assert loads <= 9


async def test_a_model_too_wide_for_an_instance(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=99 * MB))
    (server,) = p.servers
    server.memory = 120 * MB
    for _ in range(2):
        refusal = await p.refusal()
        assert refusal.members["OriginalStatusCode"] == 507
        assert "it needs about 120 MB of memory, and an instance has 99 MB" in refusal.message
        assert not server.holds("a.tar.gz")
    assert server.count("load", "a.tar.gz") == 1  # what was measured is remembered
    server.memory = 60 * MB
    p.put("a.tar.gz")  # another object: nothing is known of it
    assert (await p.invoke()).body == b"i-0!"


async def test_a_model_whose_weights_exceed_an_instance_is_not_even_tried(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=20_000))
    p.store.put("demo/wide", archive(weights=bytes(range(200)) * 120))
    assert "of memory, and an instance has" in (await p.refusal("wide")).message
    assert p.servers[0].count("load", "wide") == 0


async def test_an_estimate_alone_refuses_no_model(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=99 * MB))
    assert (await p.invoke()).body == b"i-0!"


async def test_a_small_model_is_expected_to_take_what_its_like_took(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=190 * MB))
    p.servers[0].memory = 60 * MB
    for name in ("a.tar.gz", "b.tar.gz", "c.tar.gz"):  # 100 MB each would leave room for one
        await p.invoke(name)
    assert len(described(p)[0]["models"]) == 3


async def test_a_model_that_grows_is_measured_again(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=300 * MB))
    p.servers[0].memory = 90 * MB
    for name in ("a.tar.gz", "b.tar.gz"):
        await p.invoke(name)
    p.servers[0].memory = 220 * MB
    for _ in range(7):
        await p.invoke("b.tar.gz")
    await until(lambda: not p.servers[0].holds("a.tar.gz"))
    row = p.fleets.describe("ep", "cfg")[0]
    assert row["models"] == [
        {"target_model": "b.tar.gz", "memory_mb": 220, "in_flight": 0, "process": "own"}
    ]


async def test_what_a_twin_takes_counts_until_it_has_left(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, measured_again=0))
    p.servers[0].memory, p.servers[0].replicas = 36 * MB, 47 * MB

    def shown() -> int:
        (row,) = described(p)
        return int(row["models"][0]["memory_mb"])

    await p.invoke()
    await until(lambda: shown() == 83)
    p.servers[0].replicas = 0
    await until(lambda: shown() == 36)


async def test_copies_that_nobody_needs_any_more_are_given_up(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, spread_at=2), instance_count=2)
    await p.invoke()
    gates = [server.gate("invoke", "a.tar.gz") for server in p.servers]
    held = [asyncio.create_task(p.invoke()) for _ in range(4)]
    await until(lambda: p.servers[1].holds("a.tar.gz"))
    for gate in gates:
        gate.set()
    await asyncio.gather(*held)
    (fleet,) = p.fleets._entries["ep", "cfg"].fleets
    fleet.scale_in()  # many requests were there since the last look
    await settle()
    assert all(server.holds("a.tar.gz") for server in p.servers)
    fleet.scale_in()
    await settle()
    assert [server.holds("a.tar.gz") for server in p.servers].count(True) == 1
    fleet.scale_in()
    await settle()
    assert [server.holds("a.tar.gz") for server in p.servers].count(True) == 1


async def test_two_endpoints_share_the_machine(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=None, server_memory=0))
    p.fleets._budgets._memory = lambda: 500 * MB  # four fifths of it are for models
    p.fleets._budgets.divide()
    for name in ("a.tar.gz", "b.tar.gz", "c.tar.gz"):
        await p.invoke(name)
    assert p.fleets.describe("ep", "cfg")[0]["memory_limit_mb"] == 400
    await p.fleets.start((spec(endpoint="other"),))
    await until(lambda: not p.servers[0].holds("a.tar.gz"))
    rows = described(p) + described(p, "other")
    assert [row["memory_limit_mb"] for row in rows] == [200, 200]
    assert len(rows[0]["models"]) == 2
    await p.fleets.stop("other", "cfg")
    assert p.fleets.describe("ep", "cfg")[0]["memory_limit_mb"] == 400


async def test_measured_memory_counts(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=300 * MB))
    p.servers[0].memory = 160 * MB
    await p.invoke("a.tar.gz")
    await p.invoke("b.tar.gz")
    await settle()
    row = p.fleets.describe("ep", "cfg")[0]
    assert row["models"] == [
        {"target_model": "b.tar.gz", "memory_mb": 160, "in_flight": 0, "process": "own"}
    ]


async def test_507_at_load_evicts_and_tries_again(plane: MakePlane) -> None:
    p = await plane()
    (server,) = p.servers
    await p.invoke("a.tar.gz")
    await p.invoke("b.tar.gz")
    server.will("load", "c.tar.gz", NO_MEMORY)
    assert (await p.invoke("c.tar.gz")).body == b"i-0!"
    assert not server.holds("a.tar.gz")
    assert server.holds("b.tar.gz")
    assert server.count("unload", "c.tar.gz") == 1  # the ghost


async def test_507_with_nothing_left_to_evict(plane: MakePlane) -> None:
    p = await plane()
    p.servers[0].will("load", "a.tar.gz", NO_MEMORY)
    refusal = await p.refusal()
    assert refusal.members["OriginalStatusCode"] == 507
    assert "not enough memory" in refusal.message
    assert (await p.invoke()).body == b"i-0!"
    assert p.store.asked["demo/a.tar.gz"] == 1  # the files were good


async def test_a_model_that_emptied_an_instance_in_vain_does_so_once(plane: MakePlane) -> None:
    p = await plane()
    await p.invoke("b.tar.gz")
    p.servers[0].will("load", "a.tar.gz", NO_MEMORY, NO_MEMORY)
    assert "not enough memory" in (await p.refusal("a.tar.gz")).message
    assert not p.servers[0].holds("b.tar.gz")
    await p.invoke("b.tar.gz")
    assert "an instance that held nothing else" in (await p.refusal("a.tar.gz")).message
    assert p.servers[0].holds("b.tar.gz")
    p.put("a.tar.gz")  # another object: what lay on the disk of the old one is of no use
    assert (await p.invoke("a.tar.gz")).body == b"i-0!"


async def test_a_load_that_failed_and_is_still_registered_is_loaded_anew(plane: MakePlane) -> None:
    p = await plane()
    p.servers[0].will("load", "a.tar.gz", CONFLICT, CONFLICT)
    assert (await p.invoke("a.tar.gz")).body == b"i-0!"
    assert p.servers[0].calls["load", model_name("a.tar.gz")] == 3


async def test_507_at_invoke_evicts_once(plane: MakePlane) -> None:
    p = await plane()
    await p.invoke("b.tar.gz")
    p.servers[0].will("invoke", "a.tar.gz", NO_MEMORY)
    assert (await p.invoke("a.tar.gz")).body == b"i-0!"
    assert not p.servers[0].holds("b.tar.gz")
    p.servers[0].will("invoke", "a.tar.gz", NO_MEMORY, NO_MEMORY)
    assert (await p.refusal("a.tar.gz")).members["OriginalStatusCode"] == 507


async def test_the_disk_budget(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, disk=25_000))
    for name in ("x", "y", "z"):
        p.store.put(f"demo/{name}", archive(weights=bytes(range(200)) * 40))
        await p.invoke(name)
    row = p.fleets.describe("ep", "cfg")[0]
    assert row["on_disk"] == ["y", "z"]
    p.store.put("demo/big", archive(weights=bytes(range(200)) * 200))
    assert "of disk" in (await p.refusal("big")).message


async def test_an_archive_that_hides_its_size(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, disk=2_500_000))
    p.store.put("demo/first", archive(weights=bytes(1_000_000)))
    await p.invoke("first")
    # two gzip members: the trailer tells of the second only
    tar = gzip.decompress(archive(weights=bytes(range(250)) * 8_000))
    p.store.put("demo/two", gzip.compress(tar[:-5000]) + gzip.compress(tar[-5000:]))
    assert (await p.invoke("two")).body == b"i-0!"
    assert p.fleets.describe("ep", "cfg")[0]["on_disk"] == ["two"]


async def test_no_cache(plane: MakePlane) -> None:
    p = await plane(cache_enabled=False)
    assert (await p.invoke()).body == b"i-0!"
    await until(lambda: not p.fleets.describe("ep", "cfg")[0]["on_disk"])
    assert not p.servers[0].holds("a.tar.gz")
    assert (await p.invoke()).body == b"i-0!"
    assert p.store.asked["demo/a.tar.gz"] == 2


async def test_files_are_not_deleted_while_their_model_is_loaded_anew(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, disk=25_000))
    for name in ("x", "y"):
        p.store.put(f"demo/{name}", archive(weights=bytes(range(200)) * 40))
        await p.invoke(name)
    unloading = p.servers[0].gate("unload", "x")
    p.store.put("demo/z", archive(weights=bytes(range(200)) * 80))
    third = asyncio.create_task(p.invoke("z"))  # needs the disk of both
    await until(lambda: p.servers[0].count("unload", "x") == 1)
    first = asyncio.create_task(p.invoke("x"))
    await settle()
    unloading.set()
    assert [a.body for a in await asyncio.gather(third, first)] == [b"i-0!"] * 2
    assert p.fleets.describe("ep", "cfg")[0]["disk_used_mb"] == 0


async def test_a_full_disk_takes_the_files_of_others_first(
    plane: MakePlane,
) -> None:
    fails: list[DiskFullError] = []

    def unpacker(*arguments: Any) -> Any:
        if fails:
            raise fails.pop()
        return unpack_fresh(*arguments)

    p = await plane(unpacker=unpacker)
    for name in ("a.tar.gz", "b.tar.gz"):
        await p.invoke(name)
    fails += [DiskFullError("does not fit: the disk is full")] * 3
    refusal = await p.refusal("c.tar.gz")
    assert refusal.members["OriginalStatusCode"] == 507
    assert "the disk of this machine is full" in refusal.message
    assert p.fleets.describe("ep", "cfg")[0]["on_disk"] == []
    assert (await p.invoke("c.tar.gz")).body == b"i-0!"


async def test_an_archive_that_was_refused_is_not_read_again(plane: MakePlane) -> None:
    read: list[str] = []

    def unpacker(path: Path, *arguments: Any) -> Any:
        read.append(path.name)
        if len(read) == 1:
            raise FaultError("could not be written: Input/output error")
        return unpack_fresh(path, *arguments)

    p = await plane(unpacker=unpacker)
    p.store.put("demo/bad.tar.gz", b"no archive")
    assert "Input/output error" in (await p.refusal("bad.tar.gz")).message
    for _ in range(3):
        refusal = await p.refusal("bad.tar.gz")
        assert "is not gzip" in refusal.message
        assert refusal.members["OriginalStatusCode"] == 400
    assert len(read) == 2  # what the disk was to blame for is tried again
    p.put("bad.tar.gz")
    assert (await p.invoke("bad.tar.gz")).body == b"i-0!"


async def test_a_model_that_a_whole_instance_cannot_load_costs_the_others_nothing(
    plane: MakePlane,
) -> None:
    p = await plane()
    await p.invoke("b.tar.gz")
    (server,) = p.servers
    server.will("load", "a.tar.gz", NO_MEMORY)
    gate = server.gate("load", "a.tar.gz")
    refused = asyncio.create_task(p.refusal())
    await until(lambda: server.count("load", "a.tar.gz") == 1)
    server.log.append("it needs more memory than an instance has for models (1000 MB)")
    gate.set()
    for refusal in (await refused, await p.refusal()):
        assert refusal.members["OriginalStatusCode"] == 507
        assert "it needs more memory than an instance has" in refusal.message
    assert server.count("load", "a.tar.gz") == 1
    assert server.holds("b.tar.gz")
    p.put("a.tar.gz")
    assert (await p.invoke()).body == b"i-0!"

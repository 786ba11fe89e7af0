"""Workers and servers that die under requests to fleets of fake instances."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from fakes.fleet import (
    DIED,
    NO_WORKER,
    NOT_STARTED,
    UNKNOWN,
)
from fakes.planes import QUICK, MakePlane, plane, settle, until

from mmectl.local.instance.http_client import Answer, WireError

__all__ = ["plane"]


async def test_a_worker_killed_while_idle(plane: MakePlane) -> None:
    p = await plane()
    await p.invoke()
    p.servers[0].kill_worker("a.tar.gz")
    assert (await p.invoke()).body == b"i-0!"
    assert p.servers[0].count("unload", "a.tar.gz") == 1
    assert p.servers[0].count("load", "a.tar.gz") == 2
    assert p.store.asked["demo/a.tar.gz"] == 1


async def test_a_worker_killed_under_requests_that_hang(plane: MakePlane) -> None:
    p = await plane()
    await p.invoke()
    gate = p.servers[0].gate("invoke", "a.tar.gz")
    held = [asyncio.create_task(p.invoke()) for _ in range(3)]
    await until(lambda: p.servers[0].count("invoke", "a.tar.gz") == 4)
    p.servers[0].kill_worker("a.tar.gz")
    await until(lambda: p.servers[0].count("load", "a.tar.gz") == 2)
    gate.set()
    assert [answer.body for answer in await asyncio.gather(*held)] == [b"i-0!"] * 3


async def test_a_request_is_tried_again_after_a_death_and_blamed_after_two(
    plane: MakePlane,
) -> None:
    p = await plane()
    p.servers[0].will("invoke", "a.tar.gz", DIED)
    assert (await p.invoke()).body == b"i-0!"
    p.servers[0].will("invoke", "a.tar.gz", DIED, DIED)
    refusal = await p.refusal()
    assert refusal.code == "ModelError"
    assert 'server error (500) from primary with message "Worker died.' in refusal.message
    assert (await p.invoke()).body == b"i-0!"


@pytest.mark.parametrize("answer", [UNKNOWN, NO_WORKER])
async def test_a_model_that_the_server_lost(plane: MakePlane, answer: Answer) -> None:
    p = await plane()
    await p.invoke()
    p.servers[0].will("invoke", "a.tar.gz", answer)
    p.servers[0].dead.update(p.servers[0].loaded)
    assert (await p.invoke()).body == b"i-0!"
    assert p.servers[0].count("load", "a.tar.gz") == 2


async def test_a_dead_server_costs_nothing_where_another_serves(plane: MakePlane) -> None:
    p = await plane(instance_count=2)
    await p.invoke()
    gate = p.servers[0].gate("invoke", "a.tar.gz")
    held = asyncio.create_task(p.invoke())
    await until(lambda: p.servers[0].count("invoke", "a.tar.gz") == 2)
    p.servers[0].fall()
    assert (await held).body == b"i-1!"
    assert (await p.invoke()).body == b"i-1!"
    gate.set()


async def test_with_one_instance_the_request_waits_for_the_restart(plane: MakePlane) -> None:
    p = await plane()
    await p.invoke()
    p.servers[0].fall()
    waiting = asyncio.create_task(p.invoke())
    await settle()
    p.servers[0].rise()
    assert (await waiting).body == b"i-0!"
    assert p.store.asked["demo/a.tar.gz"] == 1


async def test_a_server_that_dies_during_a_load(plane: MakePlane) -> None:
    p = await plane(instance_count=2)
    p.servers[0].gate("load", "a.tar.gz")
    waiting = asyncio.create_task(p.invoke())
    await until(lambda: p.servers[0].count("load", "a.tar.gz") == 1)
    p.servers[0].fall()
    assert (await waiting).body == b"i-1!"


async def test_no_instance_left(plane: MakePlane) -> None:
    p = await plane()
    p.servers[0].fall()
    p.servers[0].state = "Failed"
    refusal = await p.refusal()
    assert (refusal.code, refusal.status) == ("ServiceUnavailable", 503)


async def test_lost_requests_are_not_tried_for_ever(plane: MakePlane) -> None:
    p = await plane()
    p.servers[0].will("invoke", "a.tar.gz", *[WireError("connection lost")] * 9)
    assert "The request was lost: connection lost" in (await p.refusal()).message
    assert p.servers[0].count("invoke", "a.tar.gz") == 5


async def test_a_model_whose_load_kills_is_not_loaded_at_every_request(plane: MakePlane) -> None:
    p = await plane()
    (server,) = p.servers
    server.will("load", "a.tar.gz", NOT_STARTED, NOT_STARTED)
    first, second = await p.refusal(), await p.refusal()
    assert first.message == second.message
    assert server.count("load", "a.tar.gz") == 2
    assert (await p.invoke("b.tar.gz")).body == b"i-0!"
    p.put("a.tar.gz")
    assert (await p.invoke()).body == b"i-0!"


async def test_a_model_whose_load_kills_is_tried_again_later(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, crash_backoff=0.0))
    p.servers[0].will("load", "a.tar.gz", NOT_STARTED, NOT_STARTED)
    await p.refusal()
    assert (await p.invoke()).body == b"i-0!"


async def test_one_death_in_a_load_condemns_nobody(plane: MakePlane) -> None:
    p = await plane()
    (server,) = p.servers
    for _ in range(3):
        server.will("load", "a.tar.gz", NOT_STARTED)
        assert (await p.invoke()).body == b"i-0!"
        server.kill_worker("a.tar.gz")
        await until(lambda: not server.holds("a.tar.gz"))
    assert (await p.invoke()).body == b"i-0!"

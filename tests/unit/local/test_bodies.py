"""BodyBudget for bodies whose senders nobody knows yet."""

from __future__ import annotations

import asyncio

import pytest

from mmectl.local.server.bodies import GRACE, SMALL, BodyBudget, patience
from mmectl.local.values import AwsError

BIG = SMALL + 1


async def hold(room, size, until, entered):
    async with room.of(size):
        entered.append(size)
        await until.wait()


async def turns(count=10):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_small_bodies_need_no_room():
    room = BodyBudget(0)
    async with room.of(SMALL), room.of(0):
        pass


async def test_large_ones_take_turns():
    room, until, entered = BodyBudget(3 * BIG), asyncio.Event(), []
    tasks = [asyncio.create_task(hold(room, BIG, until, entered)) for _ in range(10)]
    await turns()
    assert len(entered) == 3
    until.set()
    await asyncio.gather(*tasks)
    assert len(entered) == 10
    async with room.of(3 * BIG):
        pass


async def test_a_large_one_is_not_passed_for_ever():
    room, until, entered = BodyBudget(3 * BIG), asyncio.Event(), []
    sizes = (2 * BIG, 3 * BIG, BIG)
    tasks = [asyncio.create_task(hold(room, size, until, entered)) for size in sizes]
    await turns()
    assert entered == [2 * BIG]
    until.set()
    await asyncio.gather(*tasks)
    assert entered == list(sizes)


async def test_who_finds_no_room_is_told_so():
    room, until, entered = BodyBudget(BIG, wait=0.0), asyncio.Event(), []
    first = asyncio.create_task(hold(room, BIG, until, entered))
    await turns()
    for _ in range(3):
        with pytest.raises(AwsError) as caught:
            await hold(room, BIG, until, entered)
        assert (caught.value.code, caught.value.status) == ("ServiceUnavailable", 503)
    until.set()
    await first
    await hold(room, BIG, until, entered)
    assert entered == [BIG, BIG]


async def test_who_goes_away_leaves_the_room():
    room, until, entered = BodyBudget(BIG), asyncio.Event(), []
    tasks = [asyncio.create_task(hold(room, BIG, until, entered)) for _ in range(3)]
    await turns()
    tasks[1].cancel()
    tasks[0].cancel()
    await turns()
    assert entered == [BIG, BIG]
    until.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with room.of(BIG):
        pass


def test_everybody_gets_some_time_and_large_bodies_more():
    assert patience(0) == GRACE
    assert patience(6 * 1024 * 1024) == GRACE + 48

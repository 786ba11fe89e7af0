"""Waiting within a time: what is cancelled ends, whatever happens at that moment."""

from __future__ import annotations

import asyncio

import pytest

from mmectl.local.waiting import result_within, within


async def _soon() -> str:
    return "done"


async def _never() -> None:
    await asyncio.Event().wait()


async def test_the_result_of_what_ends_in_time() -> None:
    assert await result_within(10, _soon()) == "done"
    assert await within(10, _soon())


async def test_what_takes_longer_is_called_off() -> None:
    called_off = []

    async def work() -> None:
        try:
            await _never()
        finally:
            called_off.append(True)

    assert not await within(0.001, work())
    await asyncio.sleep(0)
    assert called_off
    with pytest.raises(asyncio.TimeoutError):
        await result_within(0, _never())


@pytest.mark.parametrize("error", [ValueError, asyncio.TimeoutError])
async def test_what_fails_fails(error: type[Exception]) -> None:
    async def work() -> None:
        raise error("no")

    with pytest.raises(error, match="no"):
        await within(10, work())


async def test_a_loop_that_is_cancelled_as_its_work_ends_ends() -> None:
    """Before Python 3.12 asyncio.wait_for loses the cancellation there, and the loop goes on."""
    ended, rounds = asyncio.Event(), []

    async def loop() -> None:
        while len(rounds) < 3:
            await within(10, ended.wait())
            rounds.append(True)

    task = asyncio.create_task(loop())
    for _ in range(3):  # until it waits
        await asyncio.sleep(0)
    ended.set()
    await asyncio.sleep(0)  # the work ends, and the loop has not heard of it
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not rounds

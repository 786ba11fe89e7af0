"""What is repeated in the background goes on after a failure, until it is stopped."""

from __future__ import annotations

import asyncio
import logging

from mmectl.local.metrics.background import Background


async def test_a_look_that_fails_is_logged_and_the_next_is_made(caplog):
    looks, third = 0, asyncio.Event()

    async def look():
        nonlocal looks
        looks += 1
        if looks == 1:
            raise ValueError("no such alarm")
        if looks == 3:
            third.set()

    background = Background("alarms")
    with caplog.at_level(logging.ERROR):
        background.repeat(look, lambda: asyncio.sleep(0), "the alarms could not be judged")
        await asyncio.wait_for(third.wait(), 5)
    assert await background.stop()
    assert not await background.stop()
    assert [record.message for record in caplog.records] == ["the alarms could not be judged"]
    assert "no such alarm" in caplog.text

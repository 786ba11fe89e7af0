"""Starts and resizes fleets; a failure gets a reason that says what to do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from mmectl.local.control.values import Fleet
from mmectl.local.values import FleetFailed, Fleets

log = logging.getLogger(__name__)


async def start(fleets: Fleets, fleet: Fleet | None) -> str | None:
    """Start a fleet; None when it is up, else why it is not."""
    if fleet is None or fleet.refusal is not None:
        return fleet.refusal if fleet else None
    return await attempt(fleets.start(fleet.specs))


async def attempt(work: Coroutine[Any, Any, None]) -> str | None:
    """Start or change a fleet; None when that worked, else why it did not."""
    starting = asyncio.ensure_future(work)
    try:
        await asyncio.wait([starting])
    finally:
        if not starting.done():
            starting.cancel()
            await asyncio.wait([starting])
    error = None if starting.cancelled() else starting.exception()
    if error is None or isinstance(error, FleetFailed):
        return error.reason if error else None
    log.error("fleet: %s", error, exc_info=error)
    return f"Internal failure: {type(error).__name__}: {error}"

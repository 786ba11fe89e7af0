"""Calls that take long, each on a thread that nobody waits for at the end.

`asyncio.to_thread` would keep Ctrl-C waiting for a command that hangs, and a few that hang would
keep all others waiting.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """What the function gives or raises; one that is cancelled goes on, and is not heard."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[T] = loop.create_future()

    def tell(setter: Callable[[Any], None], value: Any) -> None:
        if not found.done():
            setter(value)

    def run() -> None:
        told: tuple[Callable[[Any], None], Any]
        try:
            told = (found.set_result, function(*arguments))
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            told = (found.set_exception, _carried(error))
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, *told)

    threading.Thread(target=run, daemon=True).start()
    return await found


def _carried(error: BaseException) -> Exception:
    """What a future may carry: anything that would end the server is told as a failure."""
    return error if isinstance(error, Exception) else RuntimeError(f"it ended with {error!r}")

"""The front door in a thread of this process, with services and a clock of the test's choice."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

from aiohttp import web

from mmectl.base.values import Credentials
from mmectl.local.client.platform import Connection
from mmectl.local.server.bodies import patience
from mmectl.local.server.gateway import Gateway
from mmectl.local.server.handlers import body_limit
from mmectl.local.server.main import front, hosts

MINE = Credentials("AKIAFRONT", "secret")


async def nothing() -> None:
    """For services that need not be opened."""


@contextlib.contextmanager
def in_thread(
    serve: Callable[[queue.SimpleQueue[Any]], Coroutine[Any, Any, None]],
) -> Iterator[None]:
    """Run `serve` in a thread; it puts its loop and the event that ends it into the queue."""
    running: queue.SimpleQueue[Any] = queue.SimpleQueue()
    thread = threading.Thread(target=asyncio.run, args=(serve(running),))
    thread.start()
    loop, stop = running.get(timeout=60)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@contextlib.contextmanager
def serving(
    services: Mapping[str, Any],
    *,
    opening: Callable[[], Any] = nothing,
    closing: Callable[[], Any] = nothing,
    clock: Callable[[], float] = time.time,
    prepare: Callable[[socket.socket], None] = lambda listener: None,
    patience: Callable[[int], float] = patience,
    **options: Any,
) -> Iterator[Connection]:
    """Serve until the end of the block; `prepare` gets the socket, `front` the `options`."""
    listener = socket.create_server(("127.0.0.1", 0))
    prepare(listener)
    port = listener.getsockname()[1]

    async def serve(running: queue.SimpleQueue[Any]) -> None:
        stop = asyncio.Event()
        await opening()
        gateway = Gateway(MINE, hosts(port), services, body_limit, clock=clock, patience=patience)
        runner = web.ServerRunner(front(gateway, **options), shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        running.put((asyncio.get_running_loop(), stop))
        await stop.wait()
        await runner.cleanup()
        await closing()

    with in_thread(serve):
        yield Connection(f"http://127.0.0.1:{port}", "us-east-1", MINE, 0)

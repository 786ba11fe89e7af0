"""A console that runs beside a test, for a real browser; and commands with something to show."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fakes.console_site import Client, served
from mmectl.web.codes import Codes

SECONDS = 30.0


@contextmanager
def beside(answers: Any, live: Any = None, **how: Any) -> Iterator[tuple[Client, str]]:
    """A console on a thread of its own, and an address of it that signs in."""
    loop, codes = asyncio.new_event_loop(), Codes()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    console = served(answers, live, codes=codes, **how)
    try:
        client = asyncio.run_coroutine_threadsafe(console.__aenter__(), loop).result(SECONDS)
        try:
            yield client, f"{client.url}/#code={codes.issue()}"
        finally:
            ended = console.__aexit__(None, None, None)
            asyncio.run_coroutine_threadsafe(ended, loop).result(SECONDS)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

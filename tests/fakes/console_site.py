"""A console that runs, for tests of its pages over HTTP."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, web

from fakes.console import Said
from mmectl.web.guard import Guard
from mmectl.web.site import Site

TOKEN = {"Authorization": "Bearer secret"}


class Client:
    """A console that runs, and the requests of a page of it."""

    def __init__(self, session: ClientSession, commands: Any, port: int) -> None:
        self.session, self.commands = session, commands
        self.url = f"http://127.0.0.1:{port}"

    async def get(self, path: str, headers: Any = TOKEN) -> Any:
        async with self.session.get(self.url + path, headers=headers) as answer:
            return answer.status, await answer.text(), answer.headers

    async def post(self, path: str, data: Any, headers: Any = TOKEN) -> Any:
        async with self.session.post(self.url + path, data=data, headers=headers) as answer:
            return answer.status, await answer.text()


@asynccontextmanager
async def served(
    answers: Any,
    live: Any = None,
    *,
    codes: Any = None,
    history: Any = None,
    read_only: bool = False,
) -> AsyncIterator[Client]:
    """A console over real HTTP, with commands that are handed in or made of answers."""
    commands = Said(answers) if isinstance(answers, Mapping) else answers
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        site = Site(
            commands, Guard("secret", port), live, codes=codes, history=history, read_only=read_only
        )
        runner = site.runner()
        await runner.setup()
        await web.SockSite(runner, listener).start()
        try:
            async with ClientSession() as session:
                yield Client(session, commands, port)
        finally:
            await runner.cleanup()

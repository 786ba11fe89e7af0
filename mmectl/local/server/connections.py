"""Bounds the HTTP server's connections: their number, and the size and time of a head.

Whoever is not asking anything right now makes room for somebody new: a client with a kept
connection opens another one, and who only holds connections cannot keep others out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

MOST = 2048
MAX_HEAD = 64 * 1024  # bytes of request line and headers together

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _Connection(RequestHandler):
    """A connection that ends when a head gets too long."""

    __slots__ = ("_head",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waiter = self._waiter
        reading = not self._messages and waiter is not None and not waiter.done()
        self._head = self._head + len(data) if reading else 0
        if self._head > MAX_HEAD and self.transport is not None:
            self.transport.abort()


class Connections(web.Server):
    """A server with at most `most` connections; `options` are those of aiohttp's."""

    def __init__(self, handler: Handler, *, most: int = MOST, **options: Any) -> None:
        super().__init__(self._serve, **options)
        self._answer, self._most = handler, most
        self._open: dict[RequestHandler, asyncio.Transport] = {}
        self._idle: dict[RequestHandler, None] = {}  # the longest without a request first

    def __call__(self) -> RequestHandler:
        """The protocol of a connection, as the event loop asks for it."""
        return _Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection, and let another one go for it."""
        super().connection_made(handler, transport)
        self._open[handler] = transport
        self._idle[handler] = None
        if len(self._open) > self._most:
            longest = next(iter(self._idle))
            self._open[longest].abort()
            self._gone(longest)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a connection."""
        super().connection_lost(handler, exc)
        self._gone(handler)

    def _gone(self, handler: RequestHandler) -> None:
        self._open.pop(handler, None)
        self._idle.pop(handler, None)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        handler = request.protocol
        self._idle.pop(handler, None)
        try:
            return await self._answer(request)
        finally:
            if handler in self._open:
                self._idle[handler] = None

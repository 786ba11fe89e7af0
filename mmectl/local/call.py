"""One authenticated HTTP request on its way to the service that answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol
from urllib.parse import unquote_to_bytes

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from mmectl.base.policies import Asked
from mmectl.local.auth import sigv2
from mmectl.local.auth.claims import Claim, pairs
from mmectl.local.values import AwsError
from mmectl.local.waiting import result_within

IDLE = 60.0  # seconds without a byte before a body is given up
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def unquote(raw: str) -> str:
    """Percent-decode; bytes that are not UTF-8 are kept as surrogates."""
    return unquote_to_bytes(raw.encode("utf-8", "surrogateescape")).decode(
        "utf-8", "surrogateescape"
    )


def _merged(given: CIMultiDictProxy[str], more: Mapping[str, str]) -> CIMultiDictProxy[str]:
    both = CIMultiDict(given)
    both.extend(more)
    return CIMultiDictProxy(both)


def owner_may(_: Asked) -> str:
    """What a call with the project's own key may do: everything."""
    return "allowed"


@dataclass
class Call:
    """A request: `path` and `query` raw; `key` the signing key once the signature is verified.

    `payload` is the whole body, verified, for every service but S3, which streams it. `may` judges
    what stands in such a body: what the caller's policies say ("allowed", or not).
    """

    request: web.BaseRequest
    path: str
    query: str
    claim: Claim
    request_id: str
    key: bytes = b""
    payload: bytes = b""
    continued: bool = False
    may: Callable[[Asked], str] = owner_may

    @cached_property
    def _fields(self) -> dict[str, str]:
        """The query, decoded."""
        return dict(pairs(self.query))

    @cached_property
    def params(self) -> dict[str, str]:
        """The query, decoded, without what belongs to a signature or stands for a header."""
        return {name: value for name, value in self._fields.items() if not self._moved(name)}

    def _moved(self, name: str) -> bool:
        lowered = name.lower()
        return lowered.startswith("x-amz-") or (
            self.claim.presigned and (name in sigv2.PARAMS or lowered in sigv2.HEADERS)
        )

    @cached_property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers; ``x-amz-`` ones that a presigned URL carries in its query are among them."""
        given = self.request.headers
        moved = {
            name: value
            for name, value in self._fields.items()
            if name.lower().startswith("x-amz-") and name not in given
        }
        return _merged(given, moved) if moved else given

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return self.headers.get(name)

    @property
    def expects(self) -> bool:
        """Whether the client holds the body back until it is told to go on."""
        return (self.header("Expect") or "").lower() == "100-continue"

    async def go_on(self) -> None:
        """Tell a client that waits for it to send the body."""
        if self.expects and not self.continued:
            self.continued = True
            await self.request.writer.write(CONTINUE)
            await self.request.writer.drain()

    async def body(self, limit: int, seconds: float) -> bytes:
        """The whole body, which must come within so many seconds; raises AwsError.

        RequestEntityTooLarge above `limit` bytes, RequestTimeout when it comes too slowly.
        """
        length = self.request.content_length
        if length is not None and length > limit:
            raise too_large(limit)
        if length == 0 or not self.request.can_read_body:
            return b""
        await self.go_on()
        stream = self.request.content
        parts: list[bytes] = []
        size = 0
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        while not stream.at_eof():
            data = await next_bytes(stream, until - clock())
            size += len(data)
            if size > limit:
                raise too_large(limit)
            parts.append(data)
        return b"".join(parts)


class Stream(Protocol):
    """A raw body, as aiohttp's StreamReader."""

    async def readany(self) -> bytes:
        """The next bytes, or b"" at the end."""
        ...


async def next_bytes(stream: Stream, idle: float = IDLE) -> bytes:
    """The next bytes of a body; an AwsError RequestTimeout after `idle` seconds without."""
    try:
        return await result_within(idle, stream.readany())
    except asyncio.TimeoutError:
        raise timed_out() from None


def timed_out() -> AwsError:
    """The answer to a body that does not come."""
    return AwsError(
        "RequestTimeout",
        "Your socket connection to the server was not read from or written to within the "
        "timeout period.",
    )


def too_large(limit: int) -> AwsError:
    """The answer to a body above the limit."""
    return AwsError("RequestEntityTooLarge", f"The body is larger than {limit} bytes.", 413)


Handler = Callable[[Call], Awaitable[web.StreamResponse]]

"""The container client over real sockets, against a server with Multi Model Server's quirks."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from mmectl.local.instance.http_client import AbortedError, AnswerTimeoutError, WireError
from mmectl.local.instance.mms import Mms
from mmectl.local.values import InvokeRequest

Handler = Callable[[str, bytes, asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes, status: str = "200 ", extra: str = "") -> bytes:
    """As Netty writes it: lower-case names, no reason after 200."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{extra}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class Server:
    """Plain sockets, so that every kind of bad answer can be given."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.reply: Handler = self.echo

    async def heard(self, count: int) -> None:
        """Wait until so many requests have arrived."""
        while len(self.heads) < count:  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def echo(self, head: str, body: bytes, out: asyncio.StreamWriter) -> None:
        out.write(answer(body))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
                body = await reader.readexactly(length)
                self.heads.append(head)
                self.bodies.append(body)
                await self.reply(head, body, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server(tmp_path / "http.sock")
    listener = await asyncio.start_unix_server(made.serve, made.path)
    yield made
    listener.close()


@pytest_asyncio.fixture
async def mms(server: Server) -> AsyncIterator[Mms]:
    made = Mms(server.path)
    yield made
    made.close()
    await asyncio.sleep(0.01)


async def test_an_invocation_forwards_its_headers(server: Server, mms: Mms) -> None:
    request = InvokeRequest(b"\0\xff" * 500_000, "image/png", "text/plain", "a=b", "s/m é.gz")
    got = await mms.invoke("name", request, 5)
    assert (got.status, got.body) == (200, request.body)
    (head,) = server.heads
    assert head.startswith("POST /models/name/invoke HTTP/1.1\r\n")
    for line in (
        "Content-Type: image/png",
        "Accept: text/plain",
        "X-Amzn-SageMaker-Custom-Attributes: a=b",
        "X-Amzn-SageMaker-Target-Model: s/m %C3%A9.gz",
    ):
        assert f"\r\n{line}\r\n" in head


async def test_a_content_type_is_always_sent(server: Server, mms: Mms) -> None:
    await mms.invoke("name", InvokeRequest(b""), 5)
    assert "Content-Type: application/octet-stream" in server.heads[0]


async def test_connections_are_kept_and_replaced(server: Server, mms: Mms) -> None:
    for _ in range(5):
        await mms.ping()
    assert server.connections == 1

    async def close_after(head: str, body: bytes, out: asyncio.StreamWriter) -> None:
        out.write(answer(b"{}", "503 Service Unavailable", "connection: close\r\n"))
        out.close()

    server.reply = close_after
    assert (await mms.ping()).status == 503
    server.reply = server.echo
    assert (await mms.ping()).status == 200
    assert server.connections == 2


async def test_a_kept_connection_that_the_server_closed_is_replaced(
    server: Server, mms: Mms
) -> None:
    await mms.ping()
    seen = 0

    async def drop_once(head: str, body: bytes, out: asyncio.StreamWriter) -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            out.close()
        else:
            out.write(answer(b"{}"))

    server.reply = drop_once
    assert (await mms.ping()).status == 200


async def test_a_fresh_connection_that_is_dropped_is_an_error(server: Server, mms: Mms) -> None:
    async def drop(head: str, body: bytes, out: asyncio.StreamWriter) -> None:
        out.close()

    server.reply = drop
    with pytest.raises(WireError, match="connection") as caught:
        await mms.ping()
    assert not caught.value.answered


@pytest.mark.parametrize(
    "bad",
    [
        b"SSH-2.0-nonsense\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
    ],
)
async def test_bad_answers(server: Server, mms: Mms, bad: bytes) -> None:
    async def reply(head: str, body: bytes, out: asyncio.StreamWriter) -> None:
        out.write(bad)
        await out.drain()
        out.close()

    server.reply = reply
    with pytest.raises(WireError) as caught:
        await mms.ping()
    assert caught.value.answered


async def test_an_answer_in_pieces_and_one_that_ends_by_closing(server: Server, mms: Mms) -> None:
    async def pieces(head: str, body: bytes, out: asyncio.StreamWriter) -> None:
        for byte in answer(b"whole"):
            out.write(bytes((byte,)))
            await out.drain()

    server.reply = pieces
    assert (await mms.ping()).body == b"whole"

    async def until_closed(head: str, body: bytes, out: asyncio.StreamWriter) -> None:
        out.write(b"HTTP/1.1 200 OK\r\n\r\nto the end")
        out.close()

    server.reply = until_closed
    assert (await mms.ping()).body == b"to the end"


async def test_time_limits_aborts_and_cancelling(server: Server, mms: Mms) -> None:
    async def never(head: str, body: bytes, out: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0)

    server.reply = never
    with pytest.raises(AnswerTimeoutError):
        await mms.invoke("m", InvokeRequest(b""), 0.01)
    held = [asyncio.create_task(mms.invoke(name, InvokeRequest(b""), 5)) for name in ("m", "n")]
    await server.heard(3)
    assert mms.abort("the worker died", "m") == 1
    with pytest.raises(AbortedError, match="the worker died"):
        await held[0]
    held[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await held[1]
    server.reply = server.echo
    assert (await mms.ping()).status == 200


async def test_nobody_listens(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / ("x" * 200)):
        with pytest.raises(WireError, match="cannot connect"):
            await Mms(path).ping()


async def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    """A Unix socket refuses what a network would let wait."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "http.sock"))
    listener.listen(0)
    mms = Mms(tmp_path / "http.sock")
    waiting = [asyncio.ensure_future(mms.ping(timeout=60)) for _ in range(5)]
    await asyncio.sleep(0.05)
    server = Server(tmp_path / "http.sock")
    async with await asyncio.start_unix_server(server.serve, sock=listener):
        assert {(await each).status for each in waiting} == {200}
    mms.close()
    await asyncio.sleep(0.01)


async def test_waiting_in_a_queue_ends(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "http.sock"))
    listener.listen(0)
    mms = Mms(tmp_path / "http.sock")
    results = await asyncio.gather(*(mms.ping(0.1) for _ in range(4)), return_exceptions=True)
    assert all(isinstance(error, AnswerTimeoutError) for error in results)
    mms.close()
    listener.close()


async def test_listing_follows_pages_and_ends(server: Server, mms: Mms) -> None:
    def page(names: list[str], token: str | None) -> bytes:
        entries = [{"modelName": name, "modelUrl": f"/{name}"} for name in names]
        return json.dumps(
            {"models": entries, **({"nextPageToken": token} if token else {})}
        ).encode()

    pages = {"": page(["a", "b"], "2"), "2": page(["c", "d"], "4"), "4": page([], None)}

    async def reply(head: str, body: bytes, out: asyncio.StreamWriter) -> None:
        path = head.split(" ")[1]
        out.write(answer(pages[path.partition("next_page_token=")[2]]))

    server.reply = reply
    assert await mms.models() == {"a": "/a", "b": "/b", "c": "/c", "d": "/d"}
    assert len(server.heads) == 3
    pages["2"] = page(["a", "b"], "2")  # a token that leads back to the first page
    assert await mms.models() == {"a": "/a", "b": "/b"}
    pages[""] = b"[]"
    with pytest.raises(ValueError, match="list of models"):
        await mms.models()


async def test_loading_and_unloading(server: Server, mms: Mms) -> None:
    await mms.load("m", "/models/m", 5)
    assert json.loads(server.bodies[0]) == {"model_name": "m", "url": "/models/m"}
    assert "Content-Type: application/json" in server.heads[0]
    await mms.unload("m")
    await mms.describe("m")
    assert [head.split(" HTTP")[0] for head in server.heads[1:]] == [
        "DELETE /models/m",
        "GET /models/m",
    ]

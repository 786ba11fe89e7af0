"""The zoo's downloads from a real HTTP server on the loopback."""

from __future__ import annotations

import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mmectl.base.errors import ArtifactError
from mmectl.frameworks.mxnet import zoo

BODY = bytes(range(256)) * 8000


class Server(ThreadingHTTPServer):
    """Writes down where each request starts; `cuts` says after how many bytes answers end."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[int] = []
        self.cuts: list[int] = []


class Handler(BaseHTTPRequestHandler):
    """Answers ranges; breaks off as often as the server's `cuts` says."""

    server: Server

    def do_GET(self):
        start = int((self.headers.get("Range") or "bytes=0-").split("=")[1].rstrip("-"))
        self.server.ranges.append(start)
        body = BODY[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts else len(body)
        self.wfile.write(body[:cut])

    def log_message(self, format, *args):  # noqa: A002  # its name in the base class
        """Say nothing."""


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def one(monkeypatch):
    digest = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
    monkeypatch.setitem(zoo.MODELS, "one", (zoo.Source("a/one-symbol.json", digest),))
    return "one"


def url(server):
    return f"http://127.0.0.1:{server.server_port}/"


def test_whole_at_once(server, one, tmp_path):
    folder = zoo.fetch(one, tmp_path, base_url=url(server))
    assert (folder / "one-symbol.json").read_bytes() == BODY
    assert server.ranges == [0]


def test_resumed_within_a_command_and_by_the_next(server, one, tmp_path):
    server.cuts = [1_000_000, 10, 10]
    with pytest.raises(ArtifactError, match="the connection ends before the file does"):
        zoo.fetch(one, tmp_path, base_url=url(server))
    folder = zoo.fetch(one, tmp_path, base_url=url(server))
    assert (folder / "one-symbol.json").read_bytes() == BODY
    assert server.ranges == [0, 1_000_000, 1_000_010, 1_000_020]


def test_several_at_once_fetch_once(server, one, tmp_path):
    folders = []
    threads = [
        threading.Thread(
            target=lambda: folders.append(zoo.fetch(one, tmp_path, base_url=url(server)))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folders == [tmp_path / "one"] * 4
    assert server.ranges == [0]


def test_nobody_listens(one, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ArtifactError, match="Connection refused") as caught:
            zoo.fetch(one, tmp_path, base_url=f"http://127.0.0.1:{port}/")
    assert caught.value.code == "zoo_unreachable"


def test_what_answers_is_no_web_server(one, tmp_path):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def garble():
            peer, _ = listening.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(b"\x00\x01\x02 what?\r\n\r\n")

        thread = threading.Thread(target=garble)
        thread.start()
        with pytest.raises(ArtifactError, match="cannot be fetched") as caught:
            zoo.fetch(one, tmp_path, base_url=f"http://127.0.0.1:{listening.getsockname()[1]}/")
        thread.join()
    assert caught.value.code == "zoo_unreachable"

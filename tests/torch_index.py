"""A package index with PyTorch's CPU build, for tests: PyTorch's own cannot be reached everywhere.

The wheel is what pip finds under the name of the version that container/requirements/pytorch.txt
pins, where that is a CPU build; or that of the index MMECTL_TORCH_INDEX, which is taken as it is.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VARIABLE = "MMECTL_TORCH_INDEX"
SECONDS = 600
PORT = 27113


class Unavailable(Exception):
    """There is no CPU build here; the text says why."""


def pinned(minor: int = sys.version_info[1]) -> str:
    """The version that the image has, without its local part."""
    lines = (ROOT / "container/requirements/pytorch.txt").read_text().splitlines()
    old = {8: '< "3.9"', 9: '== "3.9"'}.get(minor, '>= "3.10"')
    (line,) = [one for one in lines if one.startswith("torch==") and old in one]
    return line[len("torch==") :].split("+")[0]


def wheel(cache: Path) -> Path:
    """The wheel of this Python's CPU build, fetched once into a folder. Raises Unavailable."""
    tag = f"cp3{sys.version_info[1]}"
    pattern = f"torch-{pinned()}+cpu-{tag}-{tag}-*.whl"
    if found := sorted(cache.glob(pattern)):
        return found[0]
    cache.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary"]
    command += [":all:", "--dest", str(cache), f"torch=={pinned()}+cpu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if found := sorted(cache.glob(pattern)):
        return found[0]
    raise Unavailable(f"no CPU build of PyTorch {pinned()}: {done.stderr.strip()[-200:]}")


def _server(address: str, answers: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """On the same port where that is free: images are known by the address of their index."""
    try:
        return ThreadingHTTPServer((address, PORT), answers)
    except OSError:
        return ThreadingHTTPServer((address, 0), answers)


@contextlib.contextmanager
def index(cache: Path, address: str = "127.0.0.1", login: str = "") -> Iterator[str]:
    """The address of an index that has the wheel and nothing else. Raises Unavailable.

    `login`: USER:PASSWORD, asked for in base64 as HTTP has it.
    """
    if given := os.environ.get(VARIABLE):
        yield given
        return
    held = wheel(cache)

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if login and self.headers.get("Authorization") != f"Basic {login}":
                self.send_response(401)
                self.send_header("WWW-Authenticate", "Basic")
                self.end_headers()
                return
            name = re.sub(r"%2[Bb]", "+", self.path).rpartition("/")[2]
            page = self.path.rstrip("/") == "/simple/torch"
            if not page and name != held.name:
                self.send_error(404)
                return
            link = f'<a href="/{held.name.replace("+", "%2B")}">{held.name}</a>'
            size = len(link) if page else held.stat().st_size
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if page else "application/octet-stream")
            self.send_header("Content-Length", str(size))
            self.end_headers()
            if page:
                self.wfile.write(link.encode())
                return
            with held.open("rb") as file:
                while chunk := file.read(1 << 20):
                    self.wfile.write(chunk)

        def do_HEAD(self) -> None:
            self.send_error(405)

        def log_message(self, *_: object) -> None:
            pass

    server = _server(address, Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{address}:{server.server_address[1]}/simple"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

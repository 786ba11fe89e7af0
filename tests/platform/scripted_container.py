"""A container that behaves as its models say, over the container API, with nothing but Python.

A model holds `behaviour.json`: per verb (`load`, `invoke`) a list of answers to give one after
the other, the last one for ever: {"status", "body", "sleep" (seconds), "say" (printed first)}.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

loaded: dict[str, dict[str, Any]] = {}
counts: dict[tuple[str, str], int] = {}


class Container(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece: two would wait for each other's acknowledgement

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def act(self, verb: str, name: str, plan: list[dict[str, Any]]) -> None:
        number = counts[verb, name] = counts.get((verb, name), -1) + 1
        step = plan[min(number, len(plan) - 1)]
        if "say" in step:
            sys.stdout.write(f"{name} {step['say']}\n")
            sys.stdout.flush()
        time.sleep(step.get("sleep", 0))
        body = step.get("body", "ok")
        text = body if isinstance(body, str) else json.dumps(body)
        self.answer(step.get("status", 200), text.encode(), Content_Type="text/plain")

    def do_GET(self) -> None:
        self.answer(200, b'{"models": []}' if self.path.startswith("/models") else b"{}")

    def do_POST(self) -> None:
        body = self.body()
        match = re.fullmatch(r"/models/(\w+)/invoke", self.path)
        if match:
            plan = loaded.get(match[1], {}).get("invoke", [{}])
            if plan == ["echo"]:
                told = {name.lower(): value for name, value in self.headers.items()}
                self.answer(200, json.dumps(told).encode(), Content_Type="application/json")
            else:
                self.act("invoke", match[1], plan)
            return
        asked = json.loads(body)
        behaviour = json.loads((Path(asked["url"]) / "behaviour.json").read_text())
        loaded[asked["model_name"]] = behaviour
        self.act("load", asked["model_name"], behaviour.get("load", [{}]))

    def do_DELETE(self) -> None:
        self.answer(200, b"{}")


class Server(ThreadingHTTPServer):
    """A server on a Unix socket."""

    address_family = socket.AF_UNIX

    def __init__(self, path: str) -> None:
        super().__init__(path, Container)  # type: ignore[arg-type]

    def server_bind(self) -> None:
        Path(str(self.server_address)).unlink(missing_ok=True)  # of one that was killed
        self.socket.bind(self.server_address)


def die_with_the_platform() -> None:
    os.read(int(os.environ["MMECTL_LIFELINE_FD"]), 1)
    os._exit(0)


if __name__ == "__main__":
    if os.environ.get("NEVER_READY"):
        time.sleep(60)
    if os.environ.get("BROKEN"):
        sys.exit("RuntimeError: no licence found")
    threading.Thread(target=die_with_the_platform, daemon=True).start()
    Server(os.environ["MMECTL_BIND_ADDRESS"].removeprefix("unix:")).serve_forever()

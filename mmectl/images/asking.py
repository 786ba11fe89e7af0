"""Ask a server as SageMaker does: ping it, load a model, ask that, unload it.

This file is also run as it is inside of containers (``python -c``), for engines whose ports are
not ours, so it needs the standard library of Python 3.8 alone. There it speaks to the container's
own address, not to the loopback one, and finds what to ask in `FOLDER`.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# holds `MODEL`, a folder, `BODY`, and `ASKED`: {"level", "headers", "expect", "more"}
FOLDER = "/opt/ml/models/smoke"
MODEL, BODY, ASKED = "model", "body", "asked.json"
PATIENCE = 240.0  # seconds; SageMaker's own with a container that starts
_ANSWER_SECONDS = 60
_SHOWN = 500  # characters of an answer
# the first line of an answer of mmectl's own handler
_LABELLED = re.compile(r"probability=[0-9.e+-]+, class=(\w*)")
_OWN_CLASS = "light"  # what mmectl's own model says of its own picture


class AskingError(Exception):
    """What the server did instead of what was expected."""


class _Connection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect, as the first request does."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def connected(
    where: int | Path, seconds: float = _ANSWER_SECONDS, host: str = "127.0.0.1"
) -> http.client.HTTPConnection:
    """A connection to a server: its port at `host`, or its socket on this machine."""
    if isinstance(where, Path):
        return _Connection(where, seconds)
    return http.client.HTTPConnection(host, where, timeout=seconds)


class Server:
    """A server at a port or a Unix socket; `ended` says how it ended, None while it runs."""

    def __init__(
        self,
        where: int | Path,
        ended: Callable[[], str | None] = lambda: None,
        host: str = "127.0.0.1",
    ) -> None:
        self._where, self._ended, self._host = where, ended, host

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = _ANSWER_SECONDS,
    ) -> tuple[int, str]:
        """Status and text of one request."""
        connection = connected(self._where, seconds, self._host)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        finally:
            connection.close()

    def wait(self, patience: float) -> None:
        """Wait for the first good ping. Raises AskingError."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            reason = self._ended()
            if reason is not None:
                raise AskingError(reason)
            try:
                if self.request("GET", "/ping", seconds=2)[0] == 200:
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.05)
        raise AskingError(f"no answer to /ping within {patience:.0f} s")

    def attempt(
        self, asked: Mapping[str, Any], model: str, body: bytes, patience: float = PATIENCE
    ) -> str:
        """Go as far as `asked` says; the steps in words. `model` is a folder of the server's.

        Raises AskingError, OSError and HTTPException.
        """
        self.wait(patience)
        if asked["level"] == "ping":
            return "ping"
        steps = self._try(asked, asked["level"], model, body)
        for one in asked.get("more", ()):
            beside = f"{model.rpartition('/')[0]}/{one['model']}"
            self._try(one, asked["level"], beside, base64.b64decode(one["body"]))
        return f"ping, {steps}"

    def _try(self, asked: Mapping[str, Any], level: str, model: str, body: bytes) -> str:
        """Load a model, ask it, unload it; the steps in words."""
        told = json.dumps({"model_name": "smoke", "url": model}).encode()
        kind = {"Content-Type": "application/json"}
        _expect("load", self.request("POST", "/models", told, kind))
        answer = ""
        if level == "invoke":
            path = "/models/smoke/invoke"
            said = _expect("answer", self.request("POST", path, body, asked["headers"]))
            answer = f"{judged(said, asked.get('expect'))}, "
        _expect("unload", self.request("DELETE", "/models/smoke"))
        return f"load, {answer}unload"


def judged(said: str, expected: str | None) -> str:
    """The step of a good answer in words; raises AskingError for another one.

    Without an expected text any answer will do, but one in the words of mmectl's own handler,
    which has to tell mmectl's own picture.
    """
    if expected is not None:
        if expected not in said:
            raise AskingError(f"the model answered without {expected!r}: {said[:_SHOWN]}")
        return "answer as expected"
    found = _LABELLED.search(said)
    if found is None:
        return "answer in its own words"
    if found.group(1) != _OWN_CLASS:
        raise AskingError(f"the model answered {said[:_SHOWN]}")
    return "answer"


def _expect(what: str, answer: tuple[int, str]) -> str:
    if answer[0] != 200:
        raise AskingError(f"the model did not {what} ({answer[0]}): {answer[1][:_SHOWN]}")
    return answer[1]


def _own_address() -> str:
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def main(folder: Path = Path(FOLDER)) -> None:
    """Do it inside; prints the steps, or leaves with a message and code 1."""
    asked = json.loads((folder / ASKED).read_text("utf-8"))
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    server = Server(port, host=_own_address())
    try:
        steps = server.attempt(asked, str(folder / MODEL), (folder / BODY).read_bytes())
    except (OSError, http.client.HTTPException, AskingError) as error:
        sys.exit(str(error))
    sys.stdout.write(f"{steps}\n")


if __name__ == "__main__":
    main()

"""Ping, load, ask, unload, from inside of the container: for engines whose ports are not ours.

This file is run there as it is (``python -c``), so it needs the standard library of Python 3.8
alone. It speaks to the container's own address, as SageMaker does, not to the loopback one.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import time

MODEL = "/opt/ml/models/smoke/model"
PICTURE = "/opt/ml/models/smoke/picture.bmp"


def _address() -> str:
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def _request(method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[int, str]:
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    connection = http.client.HTTPConnection(_address(), port, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def _wait(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if _request("GET", "/ping")[0] == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.1)
    sys.exit(f"no answer to /ping within {seconds:.0f} s")


def _expect(what: str, answer: tuple[int, str]) -> str:
    if answer[0] != 200:
        sys.exit(f"the model did not {what} ({answer[0]}): {answer[1]}")
    return answer[1]


def main(patience: float = 240.0) -> None:
    """Do it; leaves with a message and code 1 where the container does not serve."""
    _wait(patience)
    body = json.dumps({"model_name": "smoke", "url": MODEL}).encode()
    _expect("load", _request("POST", "/models", body, "application/json"))
    with open(PICTURE, "rb") as stream:  # noqa: PTH123 - as small as can be
        picture = stream.read()
    said = _expect("answer", _request("POST", "/models/smoke/invoke", picture, "image/bmp"))
    if "class=light" not in said:
        sys.exit(f"the model answered {said}")
    _expect("unload", _request("DELETE", "/models/smoke"))


if __name__ == "__main__":
    main()

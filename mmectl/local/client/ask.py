"""Requests to the running platform's own signed routes."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import time
from typing import Any

from mmectl.local.auth import sigv4
from mmectl.local.record import Record

SERVICE = "mmectl"  # signing name of the platform's own routes
PATIENCE = 2.0  # seconds in which a platform that is well answers a ping

FAILURES = (OSError, http.client.HTTPException, ValueError)


def get(known: Record, path: str, timeout: float) -> dict[str, Any] | None:
    """Send a signed GET; None when whoever listens there is not our platform.

    Raises one of FAILURES when nobody answers, or nothing that can be read.
    """
    status, found = send(known, "GET", path, b"", timeout)
    return found if status == 200 and isinstance(found, dict) and "pid" in found else None


def send(known: Record, method: str, path: str, body: bytes, timeout: float) -> tuple[int, Any]:
    """Send a signed request; the status, and the answer's JSON, None where a refusal has none.

    Raises one of FAILURES when nobody answers, or nothing that can be read.
    """
    host = f"127.0.0.1:{known.port}"
    headers = sigv4.sign(
        method,
        path,
        {"host": host},
        known.credentials,
        region=known.region,
        service=SERVICE,
        now=time.time(),
        payload_hash=hashlib.sha256(body).hexdigest(),
    )
    connection = http.client.HTTPConnection("127.0.0.1", known.port, timeout=timeout)
    try:
        connection.request(method, path, body or None, headers=headers)
        answer = connection.getresponse()
        data = answer.read(16 * 1024 * 1024)
        if answer.status == 200:
            return 200, json.loads(data)
        with contextlib.suppress(ValueError):
            return answer.status, json.loads(data)
        return answer.status, None
    finally:
        connection.close()


def answers(known: Record) -> bool:
    """Whether it is well; one that hangs takes PATIENCE to find out."""
    try:
        return get(known, "/-/ping", PATIENCE) is not None
    except FAILURES:
        return False

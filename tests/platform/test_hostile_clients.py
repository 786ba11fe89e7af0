"""Who is not let in costs nothing: no memory, no time, no line of the log, nobody else's place."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import socket
import threading
import time
from types import SimpleNamespace

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from in_process import MINE, serving

from mmectl.local.server.handlers import JsonService
from mmectl.local.server.main import is_ours

KEYS = Credentials(MINE.access_key_id, MINE.secret_access_key)
MB = 1 << 20
pytestmark = pytest.mark.alone  # floods of connections and bodies
PRESIGNED = {
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": f"{MINE.access_key_id}/20260101/us-east-1/s3/aws4_request",
    "X-Amz-Date": "20260101T000000Z",
    "X-Amz-Expires": "60",
    "X-Amz-SignedHeaders": "host",
    "X-Amz-Signature": "0" * 64,
}


class Echo:
    """A JSON service that answers how much it was asked."""

    async def call(self, operation, params):
        return {"size": len(params.get("a", ""))}


async def nothing(call):
    raise AssertionError("nobody was to come here")


@pytest.fixture
def faults():
    """What any logger takes for worth a line."""
    found = []

    class Keep(logging.Handler):
        def emit(self, record):
            found.append(record.getMessage())

    handler = Keep(logging.INFO)
    handler.addFilter(is_ours)
    logging.getLogger().addHandler(handler)
    yield found
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def server(faults, request):
    echo = JsonService("SageMaker", Echo())
    services = {"sagemaker": echo, "s3": nothing, "sts": echo, "ecr": echo}
    with serving(services, **getattr(request, "param", {})) as connection:
        host, _, port = connection.endpoint_url.removeprefix("http://").partition(":")
        yield SimpleNamespace(host=host, port=int(port), url=connection.endpoint_url)


def opened(server):
    return socket.create_connection((server.host, server.port), timeout=20)


def answer(link):
    """The status of the next answer; 0 where the connection ends without one."""
    text = b""
    with contextlib.suppress(ConnectionResetError):
        while b"\r\n\r\n" not in text and (data := link.recv(65536)):
            text += data
    return int(text.split()[1]) if text else 0


def head(method, path, headers, server, host=None):
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    text = (
        f"{method} {path} HTTP/1.1\r\nHost: {host or f'{server.host}:{server.port}'}\r\n{lines}\r\n"
    )
    return text.encode("latin-1")


def signed(server, body, *, service="sagemaker", digest=False, wrong=False):
    """The headers of a request for ``SageMaker.Echo``."""
    headers = {"X-Amz-Target": "SageMaker.Echo"}
    if digest:
        headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
    request = AWSRequest("POST", server.url + "/", data=body, headers=headers)
    SigV4Auth(KEYS, service, "us-east-1").add_auth(request)
    found = dict(request.headers.items())
    found["Content-Length"] = len(body)
    if wrong:
        found["Authorization"] = found["Authorization"][:-4] + "0000"
    return found


def asked(server, **options):
    """Whether a good request is answered."""
    body = json.dumps({"a": "x" * 1000}).encode()
    with opened(server) as link:
        link.sendall(head("POST", "/", signed(server, body, **options), server) + body)
        return answer(link) == 200


def query(**changes):
    given = {**PRESIGNED, **{f"X-Amz-{name}": value for name, value in changes.items()}}
    return "/k?" + "&".join(f"{name}={value}" for name, value in given.items())


DIGITS = "9" * 5000
SCOPE = f"{MINE.access_key_id}/20260101/us-east-1/sagemaker/aws4_request"
ODD = [
    ("GET", query(Expires=DIGITS), {}),
    ("GET", query(Expires="%D9%A1"), {}),
    ("GET", query(Expires="-1"), {}),
    ("GET", query(Expires="1e3"), {}),
    ("GET", query(Date=DIGITS), {}),
    ("GET", query(Date="20260101T%D9%A1"), {}),
    ("GET", query(Date="20261301T000000Z"), {}),
    ("GET", query(Credential="%ff/%ff/%ff/s3/aws4_request"), {}),
    ("GET", query(Credential="/".join("a" * 3000)), {}),
    ("GET", query(SignedHeaders="host;" + ";".join("a" * 2000)), {}),
    ("GET", query(Signature="%ff"), {}),
    ("GET", f"/k?AWSAccessKeyId={MINE.access_key_id}&Expires={DIGITS}&Signature=a", {}),
    ("GET", f"/k?AWSAccessKeyId={MINE.access_key_id}&Expires=%D9%A1&Signature=a", {}),
    ("GET", "/%ff", {}),
    ("GET", "//" * 3000, {}),
    ("PUT", "/b/k", {"Content-Length": DIGITS}),
    ("PUT", "/b/k", {"Content-Length": "+1"}),
    ("POST", "/", {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": 0}),
    ("POST", "/", {"X-Amz-Target": "\xff", "Content-Length": 0}),
    ("POST", "/endpoints/%ff/invocations", {"Content-Length": 0}),
    ("POST", "/", {"smithy-protocol": "rpc-v2-cbor", "Content-Length": 0}),
    *(
        ("POST", "/", {"X-Amz-Date": date, "Content-Length": 0, "Authorization": authorization})
        for date in ("20260101T000000Z", DIGITS, "20260101T9", "")
        for authorization in (
            "AWS4-HMAC-SHA256",
            f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=0",
            f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host;\xff, Signature=\xff",
            f"AWS4-HMAC-SHA256 Credential={SCOPE.replace('us-east-1', chr(255))}, "
            "SignedHeaders=host;x-amz-date, Signature=0",
            f"AWS4-HMAC-SHA256 Credential={SCOPE.replace('sagemaker', chr(255))}, "
            "SignedHeaders=host;x-amz-date, Signature=0",
            f"AWS4-HMAC-SHA256 Credential={SCOPE.replace('sagemaker', 'sts')}, "
            "SignedHeaders=host;x-amz-date;\xff, Signature=0",
            f"AWS4-HMAC-SHA256 Credential={SCOPE.replace('sagemaker', 'dynamodb')}, "
            "SignedHeaders=host;x-amz-date, Signature=0",
            "AWS4-HMAC-SHA256 " + "=" * 5000,
        )
    ),
    ("POST", "/", {"Date": DIGITS, "Authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE}"}),
]


def test_odd_requests_are_refused_and_leave_no_line(server, faults):
    for method, path, headers in ODD:
        with opened(server) as link:
            link.sendall(head(method, path, headers, server))
            status = answer(link)
        assert 400 <= status < 500, (status, method, path[:200], headers)
    assert asked(server)
    assert faults == []


def test_the_date_header_may_stand_for_the_time(server):
    body = b"{}"
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    request = AWSRequest("POST", server.url + "/", data=body, headers={"Date": date})
    request.headers["X-Amz-Target"] = "SageMaker.Echo"
    SigV4Auth(KEYS, "sagemaker", "us-east-1").add_auth(request)
    headers = dict(request.headers.items())
    assert "X-Amz-Date" not in headers
    assert stamp[:8] in headers["Authorization"]
    with opened(server) as link:
        link.sendall(head("POST", "/", {**headers, "Content-Length": 2}, server) + body)
        assert answer(link) == 200


@pytest.mark.parametrize("name", ["LOCALHOST", "LocalHost", "127.0.0.1"])
def test_the_case_of_the_host_does_not_matter(server, name):
    with opened(server) as link:
        link.sendall(head("GET", "/", {}, server, host=f"{name}:{server.port}"))
        text = link.recv(65536)
    assert b"Host header" not in text
    assert b"MissingAuthenticationToken" in text or b"AccessDenied" in text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "AWS4-HMAC-SHA256 Credential=other/a/b/c/aws4_request"},
        {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, "
            "Signature=0",
            "X-Amz-Date": "20260101T000000Z",
        },
    ],
)
def test_who_is_not_known_is_refused_before_the_body(server, headers):
    with opened(server) as link:
        link.sendall(head("POST", "/", {**headers, "Content-Length": 4 * MB}, server))
        assert 400 <= answer(link) < 500


def test_a_digest_in_a_header_is_checked_before_the_body(server):
    body = json.dumps({"a": "x" * MB}).encode()
    headers = signed(server, body, digest=True, wrong=True)
    with opened(server) as link:
        link.sendall(head("POST", "/", headers, server))
        assert answer(link) == 400
    with opened(server) as link:  # the right one, and another body
        link.sendall(head("POST", "/", signed(server, body, digest=True), server))
        link.sendall(body.replace(b"x", b"y"))
        assert answer(link) == 400
    with opened(server) as link:
        link.sendall(head("POST", "/", signed(server, body, digest=True), server) + body)
        assert answer(link) == 200


def resident():
    """Bytes of memory that this process has."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_many_large_bodies_without_a_right_signature_take_little_memory(server):
    body = bytes(30 * MB)
    headers = signed(server, body, service="ecr", wrong=True)
    asked(server)
    before, most, statuses = resident(), [0], []

    def send():
        with opened(server) as link:
            link.settimeout(60)
            link.sendall(head("POST", "/", headers, server))
            link.sendall(body)
            statuses.append(answer(link))

    senders = [threading.Thread(target=send) for _ in range(30)]
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        most[0] = max(most[0], resident() - before)
        assert asked(server)
        time.sleep(0.05)
    assert set(statuses) == {400}
    assert most[0] < 200 * MB, "64 MB of bodies, joined once more, and what 30 senders take"


@pytest.mark.parametrize("server", [{"patience": lambda _: 0.5}], indirect=True)
def test_a_body_that_comes_by_drops_is_given_up(server):
    with opened(server) as link:
        link.sendall(head("POST", "/", signed(server, b"{}" + b" " * 10_000), server))
        begun, status = time.monotonic(), 0
        link.settimeout(0.05)
        while time.monotonic() - begun < 60 and not status:
            link.sendall(b" ")
            with contextlib.suppress(TimeoutError):
                status = answer(link)
        assert status == 400
    assert asked(server)


@pytest.mark.parametrize("server", [{"most": 100}], indirect=True)
def test_connections_that_ask_nothing_make_room(server):
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(opened(server)) for _ in range(400)]
        for number, link in enumerate(links):
            with contextlib.suppress(OSError):
                link.sendall(b"GET / HTTP/1.1\r\nHost:" if number % 2 else b"G")
        assert asked(server)
        ended = [link for link in links if closed(link)]
        assert 300 <= len(ended) < 400


def closed(link):
    link.settimeout(0.01)
    try:
        return link.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("server", [{"most": 20}], indirect=True)
def test_who_is_being_served_is_not_thrown_out(server):
    body = json.dumps({"a": "x" * 1000}).encode()
    with opened(server) as slow, contextlib.ExitStack() as stack:
        slow.sendall(head("POST", "/", signed(server, body), server) + body[:-1])
        assert asked(server)  # by now it is being read
        for _ in range(100):
            stack.enter_context(opened(server))
        assert asked(server)
        slow.sendall(body[-1:])
        assert answer(slow) == 200


def test_a_head_without_an_end_is_given_up(server):
    with opened(server) as link:
        link.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
        sent = 0
        with contextlib.suppress(OSError):  # reset, or a broken pipe
            while sent < 100_000_000:
                link.sendall(f"X-{sent}: {'x' * 1000}\r\n".encode())
                sent += 1000
        assert sent < 100_000_000
    assert asked(server)


@pytest.mark.parametrize("server", [{"keep_alive": 0.5}], indirect=True)
def test_heads_that_come_by_drops_are_given_up(server):
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(opened(server)) for _ in range(200)]
        for link in links:
            link.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        deadline = time.monotonic() + 60
        while not all(map(closed, links)):
            assert time.monotonic() < deadline
            for link in links:
                with contextlib.suppress(OSError):
                    link.sendall(b"a")
    assert asked(server)


def test_a_flood_of_unsigned_requests_writes_nothing(server, faults):
    text = head("GET", query(Expires=DIGITS), {}, server)
    with opened(server) as link:
        for _ in range(200):
            link.sendall(text)
            assert answer(link) == 400
    assert faults == []

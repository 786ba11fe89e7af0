"""The platform's front door: any request, signed or not, is answered, and none is a fault."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import MINE, serving

from fuzz.fuzzing import check, files, mutated, seeds
from mmectl.local.control.validate import service_model
from mmectl.local.record import Record
from mmectl.local.server.compose import compose
from mmectl.local.server.main import is_ours

FUZZ = settings.get_profile("fuzz")
KEYS = Credentials(MINE.access_key_id, MINE.secret_access_key)
RAW, BODIES = seeds("front"), seeds("front-bodies")
TARGETS = {
    "sagemaker": "SageMaker",
    "logs": "Logs_20140328",
    "monitoring": "GraniteServiceVersion20100801",
    "ecr": "AmazonEC2ContainerRegistry_V20150921",
    "application-autoscaling": "AnyScaleFrontendService",
}
MODELS = {**dict.fromkeys(TARGETS), "monitoring": "cloudwatch", "iam": "iam", "sts": "sts"}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 1e308, "NaN", "Infinity", ""])
    | st.sampled_from(["a", "é", "\x00", "\ud800", "x" * 5000, "arn:aws:iam::123456789012:role/a"])
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


FIRST = [
    ("sts", "", b"Action=GetCallerIdentity"),
    ("iam", "", b"Action=ListRoles"),
    ("ecr", "DescribeRepositories", b"{}"),
    ("application-autoscaling", "DescribeScalableTargets", b'{"ServiceNamespace": "sagemaker"}'),
    ("monitoring", "ListDashboards", b"{}"),
    ("monitoring", "ListMetrics", b"{}"),
]


@pytest.fixture(scope="module")
def platform() -> Iterator[SimpleNamespace]:
    """The real parts in a thread of this process, and what any logger calls an error."""
    folder, faults = Path(tempfile.mkdtemp(prefix="mme")), []
    (folder / "local").mkdir()

    class Keep(logging.Handler):
        def emit(self, record):
            faults.append(f"{record.getMessage()} {record.exc_info and record.exc_info[1]!r}")

    handler = Keep(logging.ERROR)
    handler.addFilter(is_ours)
    logging.getLogger().addHandler(handler)
    known = Record(0, "us-east-1", MINE.access_key_id, MINE.secret_access_key, runtime="process")
    parts = compose(folder, known)
    with serving(parts.services, opening=parts.open, closing=parts.close) as connection:
        host, _, port = connection.endpoint_url.removeprefix("http://").partition(":")
        address = (host, int(port))
        warm = SimpleNamespace(address=address, url=connection.endpoint_url, faults=faults)
        for service, operation, body in FIRST:  # moto is imported by the first, for seconds
            assert sent(warm, signed(warm, service, body, operation=operation), 60) == 200
        yield warm
        body = b'{"EndpointName": "none"}'
        assert sent(warm, signed(warm, "sagemaker", body, operation="DescribeEndpoint")) == 400
    logging.getLogger().removeHandler(handler)
    shutil.rmtree(folder)


def sent(platform, request: bytes, seconds: float = 5) -> int:
    """The status of the answer to a raw request; 0 where the connection ends without one."""
    answer = b""
    link = socket.create_connection(platform.address, timeout=seconds)
    with link, contextlib.suppress(ConnectionError, TimeoutError):
        link.sendall(request)
        while b"\r\n" not in answer and (data := link.recv(65536)):
            answer += data
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def signed(platform, service: str, body: bytes, *, operation="", path="/", method="POST", more=()):
    """A request as botocore signs it."""
    headers = dict(more)
    if service in TARGETS and operation:
        headers["X-Amz-Target"] = f"{TARGETS[service]}.{operation}"
    request = AWSRequest(method, platform.url + path, data=body, headers=headers)
    (S3SigV4Auth if service == "s3" else SigV4Auth)(KEYS, service, "us-east-1").add_auth(request)
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    host = platform.url.removeprefix("http://")
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
    return head.encode("utf-8", "replace") + body


def tried(platform, request: bytes, *, whole: bool = True) -> None:
    """Send it: it is answered, it is no fault, and what is refused is not to be sent again.

    What is not `whole` may be the beginning of a request, for which the platform waits.
    """
    platform.faults.clear()
    seconds = 4 if whole else 0.1
    status = check("front", request, lambda: sent(platform, request, seconds), ())
    assert (status == 0 and not whole) or 200 <= status < 500 or status == 501, (
        status,
        request[:2000],
    )
    assert platform.faults == [], request[:2000]


@pytest.mark.parametrize("path", files("front"), ids=lambda path: path.name)
def test_kept_requests(platform, path):
    tried(platform, hosted(platform, path.read_bytes()), whole=False)


def hosted(platform, request: bytes) -> bytes:
    return request.replace(b"HOST", platform.url.removeprefix("http://").encode())


@FUZZ
@given(mutated(RAW))
def test_anybody_may_send_anything(platform, request):
    tried(platform, hosted(platform, request), whole=False)


def operations(service: str) -> list[str]:
    return list(service_model(MODELS[service] or service).operation_names)


@st.composite
def asked(draw: st.DrawFn):
    """Service, operation and parameters: members of the operation with values of any kind."""
    service = draw(st.sampled_from(sorted(TARGETS)))
    operation = draw(st.sampled_from(operations(service)))
    shape = service_model(MODELS[service] or service).operation_model(operation).input_shape
    params = {name: draw(of_shape(member)) for name, member in members(draw, shape)}
    return service, operation, params


def members(draw, shape):
    """The needed members of a structure, and some of the others."""
    if shape is None:
        return []
    needed = set(shape.required_members)
    return [
        (name, member)
        for name, member in shape.members.items()
        if draw(st.integers(0, 9)) < (9 if name in needed else 3)
    ]


def of_shape(shape, depth: int = 0):
    """Values of a shape, mostly of its type, and sometimes of none."""
    kind = shape.type_name
    if kind == "structure" and depth < 4:
        needed = set(shape.required_members)
        parts = {name: of_shape(member, depth + 1) for name, member in shape.members.items()}
        must = {name: part for name, part in parts.items() if name in needed}
        may = {name: part for name, part in parts.items() if name not in needed}
        return st.fixed_dictionaries(must, optional=may) | VALUES
    if kind == "list" and depth < 4:
        return st.lists(of_shape(shape.member, depth + 1), max_size=2)
    if kind == "string" and shape.metadata.get("enum"):
        return st.sampled_from(shape.metadata["enum"])
    if kind in ("integer", "long", "float", "double", "timestamp"):
        return (
            st.sampled_from([0, 1, 60, 1024, 1_700_000_000, -1, 2**31 - 1, 2**63, 1e300]) | VALUES
        )
    return st.sampled_from(["a", "AllTraffic", "s3://bucket/a", "/aws/x"]) | VALUES


@FUZZ
@given(asked())
def test_any_parameters(platform, request):
    service, operation, params = request
    body = json.dumps(params).encode()
    tried(platform, signed(platform, service, body, operation=operation))


@FUZZ
@given(st.sampled_from(sorted(MODELS)), mutated(BODIES), st.data())
def test_any_body(platform, service, body, data):
    operation = data.draw(st.sampled_from(operations(service)))
    headers = {}
    if service in ("iam", "sts"):
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = f"Version=2010-05-08&Action={operation}&".encode() + body
    if data.draw(st.integers(0, 9)) == 0:
        headers["Content-Encoding"] = "gzip"
    tried(platform, signed(platform, service, body, operation=operation, more=headers.items()))


@FUZZ
@given(mutated(BODIES), st.data())
def test_any_body_in_the_other_protocols_of_cloudwatch(platform, body, data):
    operation = data.draw(st.sampled_from(operations("monitoring")))
    if data.draw(st.booleans()):
        path = f"/service/GraniteServiceVersion20100801/operation/{operation}"
        more = {"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}
        tried(platform, signed(platform, "monitoring", body, path=path, more=more.items()))
    else:
        form = f"Action={operation}&".encode() + body
        tried(platform, signed(platform, "monitoring", form))


@FUZZ
@given(
    st.sampled_from([*MODELS, "s3", "mmectl", "dynamodb", "x"]),
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"]),
    st.binary(max_size=40)
    | st.sampled_from([b"endpoints/a/invocations", b"moto-api/reset", b"-/x"]),
    st.binary(max_size=40),
)
def test_any_place(platform, service, method, path, query):
    where = "/" + quote(path) + ("?" + quote(query, safe="=&") if query else "")
    tried(platform, signed(platform, service, b"", path=where, method=method))

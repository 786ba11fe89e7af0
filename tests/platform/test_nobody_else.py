"""Nobody else gets in: what is tampered with, late, forged or malformed is refused as on AWS."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp.http_exceptions import BadHttpMessage
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as BotoCredentials
from botocore.exceptions import ClientError
from in_process import MINE, serving

from mmectl.local.auth.sigv4 import signing_key
from mmectl.local.s3.chunked import SIGNED, ChunkSigner
from mmectl.local.s3.service import S3, ObjectStore
from mmectl.local.server.handlers import JsonService
from mmectl.local.server.main import is_ours

KEYS = BotoCredentials(MINE.access_key_id, MINE.secret_access_key)


class Echo:
    """A JSON service that answers what it was asked."""

    async def call(self, operation, params):
        return {"operation": operation, **params}


@pytest.fixture(scope="module")
def clock():
    """The platform's clock: real time and `shift` seconds."""
    return SimpleNamespace(shift=0.0)


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    folder = Path(tempfile.mkdtemp(prefix="mme"))
    yield ObjectStore(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def faults() -> Iterator[list[str]]:
    """What the gateway took for a bug of its own."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record):
            found.append(record.getMessage())

    handler = Keep(logging.ERROR)
    logging.getLogger("mmectl.local.server.gateway").addHandler(handler)
    yield found
    logging.getLogger("mmectl.local.server.gateway").removeHandler(handler)


@pytest.fixture(scope="module")
def connection(store, clock, faults):
    echo = Echo()
    services = {
        "s3": S3(store),
        "sts": JsonService("x", echo),
        "sagemaker": JsonService("SageMaker", echo),
    }
    with serving(
        services,
        opening=store.open,
        closing=store.close,
        clock=lambda: time.time() + clock.shift,
        keep_alive=0.5,
    ) as found:
        yield found


@pytest.fixture
def off(clock):
    """Set the platform's clock off by so many seconds; right again afterwards."""

    def shift(seconds):
        clock.shift = seconds

    yield shift
    clock.shift = 0.0


@pytest.fixture(scope="module")
def s3(connection, client_for):
    found = client_for(connection, "s3")
    found.create_bucket(Bucket="bucket")
    found.put_object(Bucket="bucket", Key="k", Body=b"data")
    return found


def signed(connection, method, path, body=b"", headers=None, service="s3"):
    """The headers of a request as botocore signs them."""
    request = AWSRequest(method, connection.endpoint_url + path, data=body, headers=headers or {})
    request.context["payload_signing_enabled"] = True
    auth = S3SigV4Auth if service == "s3" else SigV4Auth
    auth(KEYS, service, "us-east-1").add_auth(request)
    return dict(request.headers.items())


def enough(answer):
    """Whether an error is there as a whole; whoever refuses a body waits a while for its end."""
    return answer.rstrip().endswith((b"</Error>", b"}"))


def raw(connection, head, body=b""):
    """Send bytes as they are; the answer's status, and all of its text."""
    host, _, port = connection.endpoint_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as link:
        link.sendall(head.encode("latin-1") + body)
        answer = b""
        try:
            while (data := link.recv(65536)) and not enough(answer := answer + data):
                pass
        except ConnectionResetError:
            pass
    found = re.match(rb"HTTP/1\.[01] (\d+)", answer)
    return int(found[1]) if found else 0, answer.decode("latin-1")


def ask(connection, method, path, headers, body=b"", host=None):
    own = host or connection.endpoint_url.removeprefix("http://")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    length = "" if "Content-Length" in headers else f"Content-Length: {len(body)}\r\n"
    head = f"{method} {path} HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n{length}{lines}\r\n"
    return raw(connection, head, body)


def test_a_request_as_it_was_signed_gets_in(connection, s3):
    assert ask(connection, "GET", "/bucket/k", signed(connection, "GET", "/bucket/k"))[0] == 200


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"path": "/bucket/other"}, "SignatureDoesNotMatch", "does not match the signature you"),
        ({"path": "/bucket/k?tagging"}, "SignatureDoesNotMatch", "<StringToSign>AWS4-HMAC-SHA256"),
        ({"path": "/bucket/./k"}, "SignatureDoesNotMatch", "<CanonicalRequest>GET"),
        ({"path": "/bucket//k"}, "SignatureDoesNotMatch", ""),
        ({"path": "/bucket/x/../k"}, "SignatureDoesNotMatch", ""),
        ({"method": "DELETE"}, "SignatureDoesNotMatch", ""),
        ({"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}, "SignatureDoesNotMatch", ""),
        ({"x-amz-meta-v": "2"}, "SignatureDoesNotMatch", ""),
        ({"x-amz-copy-source": "/bucket/k"}, "AccessDenied", "which were not signed"),
        ({"Authorization": None}, "AccessDenied", "<Message>Access Denied</Message>"),
        ({"Authorization": "AWS a:b"}, "InvalidRequest", "Please use AWS4-HMAC-SHA256."),
        ({"Authorization": "AWS4-HMAC-SHA256 x"}, "AuthorizationHeaderMalformed", ""),
        ({"path": "/bucket/k?X-Amz-Algorithm=AWS4-HMAC-SHA256"}, "InvalidArgument", "Only one"),
    ],
)
def test_what_is_tampered_with_is_refused(connection, s3, change, code, text):
    headers = signed(connection, "GET", "/bucket/k", headers={"x-amz-meta-v": "1"})
    method, path = change.pop("method", "GET"), change.pop("path", "/bucket/k")
    headers = {name: value for name, value in {**headers, **change}.items() if value}
    status, answer = ask(connection, method, path, headers)
    assert status in (400, 403)
    assert f"<Code>{code}</Code>" in answer
    assert text in answer
    assert MINE.secret_access_key not in answer


def test_a_foreign_key_is_unknown(connection, s3):
    headers = signed(connection, "GET", "/bucket/k")
    headers["Authorization"] = headers["Authorization"].replace(MINE.access_key_id, "AKIAOTHER")
    status, answer = ask(connection, "GET", "/bucket/k", headers)
    assert status == 403
    assert (
        "<Code>InvalidAccessKeyId</Code><Message>The AWS Access Key Id you provided does not "
        "exist in our records.</Message><AWSAccessKeyId>AKIAOTHER</AWSAccessKeyId>"
    ) in answer


def test_a_replay_within_the_window_is_answered_as_on_aws(connection, s3):
    headers = signed(connection, "GET", "/bucket/k")
    assert [ask(connection, "GET", "/bucket/k", headers)[0] for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(("minutes", "status"), [(-16, 403), (-14, 200), (14, 200), (16, 403)])
def test_a_clock_may_be_15_minutes_off(connection, s3, off, minutes, status):
    off(minutes * 60)
    headers = signed(connection, "GET", "/bucket/k")
    found, answer = ask(connection, "GET", "/bucket/k", headers)
    assert found == status
    if status == 403:
        assert (
            "<Code>RequestTimeTooSkewed</Code><Message>The difference between the request time "
            "and the current time is too large.</Message>"
        ) in answer
        assert "<MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds>" in answer


def json_call(connection, name="list_endpoints", **credentials):
    import boto3

    keys = {"aws_access_key_id": MINE.access_key_id, "aws_secret_access_key": "secret"}
    client = boto3.client(
        "sagemaker",
        endpoint_url=connection.endpoint_url,
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}),
        **{**keys, **credentials},
    )
    with pytest.raises(ClientError) as caught:
        getattr(client, name)()
    error = caught.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]


def test_json_services_have_their_own_words(connection, off):
    status, error = json_call(connection, aws_secret_access_key="other")
    assert (status, error["Code"]) == (400, "InvalidSignatureException")
    assert error["Message"].endswith("Consult the service documentation for details.")
    status, error = json_call(connection, aws_access_key_id="AKIAOTHER")
    assert (status, error["Code"]) == (400, "UnrecognizedClientException")
    assert error["Message"] == "The security token included in the request is invalid."
    off(16 * 60)
    status, error = json_call(connection)
    assert (status, error["Code"]) == (400, "InvalidSignatureException")
    stamp = r"\d{8}T\d{6}Z"
    text = rf"Signature expired: {stamp} is now earlier than {stamp} \({stamp} - 15 min\.\)"
    assert re.fullmatch(text, error["Message"])
    off(-16 * 60)
    _, error = json_call(connection)
    text = (
        rf"Signature not yet current: {stamp} is still later than {stamp} \({stamp} \+ 15 min\.\)"
    )
    assert re.fullmatch(text, error["Message"])


def test_the_operation_and_the_body_of_a_json_call_are_signed(connection):
    given = {"X-Amz-Target": "SageMaker.ListModels", "Content-Type": "application/x-amz-json-1.1"}
    headers = signed(connection, "POST", "/", b"{}", given, "sagemaker")
    assert ask(connection, "POST", "/", headers, b"{}")[0] == 200
    other = {**headers, "X-Amz-Target": "SageMaker.DeleteModel"}
    status, answer = ask(connection, "POST", "/", other, b"{}")
    assert (status, "InvalidSignatureException" in answer) == (400, True)
    status, answer = ask(connection, "POST", "/", headers, b'{"a":1}')
    assert (status, "InvalidSignatureException" in answer) == (400, True)
    unsigned = signed(connection, "POST", "/", b"{}", {}, "sagemaker")
    unsigned["X-Amz-Target"] = "SageMaker.DeleteModel"
    status, answer = ask(connection, "POST", "/", unsigned, b"{}")
    assert (status, "not signed" in answer) == (400, True)


def test_presigned_urls_expire_and_cover_everything(connection, s3, client_for, off):
    client = client_for(connection, "s3", config=Config(signature_version="s3v4"))
    params = {"Bucket": "bucket", "Key": "k"}
    url = client.generate_presigned_url("get_object", Params=params, ExpiresIn=60)
    path = url.removeprefix(connection.endpoint_url)
    assert ask(connection, "GET", path, {})[0] == 200
    for tampered in (
        path.replace("/k?", "/other?"),
        path + "&tagging",
        path.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"),
    ):
        status, answer = ask(connection, "GET", tampered, {})
        assert (status, "SignatureDoesNotMatch" in answer) == (403, True)
    assert ask(connection, "PUT", path, {}, b"x")[0] == 403
    status, answer = ask(connection, "GET", path, {"x-amz-copy-source": "/bucket/k"})
    assert (status, "which were not signed" in answer) == (403, True)
    too_long = path.replace("X-Amz-Expires=60", "X-Amz-Expires=604801")
    assert "AuthorizationQueryParametersError" in ask(connection, "GET", too_long, {})[1]
    off(61)
    status, answer = ask(connection, "GET", path, {})
    assert status == 403
    assert "<Code>AccessDenied</Code><Message>Request has expired</Message>" in answer
    assert "<X-Amz-Expires>60</X-Amz-Expires>" in answer
    off(-16 * 60)
    assert "Request is not yet valid" in ask(connection, "GET", path, {})[1]


def chunked(connection, path, pieces, tamper=None):
    """A PUT in signed chunks, as AWS's SDKs for Java and Go send large bodies."""
    sizes = [len(piece) for piece in pieces]
    given = {
        "Content-Encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(sum(sizes)),
        "X-Amz-Content-SHA256": SIGNED,
    }
    request = AWSRequest("PUT", connection.endpoint_url + path, data=b"", headers=given)
    auth = S3SigV4Auth(KEYS, "s3", "us-east-1")
    auth.payload = lambda request: SIGNED
    auth.add_auth(request)
    headers = dict(request.headers.items())
    date = headers["X-Amz-Date"]
    key = signing_key(MINE.secret_access_key, date[:8], "us-east-1", "s3")
    seed = headers["Authorization"].rpartition("Signature=")[2]
    scope = f"{date[:8]}/us-east-1/s3/aws4_request"
    signer, previous, body = ChunkSigner(key, date, scope, seed), seed, b""
    for piece in [*pieces, b""]:
        previous = signer.chunk(previous, hashlib.sha256(piece).hexdigest())
        body += f"{len(piece):x};chunk-signature={previous}\r\n".encode() + piece + b"\r\n"
    return ask(connection, "PUT", path, headers, tamper(body) if tamper else body)


def test_signed_chunks_are_verified_one_by_one(connection, s3):
    pieces = [os.urandom(65536), b"the middle", b"end"]
    assert chunked(connection, "/bucket/c", pieces)[0] == 200
    assert s3.get_object(Bucket="bucket", Key="c")["Body"].read() == b"".join(pieces)
    s3.delete_object(Bucket="bucket", Key="c")
    for change in (
        lambda body: body.replace(b"the middle", b"the muddle"),
        lambda body: body.replace(b"a;chunk-signature=", b"a;chunk-signature=0"),
        lambda body: re.sub(rb";chunk-signature=[0-9a-f]+", b"", body),
    ):
        status, answer = chunked(connection, "/bucket/c", pieces, change)
        assert (status, "<Code>SignatureDoesNotMatch</Code>" in answer) == (403, True)
    cut = len(b"".join(pieces)) + 100
    status, answer = chunked(connection, "/bucket/c", pieces, lambda body: body[:cut])
    assert (status, "<Code>IncompleteBody</Code>" in answer) == (400, True)
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="bucket")["Contents"]] == ["k"]


# the front itself


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "127.0.0.1.evil:80"])
def test_only_our_own_names_are_answered(connection, s3, host):
    """Whatever a name on the web resolves to, it is not ours."""
    headers = signed(connection, "GET", "/bucket/k")
    status, answer = ask(connection, "GET", "/bucket/k", headers, host=host)
    assert (status, "AccessDenied" in answer) == (403, True)


def test_the_host_may_stand_there_once_only(connection, s3):
    headers = signed(connection, "GET", "/bucket/k")
    status, _ = ask(connection, "GET", "/bucket/k", {**headers, "host": "evil.example"})
    assert status in (400, 403)


LENGTHS = "Content-Length: 4\r\nContent-Length: 5\r\n"
BOTH = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        LENGTHS,
        BOTH,
        "Content-Length: +4\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 4, 4\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        " folded: x\r\n",
        "X-Null: a\0b\r\n",
    ],
)
def test_heads_that_two_readers_could_read_in_two_ways_are_refused(connection, s3, lines):
    host = connection.endpoint_url.removeprefix("http://")
    smuggled = b"0\r\n\r\nGET /bucket/k HTTP/1.1\r\nHost: x\r\n\r\n"
    status, answer = raw(
        connection, f"PUT /bucket/s HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n", smuggled
    )
    assert status in (400, 403)
    assert " 200 OK" not in answer


@pytest.mark.parametrize(
    "target",
    ["*", "http://evil.example/bucket/k", "//bucket/k", "/bucket/k#x", "/\xff\xfe", "bucket"],
)
def test_odd_targets_are_refused_without_a_fault(connection, s3, target):
    headers = signed(connection, "GET", "/bucket/k")
    status, answer = ask(connection, "GET", target, headers)
    assert 400 <= status < 500
    assert "InternalFailure" not in answer


@pytest.mark.parametrize(
    "head",
    [
        "GET /" + "a" * 100_000 + " HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + "a" * 100_000 + "\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\n" + "X-Many: a\r\n" * 5000 + "\r\n",
    ],
)
def test_huge_heads_are_refused(connection, head):
    assert raw(connection, head)[0] in (0, 400, 414, 431)


def test_a_head_that_comes_by_drops_is_given_up(connection):
    host, _, port = connection.endpoint_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as link:
        begun = time.monotonic()
        link.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert link.recv(1) == b""
        assert time.monotonic() - begun > 0.3


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(connection, s3):
    headers = signed(connection, "POST", "/", b"", {"Content-Length": str(10**12)}, "sagemaker")
    status, answer = ask(connection, "POST", "/", headers)
    assert (status, "RequestEntityTooLarge" in answer) == (413, True)
    given = {"Content-Length": str(10**12), "Content-MD5": "x"}
    headers = signed(connection, "POST", "/bucket?delete", b"", given)
    status, answer = ask(connection, "POST", "/bucket?delete", headers)
    assert (status, "EntityTooLarge" in answer) == (400, True)


def test_no_request_was_a_fault(connection, s3, faults):
    """The last of this module: nothing of the above reached the log as a bug."""
    assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == b"data"
    assert faults == []


def test_malformed_requests_do_not_fill_the_log():
    for error, kept in ((BadHttpMessage("x"), False), (ZeroDivisionError(), True)):
        line = logging.LogRecord("", 40, "", 0, "", (), (type(error), error, None))
        assert is_ours(line) is kept

"""Our verification against botocore's own signer."""

from __future__ import annotations

import hashlib
import time
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from mmectl.base.values import Credentials
from mmectl.local.auth import claims, sigv4

MINE = Credentials("AKIAEXAMPLE", "secret/with+signs=")
THEIRS = BotoCredentials(MINE.access_key_id, MINE.secret_access_key)
HOST = "127.0.0.1:4000"
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


def signed(path="/", params=None, headers=None, body=b"", service="s3", auth=None):
    request = AWSRequest(
        "PUT", f"http://{HOST}{path}", params=params or {}, headers=headers or {}, data=body
    )
    cls = auth or (S3SigV4Auth if service == "s3" else SigV4Auth)
    if service == "s3":
        request.context["payload_signing_enabled"] = True
    cls(THEIRS, service, "us-east-1").add_auth(request)
    prepared = request.prepare()
    target = prepared.url.removeprefix(f"http://{HOST}")
    raw_path, _, query = target.partition("?")
    found = CIMultiDict({name: _text(value) for name, value in prepared.headers.items()})
    found.setdefault("Host", HOST)
    return claims.Request("PUT", raw_path, query, found)


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


def check(request, body=b"", credentials=MINE, now=None):
    claim = claims.read_claim(request)
    digest = request.headers.get("x-amz-content-sha256")
    if digest is None:
        digest = "UNSIGNED-PAYLOAD" if claim.presigned else _sha256(body)
    return sigv4.verify(request, claim, credentials, digest, now or time.time())


def _sha256(body):
    return hashlib.sha256(body).hexdigest()


@settings(max_examples=150, deadline=None)
@given(
    path=st.lists(TEXT, max_size=4),
    params=st.dictionaries(TEXT.filter(bool), TEXT, max_size=4),
    body=st.binary(max_size=64),
    service=st.sampled_from(["s3", "sagemaker", "iam"]),
)
def test_what_botocore_signs_verifies(path, params, body, service):
    raw = "/" + "/".join(quote(part, safe="-_.~") for part in path)
    request = signed(raw, params, body=body, service=service)
    assert len(check(request, body)) == 32


@settings(max_examples=50, deadline=None)
@given(value=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40))
def test_header_values_are_normalised_as_botocore_does(value):
    request = signed("/b/k", headers={"x-amz-meta-note": value})
    assert len(check(request)) == 32


def test_presigned_urls_verify_and_expire():
    class Auth(S3SigV4QueryAuth):  # type: ignore[misc] # botocore has no types
        def __init__(self, *args):
            super().__init__(*args, expires=60)

    request = signed("/bucket/a%20b", {"versionId": "x"}, auth=Auth)
    assert len(check(request)) == 32
    with pytest.raises(claims.Refused) as caught:
        check(request, now=time.time() + 61)
    assert caught.value.reason == "expired"


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_more_than_15_minutes_off_is_refused(minutes):
    with pytest.raises(claims.Refused) as caught:
        check(signed(), now=time.time() + minutes * 60)
    assert caught.value.reason == "skewed"


@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_clock_14_minutes_off_is_fine(minutes):
    assert check(signed(), now=time.time() + minutes * 60)


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        (Credentials("AKIAOTHER", MINE.secret_access_key), "unknown_key"),
        (Credentials(MINE.access_key_id, "other"), "mismatch"),
    ],
)
def test_foreign_credentials_are_refused(credentials, reason):
    with pytest.raises(claims.Refused) as caught:
        check(signed(), credentials=credentials)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "change",
    [
        lambda r: claims.Request("GET", r.path, r.query, r.headers),
        lambda r: claims.Request(r.method, "/other", r.query, r.headers),
        lambda r: claims.Request(r.method, r.path, "a=c", r.headers),
        lambda r: claims.Request(
            r.method, r.path, r.query, CIMultiDict({**r.headers, "x-amz-meta-a": "2"})
        ),
        lambda r: claims.Request(
            r.method,
            r.path,
            r.query,
            CIMultiDict({k: v for k, v in r.headers.items() if k.lower() != "x-amz-meta-a"}),
        ),
        lambda r: claims.Request(
            r.method, r.path, r.query, CIMultiDict({**r.headers, "Host": "evil:1"})
        ),
        lambda r: claims.Request(
            r.method, r.path, r.query, CIMultiDict([*r.headers.items(), ("x-amz-meta-a", "2")])
        ),
    ],
)
def test_any_change_to_what_is_signed_is_refused(change):
    request = signed("/bucket/key", {"a": "b"}, {"x-amz-meta-a": "1"})
    assert check(request)
    with pytest.raises(claims.Refused) as caught:
        check(change(request))
    assert caught.value.reason == "mismatch"


def test_an_x_amz_header_that_is_not_signed_is_refused():
    request = signed("/bucket/key")
    request.headers["x-amz-copy-source"] = "/other/key"
    with pytest.raises(claims.Refused, match="not signed") as caught:
        check(request)
    assert caught.value.reason == "unsigned"
    assert caught.value.members == {"HeadersNotSigned": "x-amz-copy-source"}


AUTH = "AWS4-HMAC-SHA256 Credential=A/20260101/r/s3/aws4_request, SignedHeaders={}, Signature=ab"


@pytest.mark.parametrize(
    ("headers", "query", "reason"),
    [
        ({}, "", "missing"),
        ({"Authorization": "Basic abc"}, "", "unsupported"),
        ({"Authorization": "AWS4-HMAC-SHA256 nonsense"}, "", "malformed"),
        ({"Authorization": AUTH.format("x-amz-date"), "X-Amz-Date": "20260101T0"}, "", "malformed"),
        ({"Authorization": AUTH.format("host"), "X-Amz-Date": "20270101T000000Z"}, "", "malformed"),
        ({}, "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=0", "bad_query"),
        ({}, "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=604801", "bad_query"),
        ({}, "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=%C2%B2", "bad_query"),
        ({}, "X-Amz-Algorithm=other", "bad_query"),
        ({"Authorization": AUTH.format("host")}, "X-Amz-Algorithm=AWS4-HMAC-SHA256", "both"),
    ],
)
def test_claims_that_cannot_be_read_are_refused(headers, query, reason):
    with pytest.raises(claims.Refused) as caught:
        claims.read_claim(claims.Request("GET", "/", query, CIMultiDict(headers)))
    assert caught.value.reason == reason


def test_a_date_that_is_none_is_refused():
    headers = {"Authorization": AUTH.format("host"), "X-Amz-Date": "20260101Tx", "Host": HOST}
    request = claims.Request("GET", "/", "", CIMultiDict(headers))
    with pytest.raises(claims.Refused) as caught:
        claims.check_time(claims.read_claim(request), time.time())
    assert caught.value.reason == "malformed"


def test_our_own_signer_agrees():
    now = time.time()
    headers = sigv4.sign(
        "GET", "/-/status", {"host": HOST}, MINE, region="r", service="mmectl", now=now
    )
    request = claims.Request("GET", "/-/status", "", CIMultiDict(headers))
    assert len(check(request, now=now)) == 32


def test_a_path_sent_less_encoded_than_signed_verifies_for_s3():
    request = signed("/bucket/a%2Bb%3D")
    loose = claims.Request(request.method, "/bucket/a+b=", "", request.headers)
    assert len(check(loose)) == 32


def test_the_signature_is_not_in_the_error():
    with pytest.raises(claims.Refused) as caught:
        check(signed(), credentials=Credentials(MINE.access_key_id, "other"))
    assert MINE.secret_access_key not in caught.value.message

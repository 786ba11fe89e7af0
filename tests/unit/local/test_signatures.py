"""Signatures against AWS's published examples and against botocore, version 2 and chunks."""

from __future__ import annotations

import calendar
import time
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import HmacV1QueryAuth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from botocore.utils import percent_encode_sequence
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from mmectl.base.values import Credentials
from mmectl.local.auth import claims, sigv2, sigv4
from mmectl.local.refusals import JSON, QUERY, S3, protocol_of, refusal
from mmectl.local.s3.chunked import SIGNED, SIGNED_TRAILER, ChunkDecoder, ChunkSigner

# "Examples: Signature calculations" of the S3 API reference
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
DAY = "20130524/us-east-1/s3/aws4_request"
NOON = calendar.timegm((2013, 5, 24, 0, 0, 0))
EMPTY = sigv4.EMPTY_SHA256
STREAM = {
    "Host": "s3.amazonaws.com",
    "X-Amz-Date": "20130524T000000Z",
    "X-Amz-Storage-Class": "REDUCED_REDUNDANCY",
    "Content-Encoding": "aws-chunked",
    "X-Amz-Decoded-Content-Length": "66560",
    "Content-Length": "66824",
}


def example(method, path, query, headers, signature):
    names = ";".join(sorted(name.lower() for name in headers))
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={EXAMPLE.access_key_id}/{DAY}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    given_headers = CIMultiDict({**headers, "Authorization": authorization})
    return claims.Request(method, path, query, given_headers)


def verified(request):
    digest = request.headers.get("x-amz-content-sha256")
    return sigv4.verify(request, claims.read_claim(request), EXAMPLE, digest, NOON)


@pytest.mark.parametrize(
    ("query", "more", "path", "signature"),
    [
        (
            "",
            {"Range": "bytes=0-9"},
            "/test.txt",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "lifecycle",
            {},
            "/",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "max-keys=2&prefix=J",
            {},
            "/",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_the_examples_of_the_reference_verify(query, more, path, signature):
    headers = {
        "Host": "examplebucket.s3.amazonaws.com",
        "X-Amz-Content-SHA256": EMPTY,
        "X-Amz-Date": "20130524T000000Z",
        **more,
    }
    assert verified(example("GET", path, query, headers, signature))


def test_the_presigned_example_verifies():
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F"
        "us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&"
        "X-Amz-SignedHeaders=host&X-Amz-Signature="
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    headers = CIMultiDict({"Host": "examplebucket.s3.amazonaws.com"})
    request = claims.Request("GET", "/test.txt", query, headers)
    assert sigv4.verify(request, claims.read_claim(request), EXAMPLE, sigv4.UNSIGNED, NOON)


CHUNKS = (
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
)
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"


def body_in_chunks(signatures):
    sizes = (65536, 1024, 0)
    return b"".join(
        f"{size:x};chunk-signature={signature}\r\n".encode() + b"a" * size + b"\r\n" * (size > 0)
        for size, signature in zip(sizes, signatures, strict=True)
    )


def decoded(mode, seed, key, body):
    decoder = ChunkDecoder(mode, ChunkSigner(key, "20130524T000000Z", DAY, seed))
    found = decoder.feed(body)
    decoder.finish()
    return found, decoder.trailers


def test_the_example_in_chunks_verifies():
    headers = {**STREAM, "X-Amz-Content-SHA256": SIGNED}
    request = example("PUT", "/examplebucket/chunkObject.txt", "", headers, SEED)
    key = verified(request)
    found, _ = decoded(SIGNED, SEED, key, body_in_chunks(CHUNKS) + b"\r\n")
    assert found == b"a" * 66560


TRAILED = (
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
)
TRAILER_SEED = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"


def test_the_example_with_a_trailer_verifies():
    key = sigv4.signing_key(EXAMPLE.secret_access_key, "20130524", "us-east-1", "s3")
    signature = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
    tail = f"x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:{signature}\r\n\r\n"
    body = body_in_chunks(TRAILED) + tail.encode()
    found, trailers = decoded(SIGNED_TRAILER, TRAILER_SEED, key, body)
    assert (len(found), trailers) == (66560, {"x-amz-checksum-crc32c": "sOO8/Q=="})


# presigned URLs, both versions, against botocore

KEYS = BotoCredentials(EXAMPLE.access_key_id, EXAMPLE.secret_access_key)
HOST = "127.0.0.1:4000"
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10)
OVERRIDE = st.sampled_from(["response-content-type", "versionId", "uploadId", "partNumber"])


def presigned(auth, method, key, params, headers):
    """What a client sends who was given the URL, with the headers it was made for."""
    path = "/bucket/" + quote(key, safe="/-_.~")
    query = percent_encode_sequence(params)
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    signed = AWSRequest(method, url, headers=headers)
    auth.add_auth(signed)
    parts = urlsplit(signed.url)
    sent = CIMultiDict({"Host": HOST, **headers})
    return claims.Request(method, parts.path, parts.query, sent)


def without_meta(headers):
    """The headers of a client that leaves the metadata to the query."""
    return CIMultiDict({k: v for k, v in headers.items() if k != "x-amz-meta-v"})


@settings(max_examples=100, deadline=None)
@given(
    key=TEXT,
    params=st.dictionaries(OVERRIDE, TEXT, max_size=2),
    meta=st.from_regex(r"\A[!-~]([ -~]*[!-~])?\Z", fullmatch=True).filter(lambda v: "  " not in v),
)
def test_presigned_urls_of_botocore_verify_in_both_versions(key, params, meta):
    headers = {"x-amz-meta-v": meta, "Content-Type": "text/x"}
    now = time.time()
    old = presigned(HmacV1QueryAuth(KEYS, 60), "PUT", key, params, headers)
    assert sigv2.is_claimed(old)
    claim = sigv2.read_claim(old)
    sigv2.verify(old, claim, EXAMPLE, now)
    new = presigned(S3SigV4QueryAuth(KEYS, "s3", "us-east-1", 60), "PUT", key, params, headers)
    assert not sigv2.is_claimed(new)
    assert sigv4.verify(new, claims.read_claim(new), EXAMPLE, sigv4.UNSIGNED, now)
    for changed in (
        claims.Request("GET", old.path, old.query, old.headers),
        claims.Request("PUT", old.path + "x", old.query, old.headers),
        claims.Request("PUT", old.path, old.query + "&policy", old.headers),
        claims.Request("PUT", old.path, old.query + "&%70olicy", old.headers),
        claims.Request("PUT", old.path, "%70olicy=&" + old.query, old.headers),
        claims.Request("PUT", old.path, "X-Amz-Meta-V=z&" + old.query, without_meta(old.headers)),
        claims.Request("PUT", old.path, old.query, CIMultiDict({**old.headers, "x-amz-a": "b"})),
        claims.Request("PUT", old.path, old.query + "&x-amz-copy-source=b", old.headers),
    ):
        with pytest.raises(claims.Refused, match="does not match"):
            sigv2.verify(changed, claim, EXAMPLE, now)
    with pytest.raises(claims.Refused, match="Request has expired"):
        sigv2.verify(old, claim, EXAMPLE, now + 62)


@pytest.mark.parametrize(
    "query", ["AWSAccessKeyId=a", "AWSAccessKeyId=a&Signature=b&Expires=x", "AWSAccessKeyId="]
)
def test_old_urls_that_lack_something_are_refused(query):
    with pytest.raises(claims.Refused) as caught:
        sigv2.read_claim(claims.Request("GET", "/b/k", query, CIMultiDict()))
    assert caught.value.reason == "bad_query"


def test_an_expiry_of_many_digits_is_refused():
    query = f"X-Amz-Algorithm={claims.ALGORITHM}&X-Amz-Expires={'9' * 5000}"
    with pytest.raises(claims.Refused) as caught:
        claims.read_claim(claims.Request("GET", "/b/k", query, CIMultiDict()))
    assert caught.value.reason == "bad_query"


@pytest.mark.parametrize("date", ["Fri, 24 May 2013 00:00:00 GMT", "20130524T000000Z"])
def test_a_date_header_stands_for_the_other(date):
    authorization = f"{claims.ALGORITHM} Credential=A/{DAY}, SignedHeaders=date;host, Signature=ab"
    headers = CIMultiDict({"Date": date, "Authorization": authorization})
    claim = claims.read_claim(claims.Request("GET", "/", "", headers))
    assert claim.timestamp == "20130524T000000Z"
    claims.check_time(claim, NOON)
    with pytest.raises(claims.Refused) as caught:
        claims.check_time(claim, NOON + 1000)
    assert caught.value.reason == "skewed"


def test_a_date_header_that_is_none_is_refused():
    headers = CIMultiDict(
        {
            "Date": "yesterday",
            "Authorization": f"{claims.ALGORITHM} Credential=A/{DAY}, SignedHeaders=host, "
            "Signature=ab",
        }
    )
    with pytest.raises(claims.Refused) as caught:
        claims.read_claim(claims.Request("GET", "/", "", headers))
    assert caught.value.reason == "malformed"


# words


@pytest.mark.parametrize(
    ("service", "path", "reason", "code", "status"),
    [
        ("s3", "/b", "missing", "AccessDenied", 403),
        ("s3", "/b", "skewed", "RequestTimeTooSkewed", 403),
        ("sts", "/", "unknown_key", "InvalidClientTokenId", 403),
        ("iam", "/", "skewed", "SignatureDoesNotMatch", 403),
        ("logs", "/", "missing", "MissingAuthenticationTokenException", 400),
        ("ecr", "/", "mismatch", "InvalidSignatureException", 400),
        ("sagemaker", "/endpoints/e/invocations", "mismatch", "InvalidSignatureException", 403),
    ],
)
def test_every_service_refuses_in_its_own_words(service, path, reason, code, status):
    error = refusal(
        protocol_of(service, path, {}), claims.Refused(reason, "text", {"Secret": "s3 only"})
    )
    assert (error.code, error.status) == (code, status)
    assert bool(error.members) == (service == "s3")


def test_no_reason_is_without_words():
    assert set(S3) == set(QUERY) == set(JSON)

"""The pure parts of S3: checksums, chunks, listing, conditions, XML, names."""

from __future__ import annotations

import hashlib
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmectl.local.s3 import checksums
from mmectl.local.s3 import listing as s3_list
from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.chunked import (
    SIGNED,
    SIGNED_TRAILER,
    UNSIGNED_TRAILER,
    ChunkDecoder,
    ChunkSigner,
)
from mmectl.local.s3.conditions import byte_range, read_condition, write_condition
from mmectl.local.s3.http import check_bucket_name
from mmectl.local.s3.index import Entry, blob
from mmectl.local.s3.service import operation_name, subresource
from mmectl.local.values import AwsError


def refused(code, call, *args):
    with pytest.raises(AwsError) as caught:
        call(*args)
    assert caught.value.code == code
    return caught.value


# checksums: check values of the CRC catalogue for "123456789"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("crc32", "cbf43926"),
        ("crc32c", "e3069283"),
        ("crc64nvme", "ae8b14860a799888"),
        ("sha1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        ("sha256", hashlib.sha256(b"123456789").hexdigest()),
    ],
)
def test_checksums_have_their_published_check_values(name, expected):
    running = checksums.new(name)
    running.update(b"1234")
    running.update(b"56789")
    assert running.digest().hex() == expected


@pytest.mark.parametrize("extra", [0, 1, 5000])
def test_the_many_lane_crc_equals_zlib(extra):
    data = bytes(range(256)) * 1024 + b"x" * extra
    running = checksums.TableCrc(*checksums.CRCS["crc32"])
    running.update(data[:100])
    running.update(data[100:])
    assert int.from_bytes(running.digest(), "big") == zlib.crc32(data)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=5))
def test_crcs_of_parts_combine_to_that_of_the_whole(parts):
    for name in checksums.CRCS:
        sums = [(checksums.encode(digest(name, part)), len(part)) for part in parts]
        whole = checksums.encode(digest(name, b"".join(parts)))
        assert checksums.full_object(name, sums) == whole


def digest(name, data):
    running = checksums.new(name)
    running.update(data)
    return running.digest()


def test_checksums_that_do_not_combine_or_are_unknown_are_refused():
    refused("InvalidRequest", checksums.full_object, "sha256", [])
    refused("NotImplemented", checksums.new, "xxhash64")
    refused("InvalidRequest", checksums.decode, "not base64!")


# aws-chunked


SIGNER = ChunkSigner(b"key", "20260101T000000Z", "20260101/r/s3/aws4_request", "seed")


def encoded(payload, mode, size=10, trailers=()):
    signed = mode != UNSIGNED_TRAILER
    previous, out = SIGNER.seed, b""
    pieces = [payload[i : i + size] for i in range(0, len(payload), size)] + [b""]
    for piece in pieces:
        previous = SIGNER.chunk(previous, hashlib.sha256(piece).hexdigest())
        extension = f";chunk-signature={previous}" if signed else ""
        out += f"{len(piece):x}{extension}\r\n".encode()
        out += piece + b"\r\n" if piece else b""
    if mode == SIGNED:
        return out + b"\r\n"
    text = "".join(f"{name}:{value}\n" for name, value in trailers)
    out += text.replace("\n", "\r\n").encode()
    if signed:
        signature = SIGNER.trailer(previous, hashlib.sha256(text.encode()).hexdigest())
        out += f"x-amz-trailer-signature:{signature}\r\n".encode()
    return out + b"\r\n"


@settings(deadline=None)
@given(
    payload=st.binary(max_size=60),
    mode=st.sampled_from([SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER]),
    step=st.integers(1, 50),
)
def test_chunks_decode_however_the_bytes_arrive(payload, mode, step):
    data = encoded(payload, mode, trailers=[("x-amz-checksum-crc32", "AAAAAA==")])
    decoder = ChunkDecoder(mode, SIGNER)
    found = b"".join(decoder.feed(data[i : i + step]) for i in range(0, len(data), step))
    decoder.finish()
    assert found == payload
    assert mode == SIGNED or decoder.trailers == {"x-amz-checksum-crc32": "AAAAAA=="}


def decode(mode, data):
    decoder = ChunkDecoder(mode, SIGNER)
    decoder.feed(data)
    decoder.finish()


@pytest.mark.parametrize(
    ("mode", "data", "code"),
    [
        (SIGNED, encoded(b"hello", SIGNED).replace(b"hello", b"jello"), "SignatureDoesNotMatch"),
        (SIGNED, b"5\r\nhello\r\n0\r\n\r\n", "SignatureDoesNotMatch"),
        (
            SIGNED_TRAILER,
            encoded(b"x", SIGNED_TRAILER, trailers=[("a", "b")]).replace(b"a:b", b"a:c"),
            "SignatureDoesNotMatch",
        ),
        (SIGNED, encoded(b"hello", SIGNED)[:40], "IncompleteBody"),
        (UNSIGNED_TRAILER, b"5\r\nhel", "IncompleteBody"),
        (UNSIGNED_TRAILER, b"zz\r\n", "InvalidRequest"),
        (UNSIGNED_TRAILER, b"-5\r\n", "InvalidRequest"),
        (UNSIGNED_TRAILER, b"5\r\nhelloworld\r\n", "InvalidRequest"),
        (UNSIGNED_TRAILER, b"0\r\n\r\nmore", "InvalidRequest"),
        (UNSIGNED_TRAILER, b"1" * 20_000, "InvalidRequest"),
        (SIGNED, encoded(b"", SIGNED) + b"more", "InvalidRequest"),
    ],
)
def test_broken_chunks_are_refused(mode, data, code):
    refused(code, decode, mode, data)


# listing


KEYS = st.lists(st.text("ab/\u00e9", min_size=1, max_size=6), unique=True, max_size=25)


def scanner(keys):
    ordered = sorted(keys, key=blob)

    def scan(start, end, limit):
        found = [k for k in ordered if start <= blob(k) and (end is None or blob(k) < end)]
        return [Entry(key, "", 0, "", 0) for key in found[:limit]]

    return scan


def naive(keys, prefix, delimiter):
    shown = set()
    for key in keys:
        if key.startswith(prefix):
            rest = key[len(prefix) :]
            cut = rest.find(delimiter) if delimiter else -1
            shown.add(prefix + rest[: cut + len(delimiter)] if cut >= 0 else key)
    return sorted(shown, key=blob)


@settings(deadline=None)
@given(
    KEYS, st.sampled_from(["", "a", "a/", "b"]), st.sampled_from(["", "/", "a/"]), st.integers(1, 4)
)
def test_pages_together_show_everything_once(keys, prefix, delimiter, size):
    shown, after = [], ""
    for _ in range(100):
        page = s3_list.page(scanner(keys), prefix, delimiter, after, size)
        both = [entry.key for entry in page.entries] + list(page.prefixes)
        assert len(both) <= size
        shown += both
        if not page.truncated:
            break
        after = page.last
    assert sorted(shown, key=blob) == naive(keys, prefix, delimiter)
    assert len(shown) == len(set(shown))


@settings(deadline=None, max_examples=400)
@given(
    KEYS,
    st.text("ab/\u00e9", max_size=3),
    st.sampled_from(["", "/", "a", "b/"]),
    st.text("ab/\u00e9", max_size=4),
    st.integers(1, 30),
)
def test_a_page_is_what_lies_behind_its_start(keys, prefix, delimiter, after, size):
    """Against a model: everything there is to show, behind the key that was named."""
    page = s3_list.page(scanner(keys), prefix, delimiter, after, size)
    both = sorted([e.key for e in page.entries] + list(page.prefixes), key=blob)
    behind = [key for key in keys if blob(key) > blob(after)]
    # a common prefix that was named is not shown again, whatever lies in it
    expected = [item for item in naive(behind, prefix, delimiter) if item != after]
    assert both == expected[:size]
    assert page.truncated == (len(expected) > size)


def test_a_page_of_none_is_not_truncated():
    page = s3_list.page(scanner(["a"]), "", "", "", 0)
    assert (page.entries, page.truncated) == ((), False)


def test_a_listing_starts_behind_a_key_that_is_not_there():
    page = s3_list.page(scanner(["a", "b/1", "c"]), "", "/", "aa", 10)
    assert ([e.key for e in page.entries], page.prefixes) == (["c"], ("b/",))


# conditions and ranges


ENTRY = Entry("k", "f", 10, "abc", 1_700_000_000.5)


def headers(**given):
    names = {name.replace("_", "-").lower(): value for name, value in given.items()}
    return lambda name: names.get(name.lower())


@pytest.mark.parametrize(
    ("given_headers", "expected"),
    [
        ({}, "send"),
        ({"If_Match": '"abc"'}, "send"),
        ({"If_Match": "*"}, "send"),
        ({"If_None_Match": '"other", "abc"'}, "unchanged"),
        ({"If_None_Match": '"other"'}, "send"),
        ({"If_Modified_Since": "Tue, 14 Nov 2023 22:13:20 GMT"}, "unchanged"),
        ({"If_Modified_Since": "Tue, 14 Nov 2023 22:13:19 GMT"}, "send"),
        ({"If_Modified_Since": "nonsense"}, "send"),
        ({"If_Unmodified_Since": "Tue, 14 Nov 2023 22:13:20 GMT"}, "send"),
    ],
)
def test_conditional_reads(given_headers, expected):
    assert read_condition(headers(**given_headers), ENTRY) == expected


@pytest.mark.parametrize(
    "given_headers",
    [{"If_Match": '"other"'}, {"If_Unmodified_Since": "Tue, 14 Nov 2023 22:13:19 GMT"}],
)
def test_conditional_reads_that_fail(given_headers):
    assert (
        refused("PreconditionFailed", read_condition, headers(**given_headers), ENTRY).status == 412
    )


def test_conditional_writes():
    never = write_condition(headers(If_None_Match="*"))
    refused("PreconditionFailed", never.check, ENTRY, "k")
    never.check(None, "k")
    same = write_condition(headers(If_Match='"abc"'))
    same.check(ENTRY, "k")
    refused("NoSuchKey", same.check, None, "k")
    refused("PreconditionFailed", write_condition(headers(If_Match='"x"')).check, ENTRY, "k")
    refused("NotImplemented", write_condition, headers(If_None_Match='"abc"'))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-4", (0, 5)),
        ("bytes=5-", (5, 5)),
        ("bytes=-3", (7, 3)),
        ("bytes=-300", (0, 10)),
        ("bytes=8-300", (8, 2)),
        ("bytes=-", None),
        ("bytes=5-2", None),
        ("bytes=0-1,3-4", None),
        ("lines=1-2", None),
        ("bytes=\u0661-", None),
    ],
)
def test_ranges(header, expected):
    assert byte_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_ranges_outside_the_object(header):
    assert refused("InvalidRange", byte_range, header, 10).status == 416


def test_no_range_of_an_empty_object():
    refused("InvalidRange", byte_range, "bytes=0-", 0)


# XML, names, operations


def test_xml_escapes_what_keys_may_hold():
    body = s3_xml.document("R", [("Key", 'a<&>"\x01\r'), ("No", None), ("Yes", True)], "")
    assert body.endswith(b'<R><Key>a&lt;&amp;&gt;"&#x1;&#xd;</Key><Yes>true</Yes></R>')


@pytest.mark.parametrize(
    "body",
    [b"", b"<a>", b"<Other/>", b'<!DOCTYPE x [<!ENTITY a "b">]><Delete/>', b"\xff\xfe"],
)
def test_bad_xml_is_refused(body):
    refused("MalformedXML", s3_xml.parse, body, "Delete")


def test_xml_is_read_without_its_namespace():
    body = b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet></Delete>'
    assert s3_xml.parse(body, "Delete").findtext("Quiet") == "true"


@pytest.mark.parametrize("name", ["abc", "my-bucket.1", "a" * 63])
def test_good_bucket_names(name):
    check_bucket_name(name)  # raises nothing


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a" * 64,
        "Abc",
        "-abc",
        "abc-",
        "a..b",
        "1.2.3.4",
        "xn--abc",
        "a.-b",
        "a-.b",
        "a-s3alias",
        "a_b",
        "\u00fcber",
    ],
)
def test_bad_bucket_names(name):
    refused("InvalidBucketName", check_bucket_name, name)


@pytest.mark.parametrize(
    ("params", "copy", "expected"),
    [
        ({}, False, ""),
        ({"prefix": "a", "delimiter": "/"}, False, ""),
        ({"list-type": "2", "prefix": ""}, False, "list-type"),
        ({"partNumber": "1", "uploadId": "x"}, False, "uploadId"),
        ({"partNumber": "1", "uploadId": "x"}, True, "uploadId+copy"),
        ({}, True, "copy"),
        ({"list-type": "2", "policy": ""}, False, "policy"),
        ({"acl": ""}, False, "acl"),
    ],
)
def test_the_query_selects_the_operation(params, copy, expected):
    assert subresource(params, copy) == expected


def test_operations_that_are_not_there_have_their_name():
    assert operation_name("GET", "Bucket", "acl") == "GetBucketAcl"
    assert operation_name("PUT", "Object", "legal-hold") == "PutObjectLegalHold"

"""What S3 takes of settings, tags, headers and policies; against the rules of the reference."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from mmectl.local.s3 import body, chunked, encryption, headers, lifecycle, policy, rules, tags
from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.index import Entry, Upload
from mmectl.local.s3.multipart import check_named
from mmectl.local.s3.settings import OWNERSHIPS
from mmectl.local.values import AwsError


def refused(code, call, *args):
    with pytest.raises(AwsError) as caught:
        call(*args)
    assert caught.value.code == code
    return caught.value


def tree(text):
    root = text[1:].partition(">")[0]
    return s3_xml.parse(text.encode(), root)


def given(**named):
    pairs = {name.replace("_", "-"): value for name, value in named.items() if value is not None}
    return CIMultiDictProxy(CIMultiDict(pairs))


# lifecycle

GOOD = "<Status>Enabled</Status><Filter><Prefix>a</Prefix></Filter>"
DAYS = "<Expiration><Days>1</Days></Expiration>"


def life(*inner):
    found = "".join(f"<Rule>{rule}</Rule>" for rule in inner)
    return tree(f"<LifecycleConfiguration>{found}</LifecycleConfiguration>")


@pytest.mark.parametrize(
    "rule",
    [
        GOOD + DAYS,
        f"<ID>{'a' * 255}</ID>" + GOOD + DAYS,
        "<Status>Disabled</Status><Prefix/>" + DAYS,
        "<Status>Enabled</Status><Filter/>" + DAYS,
        GOOD + "<Expiration><Date>2026-01-01T00:00:00.000Z</Date></Expiration>",
        GOOD + "<Expiration><Date>2026-01-01</Date></Expiration>",
        GOOD
        + "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
        GOOD + "<Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition>",
        GOOD + "<Transition><Days>0</Days><StorageClass>GLACIER</StorageClass></Transition>",
        GOOD + "<NoncurrentVersionTransition><NoncurrentDays>30</NoncurrentDays>"
        "<StorageClass>ONEZONE_IA</StorageClass></NoncurrentVersionTransition>",
        GOOD + "<NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays>"
        "<NewerNoncurrentVersions>3</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
        "<Status>Enabled</Status><Filter><And><Prefix>a</Prefix><Tag><Key>k</Key><Value/></Tag>"
        "</And></Filter>" + DAYS,
        "<Status>Enabled</Status><Filter><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>"
        + DAYS,
    ],
)
def test_rules_of_a_lifecycle_are_taken_and_have_ids(rule):
    kept = lifecycle.checked(life(rule, GOOD + DAYS))
    ids = [element.text for element in kept.iter("ID")]
    assert len(set(ids)) == 2
    assert all(ids)
    assert s3_xml.parse(s3_xml.write(kept), "LifecycleConfiguration").findtext("Rule/Status")


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (GOOD, "InvalidRequest"),
        (DAYS, "MalformedXML"),
        ("<Status>Enabled</Status>" + DAYS, "MalformedXML"),
        ("<Status>enabled</Status><Prefix/>" + DAYS, "MalformedXML"),
        (GOOD + "<Prefix/>" + DAYS, "MalformedXML"),
        (GOOD + DAYS + "<Unknown/>", "MalformedXML"),
        (f"<ID>{'a' * 256}</ID>" + GOOD + DAYS, "InvalidArgument"),
        (GOOD + "<Expiration/>", "MalformedXML"),
        (GOOD + "<Expiration><Days>0</Days></Expiration>", "InvalidArgument"),
        (GOOD + "<Expiration><Days>-1</Days></Expiration>", "InvalidArgument"),
        (GOOD + "<Expiration><Days>x</Days></Expiration>", "MalformedXML"),
        (GOOD + f"<Expiration><Days>{'1' * 5000}</Days></Expiration>", "MalformedXML"),
        (GOOD + "<Expiration><Days>1</Days><Date>2026-01-01</Date></Expiration>", "MalformedXML"),
        (GOOD + "<Expiration><Date>someday</Date></Expiration>", "MalformedXML"),
        (GOOD + "<Expiration><Date>2026-01-01T01:00:00Z</Date></Expiration>", "InvalidArgument"),
        (GOOD + "<Expiration><Date>9999-12-31T23:00:00-05:00</Date></Expiration>", "MalformedXML"),
        (GOOD + "<Transition><Days>1</Days></Transition>", "MalformedXML"),
        (
            GOOD
            + "<Transition><Days>29</Days><StorageClass>STANDARD_IA</StorageClass></Transition>",
            "InvalidArgument",
        ),
        (
            GOOD + "<Transition><Days>1</Days><StorageClass>CHEAP</StorageClass></Transition>",
            "MalformedXML",
        ),
        (
            "<Status>Enabled</Status><Filter><Prefix/><Tag><Key>k</Key><Value/></Tag></Filter>"
            + DAYS,
            "MalformedXML",
        ),
        (
            "<Status>Enabled</Status><Filter><Tag><Key>k</Key><Value/></Tag></Filter>"
            "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>"
            "</AbortIncompleteMultipartUpload>",
            "InvalidRequest",
        ),
        (
            GOOD + "<AbortIncompleteMultipartUpload><DaysAfterInitiation>0</DaysAfterInitiation>"
            "</AbortIncompleteMultipartUpload>",
            "InvalidArgument",
        ),
    ],
)
def test_rules_of_a_lifecycle_that_are_none(rule, code):
    refused(code, lifecycle.checked, life(rule))


def test_a_lifecycle_has_rules_with_ids_of_their_own():
    refused("MalformedXML", lifecycle.checked, life())
    same = "<ID>a</ID>" + GOOD + DAYS
    refused("InvalidArgument", lifecycle.checked, life(same, same))
    refused("MalformedXML", lifecycle.checked, life(*[GOOD + DAYS] * 1001))


# CORS, ownership, public access


def shared(rule):
    return tree(f"<CORSConfiguration><CORSRule>{rule}</CORSRule></CORSConfiguration>")


ANY = "<AllowedOrigin>*</AllowedOrigin>"
GET = "<AllowedMethod>GET</AllowedMethod>"


@pytest.mark.parametrize(
    "rule", [ANY + GET, GET + ANY + "<MaxAgeSeconds>5</MaxAgeSeconds><ID>a</ID>" + GET]
)
def test_rules_of_cors_are_taken(rule):
    assert rules.cors(shared(rule)).find("CORSRule") is not None


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (ANY, "MalformedXML"),
        (GET, "MalformedXML"),
        (ANY + "<AllowedMethod>NOTREAL</AllowedMethod>", "InvalidRequest"),
        (ANY + "<AllowedMethod>get</AllowedMethod>", "InvalidRequest"),
        (GET + "<AllowedOrigin>*.*</AllowedOrigin>", "InvalidRequest"),
        (GET + ANY + "<AllowedHeader>*x*</AllowedHeader>", "InvalidRequest"),
        (GET + ANY + "<ExposeHeader>x-*</ExposeHeader>", "InvalidRequest"),
        (GET + ANY + "<MaxAgeSeconds>soon</MaxAgeSeconds>", "MalformedXML"),
        (GET + ANY + f"<ID>{'a' * 256}</ID>", "InvalidArgument"),
        (GET + ANY + "<Other/>", "MalformedXML"),
    ],
)
def test_rules_of_cors_that_are_none(rule, code):
    refused(code, rules.cors, shared(rule))


def test_ownership_is_one_of_three():
    check = rules.ownership(OWNERSHIPS)
    good = (
        "<OwnershipControls><Rule><ObjectOwnership>{}</ObjectOwnership></Rule></OwnershipControls>"
    )
    for name in OWNERSHIPS:
        assert check(tree(good.format(name))).findtext("Rule/ObjectOwnership") == name
    refused("MalformedXML", check, tree(good.format("Mine")))
    refused("MalformedXML", check, tree("<OwnershipControls></OwnershipControls>"))


def test_public_access_is_completed():
    root = "<PublicAccessBlockConfiguration>{}</PublicAccessBlockConfiguration>"
    kept = rules.public_access(tree(root.format("<BlockPublicAcls>TRUE</BlockPublicAcls>")))
    assert [(e.tag, e.text) for e in kept] == [
        ("BlockPublicAcls", "true"),
        ("IgnorePublicAcls", "false"),
        ("BlockPublicPolicy", "false"),
        ("RestrictPublicBuckets", "false"),
    ]
    refused("InvalidRequest", rules.public_access, tree(root.format("")))
    bad = root.format("<BlockPublicAcls>yes</BlockPublicAcls>")
    refused("MalformedXML", rules.public_access, tree(bad))


# encryption


@pytest.mark.parametrize(
    ("asked", "default", "expected"),
    [
        ({}, {}, ("AES256", None, None)),
        ({}, {"key": "k", "algorithm": "aws:kms"}, ("aws:kms", "k", None)),
        ({}, {"key": "k", "algorithm": "aws:kms", "flag": "true"}, ("aws:kms", "k", "true")),
        ({"algorithm": "AES256"}, {"algorithm": "aws:kms", "flag": "true"}, ("AES256", None, None)),
        (
            {"algorithm": "aws:kms", "key": "other"},
            {"algorithm": "aws:kms", "key": "k", "flag": "true"},
            ("aws:kms", "other", "true"),
        ),
        (
            {"algorithm": "aws:kms", "flag": "false"},
            {"algorithm": "aws:kms", "flag": "true"},
            ("aws:kms", None, None),
        ),
    ],
)
def test_the_request_goes_before_the_default_of_the_bucket(asked, default, expected):
    long = {"algorithm": encryption.ALGORITHM, "key": encryption.KEY, "flag": encryption.BUCKET_KEY}
    first = {long[name]: value for name, value in asked.items()}
    second = {**encryption.DEFAULT, **{long[name]: value for name, value in default.items()}}
    found = encryption.chosen(encryption.asked(given(**first)), second)
    assert tuple(found.get(name) for name in encryption.NAMES) == expected


def test_a_default_is_read_from_the_document_of_a_bucket():
    inner = (
        "<SSEAlgorithm>{}</SSEAlgorithm>{}</ApplyServerSideEncryptionByDefault>"
        "<BucketKeyEnabled>true</BucketKeyEnabled>"
    )
    root = (
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>"
        + inner
        + "</Rule></ServerSideEncryptionConfiguration>"
    )
    key = "<KMSMasterKeyID>k</KMSMasterKeyID>"
    kept = s3_xml.write(encryption.checked(tree(root.format("aws:kms", key)))).decode()
    found = encryption.of_setting(kept)
    assert [found[name] for name in encryption.NAMES] == ["aws:kms", "k", "true"]
    assert encryption.of_setting(None) == encryption.of_setting("") == encryption.DEFAULT
    refused("MalformedXML", encryption.checked, tree(root.format("rot13", "")))
    refused("InvalidArgument", encryption.checked, tree(root.format("AES256", key)))


# tags


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, {}),
        ("", {}),
        ("a=b&c=", {"a": "b", "c": ""}),
        ("foo=bar&bar", {"foo": "bar", "bar": ""}),
        ("%C3%BC+x=%2B%40", {"\u00fc x": "+@"}),
        ("a:aws:b=1", {"a:aws:b": "1"}),
    ],
)
def test_tags_of_a_header(header, expected):
    assert tags.of_header(header) == expected


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("aws:a=b", "InvalidTag"),
        ("=b", "InvalidTag"),
        ("a=1&a=2", "InvalidTag"),
        ("a=b%26c", "InvalidTag"),
        ("a%00=b", "InvalidTag"),
        ("a=b%0A", "InvalidTag"),
        (f"{'k' * 129}=b", "InvalidTag"),
        (f"k={'v' * 257}", "InvalidTag"),
        ("%ff=b", "InvalidArgument"),
        ("&".join(f"k{i}=v" for i in range(11)), "BadRequest"),
        ("&".join(f"k{i}=v" for i in range(5000)), "InvalidArgument"),
    ],
)
def test_tags_that_are_refused(header, code):
    refused(code, tags.of_header, header)


def test_tags_of_a_document_have_a_key_and_a_value():
    root = "<CreateBucketConfiguration><Tags><Tag>{}</Tag></Tags></CreateBucketConfiguration>"
    both = "<Key>a</Key><Value/>"
    assert tags.of_bucket_document(tree(root.format(both))) == {"a": ""}
    refused("MalformedXML", tags.of_bucket_document, tree(root.format("<Key>a</Key>")))


# headers


@pytest.mark.parametrize("value", ["plain", "tab\there", "\u00fc\u4e2d", "", "!~"])
def test_what_a_header_carries_is_kept(value):
    headers.check_sendable("x-amz-meta-a", value)


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "\0", "\x1f", "\x7f", "\udcff"])
def test_what_no_header_carries_is_refused(value):
    refused("InvalidArgument", headers.check_sendable, "x-amz-meta-a", value)
    refused("InvalidArgument", headers.content_headers, given(x_amz_meta_a=value))
    refused("InvalidArgument", headers.content_headers, given(Content_Type="a" + value))
    where = given(x_amz_website_redirect_location="/" + value)
    refused("InvalidArgument", headers.system_headers, where)
    refused("InvalidArgument", headers.overrides, {"response-content-type": value})


@pytest.mark.parametrize("name", ["x-amz-meta-a b", "x-amz-meta-\r\nb", "x-amz-meta-\u00fc"])
def test_a_name_that_no_header_has_is_refused(name):
    refused("InvalidArgument", headers.content_headers, given(**{name: "v"}))


def test_a_redirection_begins_as_one():
    for good in ("/a", "http://a", "https://a"):
        headers.system_headers(given(x_amz_website_redirect_location=good))
    bad = given(x_amz_website_redirect_location="javascript:a")
    refused("InvalidRedirectLocation", headers.system_headers, bad)


def test_what_is_archived_cannot_be_read():
    for name in ("GLACIER", "DEEP_ARCHIVE"):
        entry = Entry("k", "f", 1, "e", 0, {headers.STORAGE_CLASS: name})
        assert refused("InvalidObjectState", headers.check_readable, entry).status == 403
    headers.check_readable(Entry("k", "f", 1, "e", 0, {headers.STORAGE_CLASS: "GLACIER_IR"}))


# policies

STATEMENT = {
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
    "Action": ["s3:GetObject", "s3:List*"],
    "Resource": "arn:aws:s3:::bucket/*",
}


def document(**changes):
    changed = {name: value for name, value in {**STATEMENT, **changes}.items() if value is not None}
    return json.dumps({"Version": "2012-10-17", "Statement": changed}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Sid": "one", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        {"Action": None, "NotAction": "s3:*"},
        {"Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::*"]},
    ],
)
def test_sound_policies_are_taken(changes):
    policy.check(document(**changes), "bucket")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"Effect": "allow"}, "Invalid effect : allow"),
        ({"Principal": None}, "Missing required field Principal"),
        ({"Action": []}, "Missing required field Action"),
        ({"Action": "ec2:RunInstances"}, "Policy has invalid action"),
        ({"Resource": None}, "Missing required field Resource"),
        ({"Resource": "arn:aws:s3:::other/*"}, "Policy has invalid resource"),
        ({"Resource": 5}, "Policy has invalid resource"),
        ({"Principle": "*"}, "Unknown field Principle"),
    ],
)
def test_policies_that_are_none_say_why(changes, text):
    assert refused("MalformedPolicy", policy.check, document(**changes), "bucket").message == text


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no",
        b"[]",
        b"\xff",
        b"{}",
        b"[" * 20_000,
        b'{"Statement": []}',
        b'{"Statement": [1]}',
        b'{"Version": "2026-01-01", "Statement": []}',
        b'{"a": "' + b"x" * 20_480 + b'"}',
    ],
)
def test_what_is_no_policy_is_refused(raw):
    refused("MalformedPolicy", policy.check, raw, "bucket")


# completions, bodies and chunks


def completion(*parts):
    found = "".join(f"<Part><PartNumber>{n}</PartNumber>{more}</Part>" for n, more in parts)
    return tree(f"<CompleteMultipartUpload>{found}</CompleteMultipartUpload>")


def test_a_composite_checksum_needs_those_of_the_parts():
    upload = Upload("u", "b", "k", 0, checksum="sha256")
    one = (1, "<ChecksumSHA256>x</ChecksumSHA256>")
    check_named(completion(one), upload)
    error = refused("InvalidRequest", check_named, completion(one, (2, "")), upload)
    assert error.message == (
        "The upload was created using a sha256 checksum. The complete request must include the "
        "checksum for each part. It was missing for part 2 in the request."
    )
    whole = Upload("u", "b", "k", 0, checksum="crc32", checksum_type="FULL_OBJECT")
    check_named(completion((1, "")), whole)
    check_named(completion((1, "")), Upload("u", "b", "k", 0))


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "+1", "1_0", "\u0661", "", " 1"])
def test_a_decoded_length_that_is_no_number(length):
    sent = given(x_amz_content_sha256=chunked.UNSIGNED_TRAILER, x_amz_decoded_content_length=length)
    refused("MissingContentLength", body.expected, sent, 10)


SIGNER = chunked.ChunkSigner(b"key", "20260101T000000Z", "20260101/r/s3/aws4_request", "seed")


def decode(data):
    decoder = chunked.ChunkDecoder(chunked.UNSIGNED_TRAILER, SIGNER)
    found = decoder.feed(data)
    decoder.finish()
    return found


@pytest.mark.parametrize("size", [b"+5", b" 5", b"5 ", b"0x5", b"5_0", b"", b"1" * 17, b"-5"])
def test_the_size_of_a_chunk_is_hexadecimal_digits_alone(size):
    assert decode(b"5\r\nhello\r\n0\r\n\r\n") == b"hello"
    refused("InvalidRequest", decode, size + b"\r\nhello\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "data", [b"5\nhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"0\n\r\n", b"0\r\na:b\n\r\n"]
)
def test_lines_of_chunks_end_with_both_characters(data):
    refused("InvalidRequest", decode, data)


@pytest.mark.parametrize("lines", [b"a:b\r\na:b\r\n", b"a:b\r\nA:c\r\n", b"nothing\r\n"])
def test_trailers_are_there_once_and_have_values(lines):
    refused("MalformedTrailerError", decode, b"0\r\n" + lines + b"\r\n")


# XML


@pytest.mark.parametrize(
    "raw",
    [
        b"<a>" * 1000,
        b"<R>" + b"<a/>" * 200_000 + b"</R>",
        "<R/>".encode("utf-16"),
        "<R/>".encode("utf-16-le"),
        b'<?xml version="1.0" encoding="utf-7"?><R/>',
        b"<?xml version='1.0'  encoding = 'big5' ?><R/>",
        b'\xef\xbb\xbf<?xml version="1.0" encoding="hex"?><R/>',
        b"<!DOCTYPE R><R/>",
        b"<R>\xff</R>",
        b"<R>&#0;</R>",
    ],
)
def test_documents_that_are_not_read(raw):
    refused("MalformedXML", s3_xml.parse, raw, "R")


@pytest.mark.parametrize(
    "raw",
    [
        b"<R>a</R>",
        b"\xef\xbb\xbf<R>a</R>",
        b'<?xml version="1.0" encoding="UTF-8"?><R>a</R>',
        b'<!-- c --><x:R xmlns:x="http://x"><![CDATA[a]]></x:R>',
    ],
)
def test_documents_that_are_read_and_written(raw):
    found = s3_xml.parse(raw, "R")
    assert found.text == "a"
    assert s3_xml.parse(s3_xml.write(found), "R").text == "a"


def test_what_is_written_is_escaped():
    text = "a<b>&\"'\r"
    found = s3_xml.parse(f"<R>{escape(text, {chr(13): '&#13;'})}</R>".encode(), "R")
    assert s3_xml.parse(s3_xml.write(found), "R").text == text

"""The S3 subset through real boto3."""

from __future__ import annotations

import base64
import http.client
import io
import os
import socket
import time

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

AWKWARD = [
    "../../x",
    "a//b",
    " lead and trail ",
    "\u00fc/\u4e2d/\U0001f600",
    "a+b=c&d?e#f",
    "%2e%2e",
]
CLASSIC = TransferConfig(preferred_transfer_client="classic")


def objects(state_dir):
    """The data files, and those on their way in."""
    folder = state_dir / "local" / "s3"
    return {path.name for sub in ("objects", "incoming") for path in (folder / sub).iterdir()}


def refused(code, call, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    assert caught.value.response["Error"]["Code"] == code
    return caught.value.response


# objects


@pytest.mark.parametrize("key", [*AWKWARD, "\u00fc" * 512, "k" * 1024])
def test_any_key_round_trips_and_is_listed(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
    refused("NoSuchKey", s3.get_object, Bucket=bucket, Key=key)


def test_a_key_of_1025_bytes_is_refused(s3, bucket):
    refused("KeyTooLongError", s3.put_object, Bucket=bucket, Key="k" * 1025, Body=b"")


def test_headers_and_metadata_come_back(s3, bucket):
    given = {
        "ContentType": "application/gzip",
        "CacheControl": "no-cache",
        "ContentEncoding": "gzip",
        "ContentDisposition": "inline",
        "Metadata": {"digest": "sha256:abc", "two": "words here"},
    }
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"\x1f\x8bdata", **given)
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert {name: head[name] for name in given} == given
    assert head["ContentLength"] == 6
    assert head["ETag"] == put["ETag"] == '"1f3332dedbbf48b9972bf5a910cdf35b"'
    assert head["ChecksumCRC32"] == put["ChecksumCRC32"]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"\x1f\x8bdata"


@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_ranges(s3, bucket, size):
    data = os.urandom(size)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    if size:
        got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={size // 2}-")
        assert got["Body"].read() == data[size // 2 :]
        assert got["ContentRange"] == f"bytes {size // 2}-{size - 1}/{size}"
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    answer = refused("InvalidRange", s3.get_object, Bucket=bucket, Key="k", Range=f"bytes={size}-")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 416


def test_conditional_puts_and_gets(s3, bucket):
    put = {"Bucket": bucket, "Key": "k"}
    etag = s3.put_object(**put, Body=b"1", IfNoneMatch="*")["ETag"]
    answer = refused("PreconditionFailed", s3.put_object, **put, Body=b"2", IfNoneMatch="*")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 412
    s3.put_object(**put, Body=b"1", IfMatch=etag)
    refused("PreconditionFailed", s3.put_object, **put, Body=b"2", IfMatch='"other"')
    refused("304", s3.get_object, **put, IfNoneMatch=etag)
    refused("PreconditionFailed", s3.get_object, **put, IfMatch='"other"')
    refused("412", s3.head_object, **put, IfMatch='"other"')
    assert s3.get_object(**put)["Body"].read() == b"1"


def test_a_refused_put_with_a_large_body_leaves_the_connection_usable(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    for _ in range(3):
        refused(
            "PreconditionFailed",
            s3.put_object,
            Bucket=bucket,
            Key="k",
            Body=os.urandom(3_000_000),
            IfNoneMatch="*",
        )
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksums_are_verified_and_answered(s3, bucket, algorithm, state_dir):
    before = objects(state_dir)
    name = f"Checksum{algorithm}"
    size = {"CRC32": 4, "SHA1": 20, "SHA256": 32}[algorithm]
    wrong = base64.b64encode(b"\x01" * size).decode()
    refused("BadDigest", s3.put_object, Bucket=bucket, Key="k", Body=b"abc", **{name: wrong})
    assert objects(state_dir) == before
    s3.put_object(Bucket=bucket, Key="k", Body=b"abc", ChecksumAlgorithm=algorithm)
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[name]
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read() == b"abc"


def test_a_wrong_content_md5_is_refused(s3, bucket):
    for md5, code in (("AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest"), ("short", "InvalidDigest")):
        refused(code, s3.put_object, Bucket=bucket, Key="k", Body=b"abc", ContentMD5=md5)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_presigned_urls(clients, bucket):
    s3 = clients("s3", config=Config(signature_version="s3v4"))
    s3.put_object(Bucket=bucket, Key="a b/\u00fc", Body=b"data")
    params = {"Bucket": bucket, "Key": "a b/\u00fc", "ResponseContentType": "text/plain"}
    url = s3.generate_presigned_url("get_object", Params=params)
    status, body, headers = fetch(url)
    assert (status, body, headers["Content-Type"]) == (200, b"data", "text/plain")
    status, body, _ = fetch(url.replace("a%20b", "a%20c"))
    assert (status, b"SignatureDoesNotMatch" in body) == (403, True)


def test_presigned_urls_as_boto3_makes_them_by_default(connection, bucket):
    """Version 2 of the signature, unless the client was told otherwise."""
    s3 = plain(connection)
    params = {"Bucket": bucket, "Key": "a b/\u00fc+"}
    put = {**params, "ContentType": "text/x", "Metadata": {"v": "1"}}
    url = s3.generate_presigned_url("put_object", Params=put)
    assert "AWSAccessKeyId=" in url
    assert fetch(url, "PUT", {"Content-Type": "text/x", "x-amz-meta-v": "1"}, b"data")[0] == 200
    head = s3.head_object(**params)
    assert (head["ContentType"], head["Metadata"]) == ("text/x", {"v": "1"})
    more = {**params, "ResponseContentType": "text/plain"}
    status, body, headers = fetch(s3.generate_presigned_url("get_object", Params=more))
    assert (status, body, headers["Content-Type"]) == (200, b"data", "text/plain")
    url = s3.generate_presigned_url("get_object", Params=params)
    for tampered in (
        url.replace("a%20b", "a%20c"),
        url + "&versionId=x",
        url + "&publicAccessBlock",
        url + "&x-amz-copy-source=%2Fb%2Fk",
        url.replace("Expires=", "Expires=9"),
    ):
        status, body, _ = fetch(tampered)
        assert (status, b"SignatureDoesNotMatch" in body) == (403, True), tampered
    status, body, _ = fetch(url, headers={"x-amz-checksum-mode": "ENABLED"})
    assert (status, b"SignatureDoesNotMatch" in body) == (403, True)
    assert fetch(url, "PUT", body=b"")[0] == 403
    old = s3.generate_presigned_url("get_object", Params=params, ExpiresIn=-1)
    status, body, _ = fetch(old)
    assert (status, b"<Message>Request has expired</Message>" in body) == (403, True)


def plain(connection):
    """A client that nobody configured."""
    mine = connection.credentials
    return boto3.client(
        "s3",
        endpoint_url=connection.endpoint_url,
        region_name=connection.region,
        aws_access_key_id=mine.access_key_id,
        aws_secret_access_key=mine.secret_access_key,
    )


def test_requests_signed_with_version_2_are_refused_as_on_aws(clients):
    s3 = clients("s3", config=Config(signature_version="s3"))
    answer = refused("InvalidRequest", s3.list_buckets)
    assert "Please use AWS4-HMAC-SHA256." in answer["Error"]["Message"]


def test_uploads_by_form_are_refused_by_name(connection, bucket):
    post = plain(connection).generate_presigned_post(bucket, "k")
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    status, body, _ = fetch(post["url"], "POST", kind, b"--x--")
    assert (status, b"POST policy" in body) == (501, True)


def fetch(url, method="GET", headers=None, body=None):
    host, _, target = url.removeprefix("http://").partition("/")
    link = http.client.HTTPConnection(host, timeout=10)
    link.request(method, "/" + target, headers=headers or {}, body=body)
    answer = link.getresponse()
    found = answer.status, answer.read(), answer.headers
    link.close()
    return found


# listings


def test_listing_pages_in_order(s3, bucket):
    keys = sorted(f"{chr(97 + i % 3)}/{i:03}" for i in range(60))
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 7}
    )
    assert [item["Key"] for page in pages for item in page.get("Contents", [])] == keys
    pages = s3.get_paginator("list_objects").paginate(
        Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2}
    )
    prefixes = [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])]
    assert prefixes == ["a/", "b/", "c/"]
    after = s3.list_objects_v2(Bucket=bucket, Prefix="b/", StartAfter="b/004", MaxKeys=1)
    assert [item["Key"] for item in after["Contents"]] == ["b/007"]
    refused("InvalidArgument", s3.list_objects_v2, Bucket=bucket, ContinuationToken="!")
    refused("InvalidArgument", s3.list_objects_v2, Bucket=bucket, MaxKeys=-1)


# copies


def test_copies_share_bytes_and_keep_or_replace_metadata(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a \u00fc+", Body=b"data", Metadata={"v": "1"})
    source = {"Bucket": bucket, "Key": "a \u00fc+"}
    s3.copy_object(Bucket=bucket, Key="b", CopySource=source)
    assert s3.head_object(Bucket=bucket, Key="b")["Metadata"] == {"v": "1"}
    s3.copy_object(
        Bucket=bucket, Key="c", CopySource=source, MetadataDirective="REPLACE", Metadata={"v": "2"}
    )
    assert s3.head_object(Bucket=bucket, Key="c")["Metadata"] == {"v": "2"}
    s3.delete_object(Bucket=bucket, Key="a \u00fc+")
    assert s3.get_object(Bucket=bucket, Key="c")["Body"].read() == b"data"
    refused("NoSuchKey", s3.copy_object, Bucket=bucket, Key="d", CopySource=source)
    same = {"Bucket": bucket, "Key": "b"}
    refused("InvalidRequest", s3.copy_object, **same, CopySource=same)
    refused(
        "PreconditionFailed",
        s3.copy_object,
        Bucket=bucket,
        Key="d",
        CopySource=same,
        CopySourceIfMatch='"other"',
    )


# multipart


def test_40_mb_in_parts_and_back(s3, bucket, state_dir):
    before = objects(state_dir)
    data = os.urandom(40_000_000)
    s3.upload_fileobj(io.BytesIO(data), bucket, "big", Config=CLASSIC)
    head = s3.head_object(Bucket=bucket, Key="big")
    assert head["ETag"].endswith('-5"')
    out = io.BytesIO()
    s3.download_fileobj(bucket, "big", out, Config=CLASSIC)
    assert out.getvalue() == data
    s3.copy({"Bucket": bucket, "Key": "big"}, bucket, "again", Config=CLASSIC)
    assert s3.get_object(Bucket=bucket, Key="again")["Body"].read() == data
    assert len(objects(state_dir) - before) == 2


@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
def test_multipart_step_by_step(s3, bucket, kind):
    target = {"Bucket": bucket, "Key": "k"}
    begun = s3.create_multipart_upload(**target, ChecksumAlgorithm="CRC32", ChecksumType=kind)
    target_part = {**target, "UploadId": begun["UploadId"]}
    pieces = [os.urandom(5 * 1024 * 1024), b"end"]
    parts = []
    for number, piece in enumerate(pieces, 1):
        sent = s3.upload_part(**target_part, PartNumber=number, Body=piece)
        parts.append({k: sent[k] for k in ("ETag", "ChecksumCRC32")} | {"PartNumber": number})
    listed = s3.list_parts(**target_part)
    assert [(p["PartNumber"], p["Size"]) for p in listed["Parts"]] == [(1, 5 << 20), (2, 3)]
    assert [u["Key"] for u in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["k"]
    finish = {**target_part, "MultipartUpload": {"Parts": parts}}
    wrong = {"Parts": [{**parts[0], "ETag": '"x"'}]}
    refused("InvalidPart", s3.complete_multipart_upload, **target_part, MultipartUpload=wrong)
    backwards = {"Parts": parts[::-1]}
    refused(
        "InvalidPartOrder", s3.complete_multipart_upload, **target_part, MultipartUpload=backwards
    )
    done = s3.complete_multipart_upload(**finish, IfNoneMatch="*")
    assert done["ChecksumType"] == kind
    assert done["ChecksumCRC32"].endswith("-2") == (kind == "COMPOSITE")
    again = s3.complete_multipart_upload(**finish)
    assert again["ETag"] == done["ETag"]
    got = s3.get_object(**target, ChecksumMode="ENABLED")
    assert got["Body"].read() == b"".join(pieces)
    refused("NoSuchUpload", s3.list_parts, **target_part)


def test_small_parts_and_taken_keys_are_refused(s3, bucket):
    target = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**target)["UploadId"]
    parts = [
        {
            "PartNumber": n,
            "ETag": s3.upload_part(**target, UploadId=upload, PartNumber=n, Body=b"x")["ETag"],
        }
        for n in (1, 2)
    ]
    finish = {**target, "UploadId": upload}
    both, one = {"Parts": parts}, {"Parts": parts[:1]}
    refused("EntityTooSmall", s3.complete_multipart_upload, **finish, MultipartUpload=both)
    s3.put_object(**target, Body=b"first")
    refused(
        "PreconditionFailed",
        s3.complete_multipart_upload,
        **finish,
        MultipartUpload=one,
        IfNoneMatch="*",
    )
    s3.abort_multipart_upload(**finish)
    refused("NoSuchUpload", s3.upload_part, **finish, PartNumber=1, Body=b"x")
    refused("InvalidArgument", s3.upload_part, **finish, PartNumber=10_001, Body=b"x")
    assert s3.get_object(**target)["Body"].read() == b"first"


def test_parts_copied_from_ranges(s3, bucket):
    data = os.urandom(6 * 1024 * 1024)
    s3.put_object(Bucket=bucket, Key="source", Body=data)
    target = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**target)["UploadId"]
    cut = 5 * 1024 * 1024
    parts = []
    for number, span in ((1, f"bytes=0-{cut - 1}"), (2, f"bytes={cut}-{len(data) - 1}")):
        copied = s3.upload_part_copy(
            **target,
            UploadId=upload,
            PartNumber=number,
            CopySource={"Bucket": bucket, "Key": "source"},
            CopySourceRange=span,
        )["CopyPartResult"]
        parts.append(
            {k: copied[k] for k in ("ETag", "ChecksumCRC32") if k in copied}
            | {"PartNumber": number}
        )
    s3.complete_multipart_upload(**target, UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(**target)["Body"].read() == data


# buckets


def test_buckets_live_where_they_are_made(s3, clients, bucket):
    west = clients("s3", region_name="us-west-2")
    name = bucket + "-west"
    refused("IllegalLocationConstraintException", west.create_bucket, Bucket=name)
    west.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    head = s3.head_bucket(Bucket=name)
    assert head["BucketRegion"] == "us-west-2"
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "us-west-2"
    assert s3.get_bucket_location(Bucket=bucket).get("LocationConstraint") is None
    assert s3.create_bucket(Bucket=bucket)["BucketArn"] == f"arn:aws:s3:::{bucket}"
    west_again = {"Bucket": name, "CreateBucketConfiguration": {"LocationConstraint": "us-west-2"}}
    refused("BucketAlreadyOwnedByYou", west.create_bucket, **west_again)
    refused("BucketAlreadyOwnedByYou", s3.create_bucket, **west_again)
    refused("InvalidBucketName", s3.create_bucket, Bucket="1.2.3.4")
    assert {bucket, name} <= {item["Name"] for item in s3.list_buckets()["Buckets"]}
    s3.delete_bucket(Bucket=name)
    refused("404", s3.head_bucket, Bucket=name)
    refused("AccessDenied", s3.list_objects_v2, Bucket=bucket, ExpectedBucketOwner="999999999999")


def test_bucket_tags(s3, bucket):
    refused("NoSuchTagSet", s3.get_bucket_tagging, Bucket=bucket)
    tags = [{"Key": "team", "Value": "a@b: \u00fc"}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    refused("NoSuchTagSet", s3.get_bucket_tagging, Bucket=bucket)


def test_what_is_not_there_is_named(s3, bucket):
    answer = refused("NotImplemented", s3.get_object_torrent, Bucket=bucket, Key="k")
    assert "GetObjectTorrent" in answer["Error"]["Message"]
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": 2_000_000_000}
    refused("NotImplemented", s3.put_object, Bucket=bucket, Key="k", Body=b"", **lock)


# who may ask


def test_only_our_key_is_let_in(connection, clients, bucket):
    mine = connection.credentials
    for key, secret, code in (
        ("AKIAOTHER", mine.secret_access_key, "InvalidAccessKeyId"),
        (mine.access_key_id, "other", "SignatureDoesNotMatch"),
    ):
        client = boto3.client(
            "s3",
            endpoint_url=connection.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
        )
        refused(code, client.put_object, Bucket=bucket, Key="k", Body=b"x" * 200_000)
    anonymous = clients("s3", config=Config(signature_version=UNSIGNED))
    refused("AccessDenied", anonymous.list_objects_v2, Bucket=bucket)


def signed(connection, method, path, body=b"", headers=None, shift=0.0):
    """A raw signed request whose clock is `shift` seconds off."""
    request = AWSRequest(method, connection.endpoint_url + path, data=body, headers=headers or {})
    request.context["payload_signing_enabled"] = True
    mine = connection.credentials
    auth = S3SigV4Auth(Credentials(mine.access_key_id, mine.secret_access_key), "s3", "us-east-1")
    if not shift:
        auth.add_auth(request)
        return dict(request.headers.items())
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + shift))
    request.context["timestamp"] = stamp
    request.headers["X-Amz-Date"] = stamp
    request.headers["X-Amz-Content-SHA256"] = auth.payload(request)
    canonical = auth.canonical_request(request)
    auth._inject_signature_to_request(
        request, auth.signature(auth.string_to_sign(request, canonical), request)
    )
    return dict(request.headers.items())


def test_a_clock_that_is_off_and_a_foreign_host_are_refused(connection, bucket):
    url = f"{connection.endpoint_url}/{bucket}"
    assert fetch(url, headers=signed(connection, "GET", f"/{bucket}"))[0] == 200
    status, body, _ = fetch(url, headers=signed(connection, "GET", f"/{bucket}", shift=-1000))
    assert (status, b"RequestTimeTooSkewed" in body) == (403, True)
    headers = {**signed(connection, "GET", f"/{bucket}"), "Host": "evil.example:80"}
    status, body, _ = fetch(url, headers=headers)
    assert (status, b"AccessDenied" in body) == (403, True)


def test_a_body_other_than_the_signed_one_is_refused(connection, bucket, s3):
    path = f"/{bucket}/k"
    headers = signed(connection, "PUT", path, b"hello")
    status, body, _ = fetch(connection.endpoint_url + path, "PUT", headers, b"jello")
    assert (status, b"XAmzContentSHA256Mismatch" in body) == (400, True)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_body_in_chunks_with_a_trailing_checksum(connection, bucket, s3):
    extra = {
        "x-amz-decoded-content-length": "5",
        "x-amz-trailer": "x-amz-checksum-crc32",
        "Content-Encoding": "aws-chunked,gzip",
    }
    url = f"{connection.endpoint_url}/{bucket}/k"
    request = AWSRequest("PUT", url, data=b"", headers=extra)
    request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    mine = connection.credentials
    S3SigV4Auth(
        Credentials(mine.access_key_id, mine.secret_access_key), "s3", "us-east-1"
    ).add_auth(request)
    headers = dict(request.headers.items())
    for checksum, expected in (("AAAAAA==", 400), ("NhCmhg==", 200)):
        body = f"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n".encode()
        assert fetch(url, "PUT", headers, body)[0] == expected
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["ContentEncoding"]) == (b"hello", "gzip")


def test_an_upload_cut_off_in_the_middle_leaves_nothing(connection, bucket, s3, state_dir):
    before = objects(state_dir)
    path = f"/{bucket}/half"
    headers = signed(connection, "PUT", path, headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    host, port = connection.endpoint_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as link:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        link.sendall(f"PUT {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{lines}".encode())
        link.sendall(b"Content-Length: 10000000\r\n\r\n" + b"x" * 5_000_000)
        deadline = time.monotonic() + 60
        while objects(state_dir) == before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert objects(state_dir) != before
    while objects(state_dir) != before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert objects(state_dir) == before
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    log = (state_dir / "local" / "platform.log").read_text()
    assert "Traceback" not in log

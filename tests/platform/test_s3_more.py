"""The rest of S3 that tools ask for: tags, settings, attributes, parts, versions, checksums."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os

import pytest
from botocore.exceptions import ClientError

from mmectl.local.s3 import checksums

PART = 5 * 1024 * 1024


def refused(code, call, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    assert caught.value.response["Error"]["Code"] == code
    return caught.value.response


def tag_set(**tags):
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def test_tags_of_objects(s3, bucket):
    mine = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**mine, Body=b"x", Tagging="team=a%40b&stage")
    assert s3.get_object_tagging(**mine)["TagSet"] == tag_set(team="a@b", stage="")["TagSet"]
    assert s3.head_object(**mine)["TagCount"] == 2
    s3.put_object_tagging(**mine, Tagging=tag_set(only="one"))
    assert s3.get_object(**mine)["Body"].read() == b"x"
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=mine)
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"][0]["Key"] == "only"
    s3.copy_object(
        Bucket=bucket, Key="new", CopySource=mine, TaggingDirective="REPLACE", Tagging="n=1"
    )
    assert s3.get_object_tagging(Bucket=bucket, Key="new")["TagSet"][0]["Key"] == "n"
    s3.delete_object_tagging(**mine)
    assert s3.get_object_tagging(**mine)["TagSet"] == []
    many = {f"k{i}": "" for i in range(11)}
    refused("BadRequest", s3.put_object_tagging, **mine, Tagging=tag_set(**many))
    refused("InvalidArgument", s3.put_object, **mine, Body=b"", Tagging="a=%ff")
    refused("InvalidTag", s3.put_object, **mine, Body=b"", Tagging="=b")
    refused("InvalidTag", s3.put_object, **mine, Body=b"", Tagging="a=1&a=2")
    refused("NoSuchKey", s3.put_object_tagging, Bucket=bucket, Key="no", Tagging=tag_set(a="b"))


def test_settings_have_the_defaults_of_a_new_bucket(s3, bucket):
    at = {"Bucket": bucket}
    rule = s3.get_bucket_encryption(**at)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert set(s3.get_public_access_block(**at)["PublicAccessBlockConfiguration"].values()) == {
        True
    }
    owners = s3.get_bucket_ownership_controls(**at)["OwnershipControls"]["Rules"]
    assert owners == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert "Status" not in s3.get_bucket_versioning(**at)
    assert s3.get_bucket_request_payment(**at)["Payer"] == "BucketOwner"
    assert s3.get_bucket_acl(**at)["Grants"][0]["Permission"] == "FULL_CONTROL"
    for operation, code in {
        "policy": "NoSuchBucketPolicy",
        "lifecycle_configuration": "NoSuchLifecycleConfiguration",
        "cors": "NoSuchCORSConfiguration",
        "website": "NoSuchWebsiteConfiguration",
        "replication": "ReplicationConfigurationNotFoundError",
    }.items():
        refused(code, getattr(s3, f"get_bucket_{operation}"), **at)
    refused("NoSuchBucket", s3.get_bucket_encryption, Bucket="not-there")
    refused("NoSuchBucket", s3.get_bucket_policy, Bucket="not-there")


def test_settings_are_kept_and_go_with_the_bucket(s3, bucket):
    at = {"Bucket": bucket}
    rules = [
        {
            "ID": "old",
            "Status": "Enabled",
            "Filter": {"Prefix": "a/"},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        }
    ]
    s3.put_bucket_lifecycle_configuration(**at, LifecycleConfiguration={"Rules": rules})
    assert s3.get_bucket_lifecycle_configuration(**at)["Rules"] == rules
    s3.delete_bucket_lifecycle(**at)
    refused("NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration, **at)
    s3.delete_public_access_block(**at)
    refused("NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block, **at)
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/secret/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.put_bucket_policy(**at, Policy=policy)
    assert s3.get_bucket_policy(**at)["Policy"] == policy
    assert s3.get_bucket_policy_status(**at)["PolicyStatus"]["IsPublic"] is False
    refused("MalformedPolicy", s3.put_bucket_policy, **at, Policy="no")
    s3.delete_bucket(**at)
    s3.create_bucket(**at)
    refused("NoSuchBucketPolicy", s3.get_bucket_policy, **at)


def test_what_would_change_who_sees_what_is_refused(s3, bucket):
    at = {"Bucket": bucket}
    enabled = {"Status": "Enabled"}
    refused("NotImplemented", s3.put_bucket_versioning, **at, VersioningConfiguration=enabled)
    suspended = {"Status": "Suspended"}
    refused("NotImplemented", s3.put_bucket_versioning, **at, VersioningConfiguration=suspended)
    refused("AccessControlListNotSupported", s3.put_bucket_acl, **at, ACL="public-read")
    put = {**at, "Key": "k", "Body": b"x"}
    refused("AccessControlListNotSupported", s3.put_object, **put, ACL="public-read")
    refused("AccessControlListNotSupported", s3.put_object, **put, GrantRead="id=1")
    s3.put_object(**put, ACL="bucket-owner-full-control")
    refused("InvalidStorageClass", s3.put_object, **put, StorageClass="CHEAP")
    refused("InvalidArgument", s3.put_object, **put, ServerSideEncryption="rot13")


def test_storage_class_and_encryption_are_answered_as_asked(s3, bucket):
    mine = {"Bucket": bucket, "Key": "k"}
    asked = {"StorageClass": "STANDARD_IA", "ServerSideEncryption": "AES256"}
    assert s3.put_object(**mine, Body=b"x", **asked)["ServerSideEncryption"] == "AES256"
    head = s3.head_object(**mine)
    assert {name: head[name] for name in asked} == asked
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == "STANDARD_IA"
    s3.copy_object(**mine, CopySource=mine, StorageClass="STANDARD")
    assert "StorageClass" not in s3.head_object(**mine)


def test_every_object_is_its_only_version(s3, bucket):
    for key in ("a", "b/1", "b/2", "c"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 3}
    )
    versions = [item for page in pages for item in page["Versions"]]
    assert [item["Key"] for item in versions] == ["a", "b/1", "b/2", "c"]
    assert {(item["VersionId"], item["IsLatest"]) for item in versions} == {("null", True)}
    grouped = s3.list_object_versions(Bucket=bucket, Delimiter="/")
    assert [item["Prefix"] for item in grouped["CommonPrefixes"]] == ["b/"]
    assert s3.get_object(Bucket=bucket, Key="a", VersionId="null")["Body"].read() == b"x"
    refused("InvalidArgument", s3.get_object, Bucket=bucket, Key="a", VersionId="abc")
    objects = [{"Key": "a", "VersionId": "null"}, {"Key": "c", "VersionId": "abc"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert [item["Key"] for item in answer["Deleted"]] == ["a"]
    assert [item["Code"] for item in answer["Errors"]] == ["NoSuchVersion"]
    etag = s3.head_object(Bucket=bucket, Key="c")["ETag"]
    objects = [{"Key": "c", "ETag": etag}, {"Key": "b/1", "ETag": '"other"'}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    assert ["Deleted" in answer, [item["Key"] for item in answer["Errors"]]] == [False, ["b/1"]]


def test_parts_of_an_object_and_its_attributes(s3, bucket):
    mine = {"Bucket": bucket, "Key": "k"}
    begun = s3.create_multipart_upload(**mine, Tagging="a=b", ChecksumAlgorithm="SHA256")
    upload = {**mine, "UploadId": begun["UploadId"]}
    pieces, parts = [os.urandom(PART), b"the end"], []
    for number, piece in enumerate(pieces, 1):
        sent = s3.upload_part(**upload, PartNumber=number, Body=piece, ChecksumAlgorithm="SHA256")
        parts.append({k: sent[k] for k in ("ETag", "ChecksumSHA256")} | {"PartNumber": number})
    page = s3.list_parts(**upload, MaxParts=1)
    assert (page["IsTruncated"], page["NextPartNumberMarker"]) == (True, 1)
    assert page["Owner"]["ID"] == page["Initiator"]["ID"] == "123456789012"
    page = s3.list_parts(**upload, PartNumberMarker=1)
    assert [item["PartNumber"] for item in page["Parts"]] == [2]
    finish = {**upload, "MultipartUpload": {"Parts": parts}}
    refused("InvalidRequest", s3.complete_multipart_upload, **finish, MpuObjectSize=1)
    bare = [{name: part[name] for name in ("ETag", "PartNumber")} for part in parts]
    unnamed = {**upload, "MultipartUpload": {"Parts": bare}}
    answer = refused("InvalidRequest", s3.complete_multipart_upload, **unnamed)
    assert (
        "must include the checksum for each part. It was missing for part 1"
        in (answer["Error"]["Message"])
    )
    digests = b"".join(hashlib.sha256(piece).digest() for piece in pieces)
    whole = base64.b64encode(hashlib.sha256(digests).digest()).decode()
    wrong = base64.b64encode(b"\x01" * 32).decode()
    refused("BadDigest", s3.complete_multipart_upload, **finish, ChecksumSHA256=wrong)
    done = s3.complete_multipart_upload(**finish, ChecksumSHA256=whole, MpuObjectSize=PART + 7)
    assert done["ChecksumSHA256"] == whole + "-2"
    second = s3.get_object(**mine, PartNumber=2)
    assert (second["Body"].read(), second["PartsCount"]) == (pieces[1], 2)
    assert second["ContentRange"] == f"bytes {PART}-{PART + 6}/{PART + 7}"
    assert s3.head_object(**mine, PartNumber=1)["ContentLength"] == PART
    refused("InvalidPartNumber", s3.get_object, **mine, PartNumber=3)
    wanted = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    found = s3.get_object_attributes(**mine, ObjectAttributes=wanted)
    assert found["ETag"] == done["ETag"].strip('"')
    assert found["Checksum"] == {"ChecksumSHA256": whole, "ChecksumType": "COMPOSITE"}
    assert found["ObjectSize"] == PART + 7
    sums = [part["ChecksumSHA256"] for part in parts]
    shown = found["ObjectParts"]
    assert (shown["TotalPartsCount"], shown["IsTruncated"], shown["MaxParts"]) == (2, False, 1000)
    assert [(p["PartNumber"], p["Size"], p["ChecksumSHA256"]) for p in shown["Parts"]] == [
        (1, PART, sums[0]),
        (2, 7, sums[1]),
    ]
    page = {**mine, "ObjectAttributes": ["ObjectParts"], "MaxParts": 1}
    first = s3.get_object_attributes(**page)["ObjectParts"]
    assert (first["IsTruncated"], first["NextPartNumberMarker"]) == (True, 1)
    rest = s3.get_object_attributes(**page, PartNumberMarker=1)["ObjectParts"]
    assert (rest["IsTruncated"], [p["PartNumber"] for p in rest["Parts"]]) == (False, [2])
    for call in (s3.get_object, s3.head_object):
        answer = call(**mine, PartNumber=2, ChecksumMode="ENABLED")
        assert answer["ChecksumSHA256"] == sums[1]
    assert s3.head_object(**mine, ChecksumMode="ENABLED")["ChecksumSHA256"] == whole + "-2"
    assert s3.get_object_tagging(**mine)["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_ranges_of_copied_parts_are_exact(s3, bucket):
    s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    mine = {"Bucket": bucket, "Key": "k"}
    begun = s3.create_multipart_upload(**mine)["UploadId"]
    copy = {
        **mine,
        "UploadId": begun,
        "PartNumber": 1,
        "CopySource": {"Bucket": bucket, "Key": "source"},
    }
    for bad in ("bytes=5-10", "bytes=-3", "bytes=3-", "bytes=4-2", "0-3"):
        refused("InvalidArgument", s3.upload_part_copy, **copy, CopySourceRange=bad)
    etag = s3.upload_part_copy(**copy, CopySourceRange="bytes=3-5")["CopyPartResult"]["ETag"]
    assert etag == f'"{hashlib.md5(b"345", usedforsecurity=False).hexdigest()}"'


def test_uploads_are_listed_by_page_and_prefix(s3, bucket):
    keys = ["a", "b/1", "b/2", "c"]
    for key in keys:
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 1}
    )
    assert [item["Key"] for page in pages for item in page["Uploads"]] == keys
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 1}
    )
    seen = [
        item.get("Key") or item["Prefix"]
        for page in pages
        for item in page.get("Uploads", []) + page.get("CommonPrefixes", [])
    ]
    assert seen == ["a", "b/", "c"]


def test_buckets_are_listed_by_page(s3, bucket):
    names = sorted(f"{bucket}-{i}" for i in range(3))
    for name in names:
        s3.create_bucket(Bucket=name)
    pages = s3.get_paginator("list_buckets").paginate(
        Prefix=f"{bucket}-", PaginationConfig={"PageSize": 2}
    )
    assert [item["Name"] for page in pages for item in page["Buckets"]] == names
    assert s3.list_buckets(Prefix=bucket, BucketRegion="eu-west-1")["Buckets"] == []


@pytest.mark.parametrize("name", ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"])
def test_checksums_given_by_header_are_verified(s3, bucket, name):
    """Also those that boto3 computes only with its optional native library."""
    running = checksums.new(name)
    running.update(b"data")
    right = checksums.encode(running.digest())
    wrong = checksums.encode(bytes(len(running.digest())))
    mine, member = {"Bucket": bucket, "Key": "k", "Body": b"data"}, f"Checksum{name.upper()}"
    refused("BadDigest", s3.put_object, **mine, **{member: wrong})
    assert s3.put_object(**mine, **{member: right})[member] == right
    found = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum"])
    assert found["Checksum"][member] == right


def test_a_checksum_that_cannot_be_verified_is_refused(s3, bucket):
    put = {"Bucket": bucket, "Key": "k", "Body": b"data"}
    refused("NotImplemented", s3.put_object, **put, ChecksumXXHASH64="AAAAAAAAAAA=")
    refused("InvalidRequest", s3.put_object, **put, ChecksumCRC32="no base64!")


def test_more_than_5_gib_is_refused_before_it_is_sent(s3, connection, bucket):
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    link = http.client.HTTPConnection(connection.endpoint_url.removeprefix("http://"), timeout=10)
    size = 5 * 1024**3 + 1
    link.request("PUT", url.removeprefix(connection.endpoint_url), headers={"Content-Length": size})
    answer = link.getresponse()
    body = answer.read().decode()
    link.close()
    assert answer.status == 400
    assert "<Code>EntityTooLarge</Code>" in body
    assert "<Message>Your proposed upload exceeds the maximum allowed size</Message>" in body
    assert f"<ProposedSize>{size}</ProposedSize><MaxSizeAllowed>{5 * 1024**3}<" in body

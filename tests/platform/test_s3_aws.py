"""Where S3 is looked at closely: settings, encryption, archives, odd requests; with real boto3."""

from __future__ import annotations

import http.client
import io
import socket
import time
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from in_process import serving

from mmectl.local.s3.service import S3, ObjectStore
from mmectl.local.server.main import drop_stalled

ACCOUNT = "123456789012"
RULE = {"Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}


def refused(code, call, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response


def fetch(url, method="GET", headers=None, body=b""):
    """Status, body and headers; nothing is sent but what is given."""
    parts = urlsplit(url)
    wire = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        wire.request(method, url.removeprefix(f"http://{parts.netloc}"), body, headers or {})
        answer = wire.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        wire.close()


@pytest.fixture
def signed(connection):
    """``signed("GET", "/b/k?x", headers, body)`` with exactly these bytes on the wire."""

    def send(method, target, headers=None, body=b"", date=None):
        url = connection.endpoint_url + target
        request = AWSRequest(method, url, headers=headers or {}, data=body)
        if date:
            request.headers["Date"] = date
        keys = connection.credentials
        pair = Credentials(keys.access_key_id, keys.secret_access_key)
        S3SigV4Auth(pair, "s3", "us-east-1").add_auth(request)
        return fetch(url, method, dict(request.headers.items()), body)

    return send


# buckets


def test_a_bucket_is_made_with_everything_that_was_asked(s3, bucket):
    name = f"{bucket[:20]}-{ACCOUNT}-us-east-1-an"
    made = s3.create_bucket(
        Bucket=name,
        BucketNamespace="account-regional",
        ObjectOwnership="ObjectWriter",
        CreateBucketConfiguration={"Tags": [{"Key": "team", "Value": "a"}]},
    )
    assert made["BucketArn"] == s3.head_bucket(Bucket=name)["BucketArn"] == f"arn:aws:s3:::{name}"
    owners = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"]
    assert owners == [{"ObjectOwnership": "ObjectWriter"}]
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == [{"Key": "team", "Value": "a"}]
    # lists are enabled there, and not implemented; elsewhere they are disabled, as on AWS
    put = {"Key": "k", "Body": b"", "ACL": "public-read"}
    refused("NotImplemented", s3.put_object, Bucket=name, **put)
    s3.put_object(Bucket=name, Key="k", Body=b"", ACL="private")
    s3.put_object_acl(Bucket=name, Key="k", ACL="private")
    s3.delete_object(Bucket=name, Key="k")
    refused("AccessControlListNotSupported", s3.put_object, Bucket=bucket, **put)
    s3.delete_bucket(Bucket=name)
    other = {"Bucket": f"{bucket}-x"}
    refused("InvalidNamespaceHeader", s3.create_bucket, **other, BucketNamespace="account-regional")
    refused("InvalidArgument", s3.create_bucket, **other, ObjectOwnership="Mine")
    refused("InvalidBucketAclWithObjectOwnership", s3.create_bucket, **other, ACL="public-read")
    refused("NotImplemented", s3.create_bucket, **other, ObjectLockEnabledForBucket=True)
    refused("404", s3.head_bucket, **other)


def test_head_bucket_has_the_type_of_its_empty_answer(s3, bucket):
    headers = s3.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/xml"


def test_a_list_of_an_absent_object_cannot_be_set(s3, bucket):
    refused("NoSuchKey", s3.put_object_acl, Bucket=bucket, Key="no", ACL="private")
    put = {"Bucket": bucket, "Key": "k", "Body": b""}
    refused("AccessControlListNotSupported", s3.put_object, **put, ACL="private")
    refused("AccessControlListNotSupported", s3.put_bucket_acl, Bucket=bucket, ACL="private")
    s3.put_object(**put, ACL="bucket-owner-full-control")
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="bucket-owner-full-control")
    refused("InvalidArgument", s3.put_object, **put, ACL="nonsense")


@pytest.mark.parametrize("token", ["", "junk", "YWJj", "\u00fc", "a" * 3000])
def test_a_token_that_is_not_ours_is_refused(s3, bucket, token):
    answer = refused("InvalidArgument", s3.list_objects_v2, Bucket=bucket, ContinuationToken=token)
    assert answer["Error"]["Message"] == "The continuation token provided is incorrect"


# encryption


def encrypted(answer):
    names = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled")
    return {name: answer[name] for name in names if name in answer}


def every_write(s3, bucket):
    """The answers of all operations that write an object or read one."""
    mine = {"Bucket": bucket, "Key": "k"}
    yield s3.put_object(**mine, Body=b"x")
    yield s3.copy_object(Bucket=bucket, Key="copy", CopySource=mine)
    upload = s3.create_multipart_upload(**mine)
    yield upload
    part = {**mine, "UploadId": upload["UploadId"]}
    yield s3.upload_part_copy(**part, PartNumber=2, CopySource=mine)
    done = s3.upload_part(**part, PartNumber=1, Body=b"y")
    yield done
    parts = [{"ETag": done["ETag"], "PartNumber": 1}]
    yield s3.complete_multipart_upload(**part, MultipartUpload={"Parts": parts})
    yield s3.get_object(**mine)
    yield s3.head_object(**mine)


def test_every_answer_tells_the_encryption_of_the_bucket(s3, bucket):
    for answer in every_write(s3, bucket):
        assert encrypted(answer) == {"ServerSideEncryption": "AES256"}
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "key-1"}
    rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    kept = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert kept == [rule]
    for answer in every_write(s3, bucket):
        assert encrypted(answer) == {
            "ServerSideEncryption": "aws:kms",
            "SSEKMSKeyId": "key-1",
            "BucketKeyEnabled": True,
        }
    one = s3.put_object(Bucket=bucket, Key="k", Body=b"", ServerSideEncryption="AES256")
    assert encrypted(one) == {"ServerSideEncryption": "AES256"}
    s3.delete_bucket_encryption(Bucket=bucket)
    assert encrypted(s3.put_object(Bucket=bucket, Key="k", Body=b"")) == encrypted(one)


def test_encryption_that_makes_no_sense_is_refused(s3, bucket):
    put = {"Bucket": bucket, "Key": "k", "Body": b""}
    refused("InvalidArgument", s3.put_object, **put, SSEKMSKeyId="key-1")
    refused(
        "InvalidArgument",
        s3.put_object,
        **put,
        SSEKMSKeyId="key-1",
        ServerSideEncryption="AES256",
    )
    refused("InvalidArgument", s3.put_object, **put, ServerSideEncryption="rot13")
    customer = {"SSECustomerKey": b"k" * 32, "SSECustomerAlgorithm": "AES256"}
    refused("NotImplemented", s3.put_object, **put, **customer)
    refused("NotImplemented", s3.put_object, **put, SSEKMSEncryptionContext="e30=")
    rules = [
        ({"SSEAlgorithm": "rot13"}, "MalformedXML"),
        ({"SSEAlgorithm": "AES256", "KMSMasterKeyID": "k"}, "InvalidArgument"),
    ]
    for default, code in rules:
        rule = {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}
        call = s3.put_bucket_encryption
        refused(code, call, Bucket=bucket, ServerSideEncryptionConfiguration=rule)


# tags


def test_system_tags_are_refused_at_every_door(s3, bucket):
    mine, tag = {"Bucket": bucket, "Key": "k"}, [{"Key": "aws:a", "Value": "b"}]
    refused("InvalidTag", s3.put_object, **mine, Body=b"", Tagging="aws:a=b")
    s3.put_object(**mine, Body=b"")
    answer = refused("InvalidTag", s3.put_object_tagging, **mine, Tagging={"TagSet": tag})
    assert answer["Error"]["Message"] == "Your TagKey cannot be prefixed with aws:"
    answer = refused("InvalidTag", s3.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": tag})
    assert answer["Error"]["Message"] == "System tags cannot be added/updated by requester"
    copy = {"CopySource": mine, "TaggingDirective": "REPLACE", "Tagging": "aws:a=b"}
    refused("InvalidTag", s3.copy_object, Bucket=bucket, Key="c", **copy)
    refused("InvalidTag", s3.create_multipart_upload, **mine, Tagging="aws:a=b")
    s3.put_object_tagging(**mine, Tagging={"TagSet": [{"Key": "x:aws:y", "Value": ""}]})


# settings


def test_rules_are_checked_and_get_ids(s3, bucket):
    at = {"Bucket": bucket}
    s3.put_bucket_lifecycle_configuration(**at, LifecycleConfiguration={"Rules": [RULE]})
    kept = s3.get_bucket_lifecycle_configuration(**at)["Rules"][0]
    assert kept.pop("ID")
    assert kept == RULE
    for change, code in (
        ({"Status": "nonsense"}, "MalformedXML"),
        ({"ID": "a" * 256}, "InvalidArgument"),
        ({"Expiration": {"Days": 0}}, "InvalidArgument"),
        ({"Expiration": {"Date": "2026-01-01T07:00:00Z"}}, "InvalidArgument"),
    ):
        rules = {"Rules": [{**RULE, **change}]}
        refused(code, s3.put_bucket_lifecycle_configuration, **at, LifecycleConfiguration=rules)
    cors = {"AllowedMethods": ["NOTREAL"], "AllowedOrigins": ["*"]}
    call = s3.put_bucket_cors
    refused("InvalidRequest", call, **at, CORSConfiguration={"CORSRules": [cors]})


def test_ownership_and_public_access_round_trip(s3, bucket):
    at = {"Bucket": bucket}
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    s3.put_bucket_ownership_controls(**at, OwnershipControls=rules)
    assert s3.get_bucket_ownership_controls(**at)["OwnershipControls"] == rules
    s3.delete_bucket_ownership_controls(**at)
    refused("OwnershipControlsNotFoundError", s3.get_bucket_ownership_controls, **at)
    block = {"BlockPublicAcls": True, "RestrictPublicBuckets": False}
    s3.put_public_access_block(**at, PublicAccessBlockConfiguration=block)
    kept = s3.get_public_access_block(**at)["PublicAccessBlockConfiguration"]
    assert kept == {**block, "IgnorePublicAcls": False, "BlockPublicPolicy": False}
    wrong = {"Rules": [{"ObjectOwnership": "Mine"}]}
    refused("MalformedXML", s3.put_bucket_ownership_controls, **at, OwnershipControls=wrong)


# archives


@pytest.mark.parametrize("archive", ["GLACIER", "DEEP_ARCHIVE"])
def test_what_is_archived_is_not_read(s3, bucket, archive):
    mine = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**mine, Body=b"x" * 10, StorageClass=archive)
    assert s3.head_object(**mine)["StorageClass"] == archive
    answer = refused("InvalidObjectState", s3.get_object, **mine)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert answer["Error"]["StorageClass"] == archive
    refused("InvalidObjectState", s3.copy_object, Bucket=bucket, Key="c", CopySource=mine)
    upload = s3.create_multipart_upload(**mine)["UploadId"]
    part = {**mine, "UploadId": upload, "PartNumber": 1, "CopySource": mine}
    refused("InvalidObjectState", s3.upload_part_copy, **part)
    answer = refused("NotImplemented", s3.restore_object, **mine, RestoreRequest={"Days": 1})
    assert "RestoreObject" in answer["Error"]["Message"]
    s3.delete_object(**mine)


def test_preflights_are_refused_by_name(connection, bucket):
    asks = {"Origin": "http://a.example", "Access-Control-Request-Method": "GET"}
    status, body, _ = fetch(f"{connection.endpoint_url}/{bucket}/k", "OPTIONS", asks)
    assert (status, b"CORS preflight" in body) == (501, True)


def test_conditions_that_are_not_carried_out_delete_nothing(s3, bucket):
    mine = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**mine, Body=b"data")
    refused("NotImplemented", s3.delete_object, **mine, IfMatchSize=9)
    refused("NotImplemented", s3.delete_object, **mine, IfMatchLastModifiedTime=0)
    for condition in ({"Size": 9}, {"LastModifiedTime": 0}):
        items = {"Objects": [{"Key": "k", **condition}]}
        refused("NotImplemented", s3.delete_objects, Bucket=bucket, Delete=items)
    assert s3.get_object(**mine)["Body"].read() == b"data"


def test_parts_show_the_checksums_that_they_came_with(s3, bucket):
    mine = {"Bucket": bucket, "Key": "k"}
    upload = {**mine, "UploadId": s3.create_multipart_upload(**mine)["UploadId"]}
    sent = s3.upload_part(**upload, PartNumber=1, Body=b"a", ChecksumAlgorithm="SHA1")
    parts = [{"ETag": sent["ETag"], "PartNumber": 1}]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    found = s3.get_object_attributes(**mine, ObjectAttributes=["Checksum", "ObjectParts"])
    assert "Checksum" not in found
    assert found["ObjectParts"]["Parts"] == [
        {"PartNumber": 1, "Size": 1, "ChecksumSHA1": sent["ChecksumSHA1"]}
    ]


# signatures


def test_a_date_header_stands_for_that_of_amazon(signed, bucket):
    assert signed("GET", f"/{bucket}", date=formatdate(usegmt=True))[0] == 200


@pytest.fixture
def old(clients):
    """Presigned URLs of version 2, boto3's default."""
    return clients("s3", config=Config(signature_version="s3")).generate_presigned_url


@pytest.mark.parametrize("operation", ["list_objects_v2", "list_objects", "get_bucket_location"])
def test_old_urls_of_a_bucket_alone(old, bucket, operation):
    url = old(operation, {"Bucket": bucket})
    assert fetch(url)[0] == 200
    assert fetch(url.replace(f"/{bucket}?", f"/{bucket}/?"))[0] == 200


@pytest.mark.parametrize(
    "more",
    [
        *("%74agging", "tagging", "%61cl", "%75ploadId=x", "upload%49d=x&partNumber=1", "%70olicy"),
        *("response-content-typ%65=text/html", "X-Amz-Acl=private", "x-amz-copy-source=b%2fk"),
        *("%78-amz-meta-b=c", "list-typ%65=3&policy"),
    ],
)
@pytest.mark.parametrize("operation", ["put_object", "get_object", "delete_object"])
def test_an_old_url_cannot_be_turned_to_something_else(s3, old, bucket, operation, more):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", Tagging="a=b")
    url = old(operation, {"Bucket": bucket, "Key": "k"})
    method = {"put": "PUT", "get": "GET", "delete": "DELETE"}[operation.partition("_")[0]]
    for turned in (f"{url}&{more}", url.replace("?", f"?{more}&")):
        status, body, _ = fetch(turned, method)
        assert (status, b"SignatureDoesNotMatch" in body) == (403, True)
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"data"


def test_an_old_url_of_a_setting_is_not_turned_to_a_listing(s3, old, bucket):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"")
    url = old("get_bucket_acl", {"Bucket": bucket})
    for turned in (url, url.replace("?", "?list-type=2&"), url.replace("?", "?list-typ%65=2&")):
        status, body, _ = fetch(turned)
        assert (status, b"AccessControlPolicy" in body, b"secret" in body) == (200, True, False)


def test_a_signed_header_of_an_old_url_cannot_be_hidden_by_another_case(s3, old, bucket):
    url = old("put_object", {"Bucket": bucket, "Key": "k", "Metadata": {"a": "good"}})
    evil = url.replace("?", "?X-Amz-Meta-A=evil&")
    assert fetch(evil, "PUT")[0] == 403
    assert fetch(url, "PUT")[0] == 200
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"a": "good"}


def test_the_content_type_of_an_old_url_must_be_sent(s3, old, bucket):
    url = old("put_object", {"Bucket": bucket, "Key": "k", "ContentType": "text/x"})
    for headers in ({}, {"Content-Type": "text/html"}):
        assert fetch(url, "PUT", headers)[0] == 403
    assert fetch(url, "PUT", {"Content-Type": "text/x"})[0] == 200
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "text/x"


# what no header can carry, and what is no text or number


@pytest.mark.parametrize("value", ["x\r\ny", "a\x00", "\x01", "a\x7f", "\n", "\udce9"])
@pytest.mark.parametrize("name", ["x-amz-meta-a", "x-amz-website-redirect-location"])
def test_what_cannot_be_sent_back_is_not_taken(signed, bucket, name, value):
    raw = quote(value.encode("utf-8", "surrogateescape"))
    target = f"/{bucket}/k?{name}={'/' * (name[-1] != 'a')}{raw}"
    status, body, _ = signed("PUT", target, {"Content-Type": "a/b"}, b"data")
    assert (status, b"InvalidArgument" in body or b"InvalidURI" in body) == (400, True)
    assert signed("GET", f"/{bucket}/k")[0] == 404


@pytest.mark.parametrize("name", ["x-amz-meta-a%0d%0ab", "x-amz-meta-%00", "x-amz-meta-a%20b"])
def test_names_that_cannot_be_sent_back_are_not_taken(signed, bucket, name):
    assert signed("PUT", f"/{bucket}/k?{name}=v", {}, b"data")[0] == 400


@pytest.mark.parametrize("value", ["a%0d%0ab", "%00", "%ff", "\u4e2d"])
def test_answers_are_not_made_with_such_values(s3, signed, bucket, value):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    target = f"/{bucket}/k?response-content-type={quote(value, safe='%')}"
    assert signed("GET", target)[0] == 400
    assert signed("HEAD", target)[0] == 400


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/%ff"),
        ("PUT", "/%ff"),
        ("GET", "/{b}/%ff"),
        ("GET", "/{b}?prefix=%ff"),
        ("GET", "/{b}/k?uploadId=%ff"),
        ("DELETE", "/{b}/k?uploadId=%ff"),
        ("PUT", "/{b}/k?uploadId=%ff&partNumber=1"),
        ("GET", "/{b}/k?partNumber=" + "9" * 5000),
        ("GET", "/{b}?max-keys=" + "9" * 5000),
        ("GET", "/{b}?uploads&max-uploads=" + "1" * 5000),
    ],
)
def test_what_is_no_text_or_no_number_is_a_bad_request(s3, signed, bucket, method, target):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    assert signed(method, target.replace("{b}", bucket))[0] == 400


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"Range": "bytes=0-" + "9" * 5000}),
        ("GET", {"Range": "bytes=-" + "9" * 5000}),
        ("PUT", {"x-amz-copy-source": "%ff/k"}),
        ("PUT", {"x-amz-tagging": "a=%ff"}),
    ],
)
def test_odd_headers_are_bad_requests(s3, signed, bucket, method, headers):
    s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    assert signed(method, f"/{bucket}/k", headers)[0] == 400


def test_an_unsigned_expiry_without_end_is_a_bad_request(connection):
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=" + "9" * 5000
    assert fetch(f"{connection.endpoint_url}/b/k?{query}")[0] == 400


def test_a_list_of_parts_is_no_larger_than_a_number_can_be(s3, bucket):
    mine = {"Bucket": bucket, "Key": "k"}
    upload = {**mine, "UploadId": s3.create_multipart_upload(**mine)["UploadId"]}
    refused("InvalidArgument", s3.list_parts, **upload, MaxParts=2147483689)


@pytest.mark.parametrize(
    "body",
    [
        b"<a>" * 1_300_000,
        b"<Tagging>" + b"<a/>" * 900_000 + b"</Tagging>",
        "<Tagging><TagSet/></Tagging>".encode("utf-16"),
        '<?xml version="1.0" encoding="UTF-16"?><Tagging><TagSet/></Tagging>'.encode("utf-16"),
        b'<?xml version="1.0" encoding="utf-7"?><Tagging><TagSet/></Tagging>',
        b'<?xml version="1.0" encoding="hex"?><Tagging><TagSet/></Tagging>',
        b'<!DOCTYPE a [<!ENTITY b "c">]><Tagging><TagSet/></Tagging>',
    ],
    ids=["deep", "wide", "utf-16", "declared", "utf-7", "hex", "dtd"],
)
def test_odd_documents_are_refused_beside_other_requests(s3, signed, bucket, body):
    def refused():
        begun = time.monotonic()
        status, answer, _ = signed("PUT", f"/{bucket}?tagging", {}, body)
        assert (status, b"MalformedXML" in answer) == (400, True)
        return time.monotonic() - begun

    # the server takes long each time, a machine that has others to serve does not
    assert any(refused() < 10 for _ in range(3))
    s3.head_bucket(Bucket=bucket)


@pytest.mark.parametrize("policy", ["[" * 15_000, "{}", '{"Statement": []}', "no"])
def test_odd_policies_are_refused(s3, bucket, policy):
    refused("MalformedPolicy", s3.put_bucket_policy, Bucket=bucket, Policy=policy)


def test_a_policy_in_another_encoding_is_refused(signed, bucket):
    assert signed("PUT", f"/{bucket}?policy", {}, "{}".encode("utf-16"))[0] == 400


# readers that stall


def test_a_reader_that_takes_nothing_is_dropped_and_a_slow_one_is_not(tmp_path, client_for):
    store = ObjectStore(tmp_path)
    options: Any = {"opening": store.open, "closing": store.close}
    data = b"x" * 40_000_000
    listen: Any = {"prepare": lambda listener: drop_stalled(listener, 3)}
    with serving({"s3": S3(store)}, **options, **listen) as connection:
        s3 = client_for(connection, "s3")
        s3.create_bucket(Bucket="bucket")
        s3.upload_fileobj(io.BytesIO(data), "bucket", "k")
        url = s3.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "k"})
        slow, stalled = asking(url), asking(url)
        try:
            for _ in range(28):
                slow.recv(65536)
                time.sleep(0.25)
            assert received(stalled) < len(data)
            assert received(slow) > 30_000_000
        finally:
            slow.close()
            stalled.close()


def asking(url):
    """A connection with a small window that sent a request and read nothing yet."""
    parts = urlsplit(url)
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    wire.connect((parts.hostname, parts.port))
    wire.sendall(
        f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    )
    wire.settimeout(3)
    return wire


def received(wire):
    """How many bytes come before the end, or before nothing comes."""
    size = 0
    try:
        while data := wire.recv(1 << 20):
            size += len(data)
    except (TimeoutError, ConnectionError):
        pass
    return size

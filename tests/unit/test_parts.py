"""Objects in parts against an S3 in memory: interrupted uploads go on."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import zlib
from datetime import datetime, timezone

import pytest
from botocore.exceptions import ClientError

from mmectl.aws.errors import translated
from mmectl.aws.multipart import PartWriter
from mmectl.aws.s3 import S3Bucket
from mmectl.base.errors import ServiceError
from mmectl.base.files import JsonFile
from mmectl.registry.names import DIGEST
from mmectl.registry.upload_cache import Begun, UploadCache

PART = 1000
BODY = b"".join(bytes([n]) * PART for n in range(1, 5)) + b"rest"


class Multipart:
    """S3's multipart calls; `fails_at` refuses a part, `checksums` False leaves CRC-32 out."""

    def __init__(self, checksums=True):
        self.uploads, self.objects, self.sent = {}, {}, []
        self.checksums = checksums
        self.fails_at = None
        self.secret = False
        self.begun = {}  # when and of which key, where it is not just now and k

    def create_multipart_upload(self, **request):
        self.uploads[f"id{len(self.uploads)}"] = {}
        return {"UploadId": f"id{len(self.uploads) - 1}"}

    def upload_part(self, **request):
        number, body = request["PartNumber"], request["Body"]
        if number == self.fails_at:
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "no"}}, "UploadPart")
        self.sent.append(number)
        part = {
            "ETag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"',
            "Size": len(body),
            "body": body,
        }
        if self.checksums:
            part["ChecksumCRC32"] = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
        self.uploads[request["UploadId"]][number] = part
        return part

    def get_paginator(self, operation):
        assert operation in ("list_parts", "list_multipart_uploads")
        return self

    def paginate(self, **request):
        if "UploadId" not in request:
            assert request == {"Bucket": "b", "Prefix": "k"}
            yield from self._pages_of_uploads()
            return
        if request["UploadId"] not in self.uploads:
            raise ClientError({"Error": {"Code": "NoSuchUpload", "Message": "no"}}, "ListParts")
        if self.secret:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListParts")
        found = sorted(self.uploads[request["UploadId"]].items())
        for number, part in found:  # a page each
            yield {"Parts": [{"PartNumber": number, **part}]}

    def _pages_of_uploads(self):
        if self.secret:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListUploads")
        for upload_id in self.uploads:
            at, key = self.begun.get(upload_id, (time.time(), "k"))
            initiated = datetime.fromtimestamp(at, tz=timezone.utc)
            yield {"Uploads": [{"UploadId": upload_id, "Key": key, "Initiated": initiated}]}
        yield {}

    def complete_multipart_upload(self, **request):
        parts = self.uploads.pop(request["UploadId"])
        listed = request["MultipartUpload"]["Parts"]
        assert [p["ETag"] for p in listed] == [parts[p["PartNumber"]]["ETag"] for p in listed]
        assert all(("ChecksumCRC32" in p) == self.checksums for p in listed)
        # parts that are not listed are dropped, as S3 does
        self.objects[request["Key"]] = b"".join(parts[p["PartNumber"]]["body"] for p in listed)

    def abort_multipart_upload(self, **request):
        if self.uploads.pop(request["UploadId"], None) is None:
            raise ClientError({"Error": {"Code": "NoSuchUpload", "Message": "no"}}, "Abort")

    def put_object(self, **request):
        self.objects[request["Key"]] = request["Body"]


@pytest.fixture
def s3():
    return Multipart()


@pytest.fixture
def cache(tmp_path):
    return UploadCache(tmp_path / "cache" / "uploads.json")


def begin(s3, cache, body=BODY, digest="d1"):
    writer = PartWriter(
        S3Bucket(s3, "b", translated), "k", {}, PART, digest=digest, upload_cache=cache
    )
    writer.write(body)
    return writer


def interrupted(s3, cache, at=3):
    s3.fails_at = at
    writer = begin(s3, cache)
    with pytest.raises(ServiceError, match="no"):
        writer.commit()
    writer.pause()
    writer.abort()
    s3.fails_at = None
    s3.sent.clear()


@pytest.mark.parametrize("checksums", [True, False])
def test_what_has_arrived_is_not_sent_again(cache, checksums):
    s3 = Multipart(checksums)
    interrupted(s3, cache)
    assert begin(s3, cache).commit()
    assert 1 not in s3.sent
    assert 3 in s3.sent
    assert s3.objects == {"k": BODY}
    assert (s3.uploads, cache.begun("b/k")) == ({}, None)


def test_a_part_that_differs_is_sent_again(s3, cache):
    interrupted(s3, cache)
    other = b"X" + BODY[1:]
    assert begin(s3, cache, other).commit()
    assert 1 in s3.sent
    assert s3.objects == {"k": other}


def test_the_same_content_packed_otherwise_is_what_arrives(s3, cache):
    """As by another `upload.compression`, or by another version of mmectl."""
    interrupted(s3, cache, at=5)
    shorter = BODY[:PART] + b"packed otherwise" * 100
    assert begin(s3, cache, shorter).commit()
    assert 1 not in s3.sent
    assert s3.objects == {"k": shorter}
    assert (s3.uploads, cache.begun("b/k")) == ({}, None)


def test_other_content_gives_up_what_was_begun(s3, cache):
    interrupted(s3, cache)
    assert begin(s3, cache, digest="d2").commit()
    assert sorted(s3.sent) == [1, 2, 3, 4, 5]
    assert s3.uploads == {}


@pytest.mark.parametrize("key", ["alias/new", None])
def test_an_upload_begun_with_another_kms_key_does_not_go_on(s3, cache, key):
    metadata = {DIGEST: "d"}
    before = S3Bucket(s3, "b", translated, cache, kms_key="alias/old").writer("k", metadata, 1)
    before.write(bytes(8 << 20))
    before.pause()
    after = S3Bucket(s3, "b", translated, cache, kms_key=key).writer("k", metadata, 1)
    after.write(bytes(8 << 20))
    assert after.commit()
    assert (s3.sent, s3.uploads) == ([1, 1], {})


def test_an_upload_that_s3_has_dropped_begins_anew(s3, cache):
    interrupted(s3, cache)
    s3.uploads.clear()
    assert begin(s3, cache).commit()
    assert s3.objects == {"k": BODY}


def test_what_may_not_be_listed_is_given_up(s3, cache):
    interrupted(s3, cache)
    s3.secret = True
    assert begin(s3, cache).commit()
    assert (s3.objects, s3.uploads) == ({"k": BODY}, {})


def test_a_kill_is_an_interruption_too(s3, cache):
    begin(s3, cache)._pool.shutdown(wait=True)  # and nothing else: no pause, no abort
    assert cache.begun("b/k") == Begun("id0", "d1", PART)
    s3.sent.clear()
    assert begin(s3, cache).commit()
    assert s3.sent == [5]


class Killed(BaseException):
    """The end of a process."""


class TestKilledWhileS3Begins:
    """S3 has begun an upload whose id its owner never noted."""

    @pytest.fixture(autouse=True)
    def _killed(self, s3, cache):
        begins = s3.create_multipart_upload

        def and_kills(**request):
            begins(**request)
            raise Killed

        s3.create_multipart_upload = and_kills
        begin(s3, cache)._pool.shutdown(wait=True)
        s3.create_multipart_upload = begins
        assert cache.begun("b/k").upload_id == ""
        assert cache.unended("b/k") == {}

    def test_it_is_given_up_by_the_next_try(self, s3, cache):
        assert begin(s3, cache).commit()
        assert (s3.objects, s3.uploads, cache.begun("b/k")) == ({"k": BODY}, {}, None)

    def test_others_go_on(self, s3, cache):
        s3.uploads |= {"old": {}, "other": {}}
        s3.begun = {"old": (time.time() - 3600, "k"), "other": (time.time(), "k_v2")}
        assert begin(s3, cache).commit()
        assert s3.objects == {"k": BODY}
        assert set(s3.uploads) == {"old", "other"}

    def test_who_sends_the_same_name_just_now_goes_on(self, s3, cache):
        s3.uploads["theirs"] = {1: {"body": b"x"}}
        assert begin(s3, cache).commit()
        assert set(s3.uploads) == {"theirs"}

    def test_who_may_not_list_uploads_goes_on(self, s3, cache):
        s3.secret = True
        assert begin(s3, cache).commit()
        assert s3.objects == {"k": BODY}


def test_without_an_upload_cache_nothing_is_left(s3):
    writer = begin(s3, None)
    writer.pause()
    writer.abort()
    assert (s3.uploads, s3.objects) == ({}, {})


def test_an_abort_leaves_nothing(s3, cache):
    begin(s3, cache).abort()
    assert (s3.uploads, cache.begun("b/k")) == ({}, None)


def test_a_small_object_is_one_put(s3, cache):
    assert begin(s3, cache, b"small").commit()
    assert (s3.objects, s3.sent) == ({"k": b"small"}, [])


class TestLedger:
    def test_it_remembers_over_processes(self, cache, tmp_path):
        cache.begin("b/k", Begun("id", "d", 5))
        cache.sent("d", {"b/name": "name_v2.tar.gz"})
        again = UploadCache(tmp_path / "cache" / "uploads.json")
        assert again.begun("b/k") == Begun("id", "d", 5)
        assert again.targets(["b/name", "b/none"], "d") == ["name_v2.tar.gz", None]
        assert again.targets(["b/name"], "other") == [None]
        again.end("b/k")
        assert cache.begun("b/k") is None

    @pytest.mark.parametrize(
        "text", ["", "[]", "{", '{"begun": 3}', '{"begun": {"b/k": {"upload_id": 1}}}', "\0"]
    )
    def test_a_damaged_file_is_an_empty_one(self, tmp_path, text):
        file = tmp_path / "uploads.json"
        file.write_text(text)
        cache = UploadCache(file)
        assert cache.begun("b/k") is None
        cache.begin("b/k", Begun("id", "d", 5))
        assert json.loads(file.read_text())["begun"]["b/k"]["upload_id"] == "id"

    def test_what_another_process_wrote_is_seen(self, cache, tmp_path):
        cache.sent("d", {"b/name": "name.tar.gz"})
        other = UploadCache(tmp_path / "cache" / "uploads.json")
        other.sent("e", {"b/name": "name_v2.tar.gz"})
        assert cache.targets(["b/name"], "e") == ["name_v2.tar.gz"]

    def test_without_a_file_nothing_is_remembered(self):
        cache = UploadCache()
        cache.begin("b/k", Begun("id", "d", 5))
        assert cache.begun("b/k") is None


def test_thousands_of_names_are_one_read_and_one_write(tmp_path):
    class Counting(JsonFile):
        reads = writes = 0

        def _load(self):
            Counting.reads += 1
            return super()._load()

        def write(self, value):
            Counting.writes += 1
            super().write(value)

    cache = UploadCache()
    cache._file = Counting(tmp_path / "uploads.json")
    places = {f"b/name_{n}": f"name_{n}.tar.gz" for n in range(3_000)}
    cache.sent("d", places)
    assert cache.targets(list(places), "d") == list(places.values())
    for place, target in places.items():
        assert cache.targets([place], "d") == [target]
    assert (Counting.reads, Counting.writes) == (1, 1)

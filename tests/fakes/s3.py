"""S3 in memory: the calls that mmectl makes, with conditions, ranges and real error codes."""

from __future__ import annotations

import hashlib
import io
from datetime import datetime, timedelta, timezone
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

LONG_AGO = datetime.now(timezone.utc) - timedelta(days=2, hours=1)


class Object:
    def __init__(self, body: bytes, metadata: dict[str, str]) -> None:
        self.body, self.metadata = body, metadata
        self.etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def refused(code: str, status: int) -> ClientError:
    response = {
        "Error": {"Code": code, "Message": code},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "Call")


class Body(io.BytesIO):
    def iter_chunks(self, size: int) -> Any:
        while chunk := self.read(size):
            yield chunk


def _as_headers(metadata: dict[str, str]) -> dict[str, str]:
    if not all(f"{name}{value}".isascii() for name, value in metadata.items()):
        raise ParamValidationError(report="Non ascii characters found in S3 metadata")
    return {name.lower(): value for name, value in metadata.items()}


class FakeS3:
    """Objects by (bucket, key); `buckets` are those that may be empty.

    `meanwhile` is called once, before the next write; `refuses` refuses all deletions;
    `loses` loses the answer of the next write, upon which botocore writes again.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.buckets = {"bucket"}
        self.calls: list[str] = []
        self.meanwhile: Any = None
        self.refuses = False
        self.loses = False

    def put(self, bucket: str, key: str, body: bytes = b"x" * 1000, **metadata: str) -> None:
        about = {name.replace("_", "-"): value for name, value in metadata.items()}
        self.objects[bucket, key] = Object(body, about)

    def all_keys(self, bucket: str = "bucket") -> list[str]:
        return sorted(key for name, key in self.objects if name == bucket)

    def get_paginator(self, operation: str) -> FakeS3:
        assert operation == "list_objects_v2"
        return self

    def paginate(self, **request: Any) -> Any:
        self.calls.append("list")
        self._require(request)
        found = [k for k in self.all_keys(request["Bucket"]) if k.startswith(request["Prefix"])]
        for start in range(0, len(found), 1000):
            rows = []
            for key in found[start : start + 1000]:
                item = self.objects[request["Bucket"], key]
                row = {"Key": key, "Size": len(item.body), "ETag": item.etag}
                rows.append(row | {"LastModified": LONG_AGO})
            yield {"Contents": rows}

    def list_objects_v2(self, **request: Any) -> dict[str, Any]:
        self._require(request)
        found = [k for k in self.all_keys(request["Bucket"]) if k.startswith(request["Prefix"])]
        return {"KeyCount": len(found)}

    def _require(self, request: dict[str, Any]) -> None:
        if request["Bucket"] not in self.buckets | {bucket for bucket, _ in self.objects}:
            raise refused("NoSuchBucket", 404)

    def _get(self, request: dict[str, Any], code: str = "NoSuchKey") -> Object:
        if code != "404":  # an answer to HEAD has no body that could say more
            self._require(request)
        found = self.objects.get((request["Bucket"], request["Key"]))
        if found is None:
            raise refused(code, 404)
        if request.get("IfMatch", found.etag) != found.etag:
            raise refused("PreconditionFailed", 412)
        return found

    def head_object(self, **request: Any) -> dict[str, Any]:
        self.calls.append("head")
        found = self._get(request, "404")
        return {
            "Metadata": found.metadata,
            "ContentLength": len(found.body),
            "ETag": found.etag,
            "LastModified": LONG_AGO,
        }

    def head_bucket(self, **request: Any) -> dict[str, Any]:
        try:
            self._require(request)
        except ClientError:
            raise refused("404", 404) from None
        return {}

    def get_object(self, **request: Any) -> dict[str, Any]:
        self.calls.append("get")
        found = self._get(request)
        start = int(request.get("Range", "bytes=0-")[6:-1])
        if start and start >= len(found.body):
            raise refused("InvalidRange", 416)
        return {"Body": Body(found.body[start:]), "ETag": found.etag}

    def _may_write(self, request: dict[str, Any]) -> None:
        self._require(request)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        if request.get("IfNoneMatch") and (request["Bucket"], request["Key"]) in self.objects:
            raise refused("PreconditionFailed", 412)
        if request.get("IfMatch"):
            self._get(request)

    def put_object(self, **request: Any) -> dict[str, Any]:
        self.calls.append("put")
        self._may_write(request)
        made = Object(request["Body"], _as_headers(request.get("Metadata", {})))
        self.objects[request["Bucket"], request["Key"]] = made
        return self._lost(self.put_object, request) or {"ETag": made.etag}

    def copy_object(self, **request: Any) -> dict[str, Any]:
        self.calls.append("copy")
        source = self._get(request["CopySource"])
        self._may_write(request)
        made = Object(source.body, _as_headers(request["Metadata"]))
        self.objects[request["Bucket"], request["Key"]] = made
        return self._lost(self.copy_object, request) or {}

    def _lost(self, call: Any, request: dict[str, Any]) -> Any:
        loses, self.loses = self.loses, False
        return call(**request) if loses else None

    def abort_multipart_upload(self, **request: Any) -> dict[str, Any]:
        raise refused("NoSuchUpload", 404)

    def delete_objects(self, **request: Any) -> dict[str, Any]:
        self.calls.append("delete")
        self._require(request)
        if self.refuses:
            keys = [item["Key"] for item in request["Delete"]["Objects"]]
            return {"Errors": [{"Key": key, "Message": "Access Denied"} for key in keys]}
        for item in request["Delete"]["Objects"]:
            self.objects.pop((request["Bucket"], item["Key"]), None)
        return {}

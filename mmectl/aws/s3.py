"""The registry's bucket over a boto3 S3 client.

Every object is made whole or not at all, and never over another: puts, completions and copies
carry ``If-None-Match: *``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from mmectl.aws.multipart import Guard, PartWriter, unless_taken
from mmectl.base.errors import ServiceError
from mmectl.base.text import counted
from mmectl.registry.names import DIGEST
from mmectl.registry.store import About, Document, Stored, Writer
from mmectl.registry.upload_cache import UploadCache

PART = 8 << 20  # S3 wants 5 MiB at least and 10,000 parts at most
_MAX_PARTS = 9_000

_MISSING = {"aws_404", "aws_NoSuchKey", "aws_NotFound"}
_DELETED_AT_ONCE = 1000
_CHUNK = 1 << 20

_NEVER = datetime(1970, 1, 1, tzinfo=timezone.utc)


class S3Bucket:
    """`Store` over a boto3 S3 client.

    `guard` turns botocore's errors into ServiceError: code ``aws_<Code>``, text ``doing: why``.
    `upload_cache` remembers uploads in parts, so that interrupted ones go on. `kms_key` is what
    the client encrypts with there: an upload that was begun with another one does not go on.
    """

    def __init__(
        self,
        client: Any,
        name: str,
        guard: Guard,
        upload_cache: UploadCache | None = None,
        *,
        kms_key: str | None = None,
    ) -> None:
        self.kms_key = kms_key
        self.client = client
        self.name = name
        self.guard = guard
        self.upload_cache = upload_cache

    def list(self, prefix: str) -> Iterator[Stored]:
        """Every object whose key begins with `prefix`, by key (1,000 a request)."""
        with self.guard(f"list s3://{self.name}/{prefix}"):
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.name, Prefix=prefix):
                for entry in page.get("Contents", ()):
                    yield Stored(
                        entry["Key"], entry["Size"], entry["LastModified"], entry.get("ETag", "")
                    )

    def holds(self, prefix: str) -> bool:
        """Whether any object's key begins with `prefix`."""
        with self.guard(f"s3:ListObjectsV2 s3://{self.name}/{prefix}"):
            found = self.client.list_objects_v2(Bucket=self.name, Prefix=prefix, MaxKeys=1)
        return bool(found.get("KeyCount"))

    def metadata(self, key: str) -> Mapping[str, str] | None:
        """The user metadata of an object; None where there is no such object."""
        found = self.about(key)
        return found.metadata if found else None

    def about(self, key: str) -> About | None:
        """Look at an object; None where there is no such object."""
        try:
            with self.guard(f"read s3://{self.name}/{key}"):
                answer = self.client.head_object(Bucket=self.name, Key=key)
        except ServiceError as error:
            if error.code in _MISSING:
                return None
            raise
        return About(
            answer.get("ContentLength", 0),
            answer.get("ETag", ""),
            answer.get("LastModified", _NEVER),
            answer["Metadata"],
        )

    def exists(self) -> bool:
        """Whether there is such a bucket; one that we may not look at is there."""
        try:
            with self.guard(f"s3:HeadBucket {self.name}"):
                self.client.head_bucket(Bucket=self.name)
        except ServiceError as error:
            return error.code not in (*_MISSING, "aws_NoSuchBucket")
        return True

    def read(self, key: str) -> Document | None:
        """A small object, whole; None where there is no such object."""
        try:
            with self.guard(f"read s3://{self.name}/{key}"):
                answer = self.client.get_object(Bucket=self.name, Key=key)
                return Document(answer["Body"].read(), answer["ETag"])
        except ServiceError as error:
            if error.code in _MISSING:
                return None
            raise

    def replace(self, key: str, body: bytes, etag: str | None) -> bool:
        """Write a JSON document over the one of that `etag`, or as a new one (None).

        False, and nothing written, where somebody else was faster.
        """
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}

        def call() -> None:
            with self.guard(f"write s3://{self.name}/{key}"):
                self.client.put_object(
                    Bucket=self.name,
                    Key=key,
                    Body=body,
                    ContentType="application/json",
                    **condition,
                )

        try:
            return unless_taken(call)
        except ServiceError as error:
            if etag and error.code in _MISSING:  # deleted meanwhile
                return False
            raise

    def download(self, key: str, etag: str, offset: int = 0) -> Iterator[bytes]:
        """The bytes of an object from `offset` on, as long as it is the one of that `etag`."""
        where = {"Range": f"bytes={offset}-"} if offset else {}
        with self.guard(f"fetch s3://{self.name}/{key}"):
            answer = self.client.get_object(Bucket=self.name, Key=key, IfMatch=etag, **where)
            yield from answer["Body"].iter_chunks(_CHUNK)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are gone already are fine. Raises ServiceError."""
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            some = [{"Key": key} for key in keys[start : start + _DELETED_AT_ONCE]]
            with self.guard(f"s3:DeleteObjects {self.name}"):
                answer = self.client.delete_objects(
                    Bucket=self.name, Delete={"Objects": some, "Quiet": True}
                )
            # refused objects stand in an answer that is a success otherwise
            if errors := answer.get("Errors"):
                first = errors[0]
                raise ServiceError(
                    f"not deleted: {counted(len(errors), 'object')}, the first {first['Key']}: "
                    f"{first.get('Message', first.get('Code'))}",
                    code="not_deleted",
                )

    def writer(self, key: str, metadata: Mapping[str, str], size: int) -> Writer:
        """Begin an object of about `size` bytes."""
        digest = metadata.get(DIGEST, "")
        return PartWriter(
            self,
            key,
            metadata,
            max(PART, size // _MAX_PARTS),
            digest=f"{digest} {self.kms_key}" if self.kms_key else digest,
            upload_cache=self.upload_cache,
        )

    def give_up(self, key: str, upload_id: str) -> None:
        """Drop an unfinished upload in parts; one that is gone is fine."""
        with suppress(ServiceError), self.guard(f"give up an upload of s3://{self.name}/{key}"):
            self.client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload_id)

    def copy(
        self, source: str, key: str, metadata: Mapping[str, str], *, bucket: str | None = None
    ) -> bool:
        """Copy on the server, with metadata of its own; False where the key is taken.

        `bucket` is the source's where it is another one.
        """
        origin = bucket or self.name

        def call() -> None:
            with self.guard(f"copy s3://{origin}/{source} to s3://{self.name}/{key}"):
                self.client.copy_object(
                    Bucket=self.name,
                    Key=key,
                    CopySource={"Bucket": origin, "Key": source},
                    Metadata=dict(metadata),
                    MetadataDirective="REPLACE",
                    ContentType="application/gzip",
                    IfNoneMatch="*",
                )

        return unless_taken(call)

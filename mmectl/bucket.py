"""A bucket as uploads need it, over a boto3 S3 client that is handed in.

Every object is made whole or not at all, and never over another: puts, completions and copies
carry ``If-None-Match: *``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from mmectl.errors import MmectlError, ServiceError

PART = 8 << 20  # S3 wants 5 MiB at least and 10,000 parts at most
_MAX_PARTS = 9_000
_AT_ONCE = 3

_MISSING = {"aws_404", "aws_NoSuchKey", "aws_NotFound"}
_TAKEN = {"aws_PreconditionFailed", "aws_412", "aws_ConditionalRequestConflict"}

Guard = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Stored:
    """One object of a listing; `size` in bytes."""

    key: str
    size: int
    modified: datetime


class Writer(Protocol):
    """An object being written; nobody sees it before `commit`."""

    def write(self, data: bytes, /) -> object:
        """Take the next bytes."""
        ...

    def commit(self) -> bool:
        """Make the object appear; False where the key is taken. Raises what went wrong."""
        ...

    def abort(self) -> None:
        """Forget it; harmless after `commit` and when called twice."""
        ...


class Bucket(Protocol):
    """What uploads need of a bucket."""

    def list(self, prefix: str) -> Iterator[Stored]:
        """Every object whose key begins with `prefix`, by key."""
        ...

    def metadata(self, key: str) -> Mapping[str, str] | None:
        """The user metadata of an object; None where there is no such object."""
        ...

    def writer(self, key: str, metadata: Mapping[str, str], size: int) -> Writer:
        """Begin an object of about `size` bytes."""
        ...

    def copy(self, source: str, key: str, metadata: Mapping[str, str]) -> bool:
        """Copy on the server, with metadata of its own; False where the key is taken."""
        ...


@contextmanager
def as_service_error(doing: str) -> Iterator[None]:
    """Turn botocore's errors into ServiceError: code ``aws_<Code>``, text ``doing: why``."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        details = error.response.get("Error", {})
        code, text = details.get("Code", "Unknown"), details.get("Message", str(error))
        raise ServiceError(f"{doing}: {text}", code=f"aws_{code}") from error
    except BotoCoreError as error:
        raise ServiceError(f"{doing}: {error}") from error


def _unless_taken(call: Callable[[], object]) -> bool:
    try:
        call()
    except ServiceError as error:
        if error.code in _TAKEN:
            return False
        raise
    return True


class S3Bucket:
    """`Bucket` over a boto3 S3 client; `guard` turns botocore's errors into ours."""

    def __init__(self, client: Any, name: str, guard: Guard = as_service_error) -> None:
        self.client = client
        self.name = name
        self.guard = guard

    def list(self, prefix: str) -> Iterator[Stored]:
        """Every object whose key begins with `prefix`, by key (1,000 a request)."""
        with self.guard(f"list s3://{self.name}/{prefix}"):
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.name, Prefix=prefix):
                for entry in page.get("Contents", ()):
                    yield Stored(entry["Key"], entry["Size"], entry["LastModified"])

    def metadata(self, key: str) -> Mapping[str, str] | None:
        """The user metadata of an object; None where there is no such object."""
        try:
            with self.guard(f"look at s3://{self.name}/{key}"):
                found: Mapping[str, str] = self.client.head_object(Bucket=self.name, Key=key)[
                    "Metadata"
                ]
                return found
        except ServiceError as error:
            if error.code in _MISSING:
                return None
            raise

    def writer(self, key: str, metadata: Mapping[str, str], size: int) -> Writer:
        """Begin an object of about `size` bytes."""
        return PartWriter(self, key, metadata, max(PART, size // _MAX_PARTS))

    def copy(self, source: str, key: str, metadata: Mapping[str, str]) -> bool:
        """Copy on the server, with metadata of its own; False where the key is taken."""

        def call() -> None:
            with self.guard(f"copy s3://{self.name}/{source} to {key}"):
                self.client.copy_object(
                    Bucket=self.name,
                    Key=key,
                    CopySource={"Bucket": self.name, "Key": source},
                    Metadata=dict(metadata),
                    MetadataDirective="REPLACE",
                    ContentType="application/gzip",
                    IfNoneMatch="*",
                )

        return _unless_taken(call)


class PartWriter:
    """Sends parts in the background, a few at once; a small object is one put.

    `write` never raises what a part met: `commit` does, and `broken` tells earlier.
    """

    def __init__(
        self, bucket: S3Bucket, key: str, metadata: Mapping[str, str], part_size: int
    ) -> None:
        self._bucket, self._part_size = bucket, part_size
        self._where = {"Bucket": bucket.name, "Key": key}
        self._about = {"Metadata": dict(metadata), "ContentType": "application/gzip"}
        self._doing = f"upload s3://{bucket.name}/{key}"
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._parts: list[Future[dict[str, object]]] = []
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="upload-part")
        self._places = threading.Semaphore(_AT_ONCE + 1)
        self._starting = threading.Lock()

    @property
    def broken(self) -> bool:
        """Whether a part has failed already."""
        return any(part.done() and part.exception() for part in self._parts)

    def write(self, data: bytes, /) -> None:
        """Take the next bytes; waits while enough parts are under way."""
        self._buffer += data
        while len(self._buffer) >= self._part_size:
            self._send(bytes(self._buffer[: self._part_size]))
            del self._buffer[: self._part_size]

    def _send(self, body: bytes) -> None:
        self._places.acquire()
        if self.broken:
            self._places.release()
            return
        self._parts.append(self._pool.submit(self._upload_part, len(self._parts) + 1, body))

    def _upload_part(self, number: int, body: bytes) -> dict[str, object]:
        try:
            with self._bucket.guard(self._doing):
                answer = self._bucket.client.upload_part(
                    **self._where, UploadId=self._started(), PartNumber=number, Body=body
                )
        finally:
            self._places.release()
        checksums = {k: v for k, v in answer.items() if k.startswith("ChecksumCRC")}
        return {"PartNumber": number, "ETag": answer["ETag"], **checksums}

    def _started(self) -> str:
        with self._starting:
            if self._upload_id is None:
                answer = self._bucket.client.create_multipart_upload(**self._where, **self._about)
                self._upload_id = str(answer["UploadId"])
            return self._upload_id

    def commit(self) -> bool:
        """Make the object appear; False where the key is taken. Raises what a part met."""
        rest = bytes(self._buffer)
        if not self._parts:
            done = _unless_taken(lambda: self._put(rest))
        else:
            if rest:
                self._send(rest)
            parts = [part.result() for part in self._parts]
            done = _unless_taken(lambda: self._complete(parts))
        if done:
            self._upload_id = None
        self.abort()
        return done

    def _put(self, body: bytes) -> None:
        with self._bucket.guard(self._doing):
            self._bucket.client.put_object(**self._where, **self._about, Body=body, IfNoneMatch="*")

    def _complete(self, parts: list[dict[str, object]]) -> None:
        with self._bucket.guard(self._doing):
            self._bucket.client.complete_multipart_upload(
                **self._where,
                UploadId=self._upload_id,
                MultipartUpload={"Parts": parts},
                IfNoneMatch="*",
            )

    def abort(self) -> None:
        """Forget it: parts that wait are dropped, those under way are waited for."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._buffer.clear()
        upload_id, self._upload_id = self._upload_id, None
        if upload_id is None:
            return
        try:
            with self._bucket.guard(self._doing):
                self._bucket.client.abort_multipart_upload(**self._where, UploadId=upload_id)
        except MmectlError:
            # what stopped the upload is the error worth showing; the parts are invisible
            return

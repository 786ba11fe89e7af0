"""Multipart upload of an object in background threads; a small object is one put.

An upload that was interrupted goes on: parts that arrived are not sent again. S3 keeps them, and
the upload cache says under which upload id; each is compared by its checksum first.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from typing import Any, Protocol

from mmectl.base.errors import MmectlError, ServiceError
from mmectl.registry.upload_cache import Begun, UploadCache

Guard = Callable[[str], AbstractContextManager[None]]
"""Says what is being done, for the error; see `session.translated`."""

_AT_ONCE = 3
# seconds by which this clock and that of S3 may differ
_CLOCKS = 300.0
# what S3 says where a condition of a write does not hold, or two such writes meet
_TAKEN = {"aws_PreconditionFailed", "aws_412", "aws_ConditionalRequestConflict", "aws_409"}


class Opened(Protocol):
    """A bucket with the boto3 S3 client that reaches it."""

    client: Any
    name: str
    guard: Guard


def unless_taken(call: Callable[[], object]) -> bool:
    """Call; False where a condition of the request did not hold."""
    try:
        call()
    except ServiceError as error:
        if error.code in _TAKEN:
            return False
        raise
    return True


class PartWriter:
    """Sends parts in the background, a few at once; a small object is one put.

    `write` never raises what a part met: `commit` does, and `broken` tells earlier. `digest` is of
    the content: only an interrupted upload of the same content goes on.
    """

    def __init__(
        self,
        bucket: Opened,
        key: str,
        metadata: Mapping[str, str],
        part_size: int,
        *,
        digest: str = "",
        upload_cache: UploadCache | None = None,
    ) -> None:
        self._bucket, self._part_size = bucket, part_size
        self._digest, self._upload_cache = digest, upload_cache or UploadCache()
        self._place = f"{bucket.name}/{key}"
        self._there: dict[int, Mapping[str, Any]] = {}
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
                upload_id = self._started()
                answer = self._there.get(number)
                if answer is None or not _same(answer, body):
                    answer = self._bucket.client.upload_part(
                        **self._where, UploadId=upload_id, PartNumber=number, Body=body
                    )
        finally:
            self._places.release()
        checksums = {k: v for k, v in answer.items() if k.startswith("ChecksumCRC")}
        return {"PartNumber": number, "ETag": answer["ETag"], **checksums}

    def _started(self) -> str:
        """The upload's id: the interrupted one's where there is one, else a new one's."""
        with self._starting:
            if self._upload_id is None:
                self._upload_id = self._resumed() or self._begun()
            return self._upload_id

    def _begun(self) -> str:
        asked = Begun("", self._digest, self._part_size, time.time())
        self._upload_cache.begin(self._place, asked)  # until the answer is noted
        answer = self._bucket.client.create_multipart_upload(**self._where, **self._about)
        upload_id = str(answer["UploadId"])
        self._upload_cache.begin(self._place, Begun(upload_id, self._digest, self._part_size))
        return upload_id

    def _resumed(self) -> str | None:
        known = self._upload_cache.begun(self._place)
        if known is None:
            return None
        if not known.upload_id:
            self._give_up_unanswered(known.at)
            return None
        if (known.digest, known.part_size) != (self._digest, self._part_size):
            self._give_up(known.upload_id)
            return None
        try:
            self._there = self._sent(known.upload_id)
        except ServiceError:  # given up meanwhile, or may not be listed: begin anew
            self._there = {}
            self._give_up(known.upload_id)
            return None
        return known.upload_id

    def _sent(self, upload_id: str) -> dict[int, Mapping[str, Any]]:
        """The parts of an upload that S3 has, by their number."""
        with self._bucket.guard(self._doing):
            pages = self._bucket.client.get_paginator("list_parts").paginate(
                **self._where, UploadId=upload_id
            )
            return {p["PartNumber"]: p for page in pages for p in page.get("Parts", ())}

    def commit(self) -> bool:
        """Make the object appear; False where the key is taken. Raises what a part met."""
        rest = bytes(self._buffer)
        if not self._parts:
            done = unless_taken(lambda: self._put(rest))
        else:
            if rest:
                self._send(rest)
            parts = [part.result() for part in self._parts]
            done = unless_taken(lambda: self._complete(parts))
        if done:
            self._ended()
        self.abort()
        return done

    def _ended(self) -> None:
        if self._upload_id is not None:
            self._upload_cache.end(self._place)
        self._upload_id = None

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

    def pause(self) -> None:
        """Stop, and leave what was sent for the next try, where the next try can know of it."""
        self._stop()
        if self._upload_cache.begun(self._place) is not None:
            self._upload_id = None

    def abort(self) -> None:
        """Forget it: parts that wait are dropped, those under way are waited for."""
        self._stop()
        if self._upload_id is not None:
            self._give_up(self._upload_id)
            self._ended()

    def _stop(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._buffer.clear()

    def _give_up_unanswered(self, asked: float) -> None:
        """Give up what S3 began for who was ended before the answer was noted.

        That has no parts; one with parts is somebody else's who sends the same name just now.
        """
        doing = self._bucket.guard(self._doing)
        with suppress(ServiceError), doing:  # else they are left to the bucket's rule
            pages = self._bucket.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._where["Bucket"], Prefix=self._where["Key"]
            )
            rows = [row for page in pages for row in page.get("Uploads", ())]
            for row in rows:
                then = abs(row["Initiated"].timestamp() - asked) < _CLOCKS
                if row["Key"] == self._where["Key"] and then and not self._sent(row["UploadId"]):
                    self._give_up(row["UploadId"])

    def _give_up(self, upload_id: str) -> None:
        try:
            with self._bucket.guard(self._doing):
                self._bucket.client.abort_multipart_upload(**self._where, UploadId=upload_id)
        except MmectlError:
            # what stopped the upload is the error worth showing; the parts are invisible
            return


def _same(part: Mapping[str, Any], body: bytes) -> bool:
    """Whether a part of ListParts is these bytes: by its CRC-32, else by its MD5 (the ETag)."""
    if part.get("Size") != len(body):
        return False
    if found := part.get("ChecksumCRC32"):
        return bool(found == base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode())
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    return str(part.get("ETag", "")).strip('"') == digest

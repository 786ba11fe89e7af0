"""An object sent in parts, in the background, a few at once; a small one is one put."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from mmectl.errors import MmectlError, ServiceError

if TYPE_CHECKING:
    from mmectl.bucket import S3Bucket

_AT_ONCE = 3
# what S3 says where a condition of a write does not hold, or two such writes meet
_TAKEN = {"aws_PreconditionFailed", "aws_412", "aws_ConditionalRequestConflict", "aws_409"}


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
            done = unless_taken(lambda: self._put(rest))
        else:
            if rest:
                self._send(rest)
            parts = [part.result() for part in self._parts]
            done = unless_taken(lambda: self._complete(parts))
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

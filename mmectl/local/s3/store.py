"""The object store: immutable files beside an index. Knows nothing of HTTP.

The vault keeps files and index in step; here is what may be done with them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from mmectl.local.s3 import listing
from mmectl.local.s3.files import Incoming, Opener, create
from mmectl.local.s3.files_of_objects import Vault
from mmectl.local.s3.index import Bucket, Entry, Index, Part, Upload
from mmectl.local.values import AwsError, StoredObject


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold of the current object for a write to happen (If-None-Match: *, If-Match)."""

    absent: bool = False
    etag: str | None = None

    def check(self, current: Entry | None, key: str) -> None:
        """Raise AwsError when it does not hold."""
        if self.absent and current is not None:
            raise failed("If-None-Match")
        if self.etag is not None:
            if current is None:
                raise no_such_key(key)
            if self.etag not in ("*", current.etag):
                raise failed("If-Match")


ALWAYS = Condition()
FIRST_REGION = "us-east-1"  # where making a bucket again is no error


def failed(condition: str) -> AwsError:
    """The answer to a condition that does not hold."""
    return AwsError(
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        412,
        {"Condition": condition},
    )


def no_such_key(key: str) -> AwsError:
    """The answer to an unknown key."""
    return AwsError("NoSuchKey", "The specified key does not exist.", 404, {"Key": key})


def no_such_upload(upload_id: str) -> AwsError:
    """The answer to an unknown multipart upload."""
    return AwsError(
        "NoSuchUpload",
        "The specified upload does not exist. The upload ID may be invalid, or the upload may "
        "have been aborted or completed.",
        404,
        {"UploadId": upload_id},
    )


class ObjectStore:
    """Buckets, objects and multipart uploads under `folder`; open it first, close it last.

    Methods raise AwsError in S3's words. Index work runs in one thread of its own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], float] = time.time,
        opener: Opener = create,
    ) -> None:
        self._clock = clock
        self._vault = Vault(folder, opener)

    async def open(self) -> None:
        """Open the index and sweep what an interrupted run left; raises PlatformError."""
        await self._vault.open()

    async def close(self) -> None:
        """Close the index."""
        await self._vault.close()

    # what the control and the data plane ask

    async def find(self, bucket: str, key: str) -> StoredObject | None:
        """The current object of that key, or None."""
        entry = await self._vault.run(lambda: self._vault.index.get(bucket, key))
        return StoredObject(self.path(entry), entry.etag, entry.size) if entry else None

    async def any(self, bucket: str, prefix: str) -> bool:
        """Whether an object with that prefix exists."""
        page = await self._vault.run(lambda: self._page(bucket, prefix, "", "", 1))
        return bool(page.entries)

    def path(self, entry: Entry) -> Path:
        """The file that holds the object's bytes."""
        return self._vault.path(entry.file)

    # buckets

    async def buckets(self) -> list[Bucket]:
        """All buckets, by name."""
        return await self._vault.run(self._vault.index.buckets)

    async def bucket(self, name: str) -> Bucket:
        """One bucket; NoSuchBucket."""
        return await self._vault.run(lambda: self._bucket(name))

    def _bucket(self, name: str) -> Bucket:
        bucket = self._vault.index.bucket(name)
        if bucket is None:
            raise AwsError(
                "NoSuchBucket", "The specified bucket does not exist", 404, {"BucketName": name}
            )
        return bucket

    async def create_bucket(
        self,
        name: str,
        region: str,
        *,
        tags: dict[str, str] | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Make a bucket with tags and settings; BucketAlreadyOwnedByYou.

        In us-east-1 one's own bucket may be made again: it stays as it is.
        """

        def work(index: Index) -> None:
            present = index.bucket(name)
            if present and region == present.region == FIRST_REGION:
                return
            if present:
                raise AwsError(
                    "BucketAlreadyOwnedByYou",
                    "Your previous request to create the named bucket succeeded and you already "
                    "own it.",
                    409,
                    {"BucketName": name},
                )
            index.put_bucket(Bucket(name, region, self._clock(), tags or {}))
            for setting, body in settings.items():
                index.put_setting(name, setting, body)

        await self._vault.change(work)

    async def tag_bucket(self, name: str, tags: dict[str, str]) -> None:
        """Replace the tags of a bucket."""

        def work(index: Index) -> None:
            bucket = self._bucket(name)
            index.put_bucket(Bucket(name, bucket.region, bucket.created, tags))

        await self._vault.change(work)

    async def setting(self, bucket: str, name: str) -> str | None:
        """What was put as that setting of a bucket; NoSuchBucket."""

        def work() -> str | None:
            self._bucket(bucket)
            return self._vault.index.setting(bucket, name)

        return await self._vault.run(work)

    async def keep_setting(self, bucket: str, name: str, body: str | None) -> None:
        """Keep a setting, or forget it; NoSuchBucket."""

        def work(index: Index) -> None:
            self._bucket(bucket)
            index.put_setting(bucket, name, body)

        await self._vault.change(work)

    async def delete_bucket(self, name: str) -> None:
        """Remove an empty bucket; BucketNotEmpty."""

        def work(index: Index) -> list[str]:
            self._bucket(name)
            if index.scan(name, b"", None, 1):
                raise AwsError(
                    "BucketNotEmpty",
                    "The bucket you tried to delete is not empty",
                    409,
                    {"BucketName": name},
                )
            uploads = index.uploads(name)
            files = [file for upload in uploads for file in index.delete_upload(upload.id)]
            index.delete_bucket(name)
            return files

        await self._vault.release(work)

    # objects

    async def get(self, bucket: str, key: str) -> Entry:
        """The current object; NoSuchBucket, NoSuchKey."""

        def work() -> Entry:
            entry = self._vault.index.get(bucket, key)
            if entry is None:
                self._bucket(bucket)
                raise no_such_key(key)
            return entry

        return await self._vault.run(work)

    async def tag_object(self, bucket: str, key: str, tags: dict[str, str]) -> None:
        """Replace the tags of an object; NoSuchBucket, NoSuchKey."""

        def work(index: Index) -> None:
            self._bucket(bucket)
            entry = index.get(bucket, key)
            if entry is None:
                raise no_such_key(key)
            index.put(bucket, replace(entry, tags=tags))  # its file stays

        await self._vault.change(work)

    async def check(self, bucket: str, key: str, condition: Condition) -> None:
        """Refuse a write early, before its body is read."""

        def work() -> None:
            self._bucket(bucket)
            condition.check(self._vault.index.get(bucket, key), key)

        await self._vault.run(work)

    def incoming(self) -> Incoming:
        """A file to write to; `discard` it in the end, whatever happened."""
        return self._vault.incoming()

    async def put(self, bucket: str, entry: Entry, condition: Condition = ALWAYS) -> None:
        """Commit an object whose file is in place; the condition is checked again."""

        def work(index: Index) -> list[str]:
            self._bucket(bucket)
            condition.check(index.get(bucket, entry.key), entry.key)
            return index.put(bucket, entry)

        await self._vault.release(work, entry.file)

    async def copy(
        self, source: Entry, bucket: str, target: Entry, condition: Condition = ALWAYS
    ) -> Entry:
        """Commit `target` with the bytes of `source`: a hard link, not a copy."""
        target = replace(target, file=await asyncio.to_thread(self._shared, source))
        await self.put(bucket, target, condition)
        return target

    def _shared(self, source: Entry) -> str:
        try:
            return self._vault.link(source.file, source.size)
        except FileNotFoundError:  # replaced or deleted meanwhile
            raise no_such_key(source.key) from None

    async def delete(self, bucket: str, keys: Sequence[str], condition: Condition = ALWAYS) -> None:
        """Remove objects; unknown keys are fine."""

        def work(index: Index) -> list[str]:
            self._bucket(bucket)
            if condition is not ALWAYS:
                condition.check(index.get(bucket, keys[0]), keys[0])
            return [file for key in keys for file in index.delete(bucket, key)]

        await self._vault.release(work)

    async def page(
        self, bucket: str, prefix: str, delimiter: str, after: str, max_keys: int
    ) -> listing.Page:
        """One page of a listing; NoSuchBucket."""

        def work() -> listing.Page:
            self._bucket(bucket)
            return self._page(bucket, prefix, delimiter, after, max_keys)

        return await self._vault.run(work)

    def _page(
        self, bucket: str, prefix: str, delimiter: str, after: str, max_keys: int
    ) -> listing.Page:
        def scan(start: bytes, end: bytes | None, limit: int) -> list[Entry]:
            return self._vault.index.scan(bucket, start, end, limit)

        return listing.page(scan, prefix, delimiter, after, max_keys)

    # multipart uploads

    async def create_upload(self, upload: Upload) -> None:
        """Begin an upload; NoSuchBucket."""

        def work(index: Index) -> None:
            self._bucket(upload.bucket)
            index.put_upload(upload)

        await self._vault.change(work)

    async def uploads(self, bucket: str) -> list[Upload]:
        """The uploads in progress, by key; NoSuchBucket."""
        await self.bucket(bucket)
        return await self._vault.run(lambda: self._vault.index.uploads(bucket))

    async def upload(self, bucket: str, key: str, upload_id: str) -> tuple[Upload, list[Part]]:
        """An upload and its parts; NoSuchUpload."""

        def work() -> tuple[Upload, list[Part]]:
            return self._upload(bucket, key, upload_id), self._vault.index.parts(upload_id)

        return await self._vault.run(work)

    def _upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        self._bucket(bucket)
        upload = self._vault.index.upload(bucket, key, upload_id)
        if upload is None:
            raise no_such_upload(upload_id)
        return upload

    async def put_part(self, upload: Upload, part: Part) -> None:
        """Commit a part whose file is in place."""

        def work(index: Index) -> list[str]:
            self._upload(upload.bucket, upload.key, upload.id)
            return index.put_part(upload.id, part)

        await self._vault.release(work, part.file)

    async def abort(self, upload: Upload) -> None:
        """Forget an upload and remove its parts."""
        await self._vault.release(lambda index: index.delete_upload(upload.id))

    def join(self, parts: Sequence[Part]) -> str:
        """Put the parts' bytes into one file; run it in a thread."""
        return self._vault.join([(part.file, part.size) for part in parts])

    async def complete(self, upload: Upload, entry: Entry, condition: Condition) -> None:
        """Commit the joined object and forget the upload, as one."""

        def work(index: Index) -> list[str]:
            self._upload(upload.bucket, upload.key, upload.id)
            condition.check(index.get(upload.bucket, upload.key), upload.key)
            return index.put(upload.bucket, entry) + index.delete_upload(upload.id)

        await self._vault.release(work, entry.file)

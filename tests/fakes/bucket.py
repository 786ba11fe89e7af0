"""A bucket in memory, as `registry.store.Store` wants it."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone

from mmectl.base.errors import ServiceError
from mmectl.registry.store import Document, Store, Stored, Writer

NOW = datetime(2024, 1, 1, tzinfo=timezone.utc)


class Memory:
    """A bucket in memory that counts calls.

    `faster` holds keys that somebody takes first, `broken` those whose writers are refused.
    """

    def __init__(self, faster: Iterable[str] = (), broken: Iterable[str] = ()) -> None:
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.calls: list[tuple[str, ...]] = []
        self.faster, self.broken = set(faster), set(broken)
        self.open = 0
        self.lock = threading.Lock()

    def list(self, prefix: str) -> Iterator[Stored]:
        self.calls.append(("list", prefix))
        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield Stored(key, len(self.objects[key][0]), NOW)

    def metadata(self, key: str) -> Mapping[str, str] | None:
        self.calls.append(("metadata", key))
        return self.objects[key][1] if key in self.objects else None

    def writer(self, key: str, metadata: Mapping[str, str], size: int) -> MemoryWriter:
        self.calls.append(("write", key))
        return MemoryWriter(self, key, metadata)

    def copy(self, source: str, key: str, metadata: Mapping[str, str]) -> bool:
        self.calls.append(("copy", key))
        if source not in self.objects:
            raise ServiceError(f"copy {source} to {key}: NoSuchKey", code="aws_NoSuchKey")
        return self.store(key, self.objects[source][0], metadata)

    def give_up(self, key: str, upload_id: str) -> None:
        self.calls.append(("give up", key, upload_id))

    def read(self, key: str) -> Document | None:
        self.calls.append(("read", key))
        found = self.objects.get(key)
        return found and Document(found[0], _etag(found[0]))

    def replace(self, key: str, body: bytes, etag: str | None) -> bool:
        self.calls.append(("replace", key))
        with self.lock:
            found = self.objects.get(key)
            if (found and _etag(found[0])) != etag:
                return False
            self.objects[key] = (body, {})
            return True

    def store(self, key: str, body: bytes, metadata: Mapping[str, str]) -> bool:
        with self.lock:
            if key in self.faster:
                self.faster.remove(key)
                self.objects[key] = (b"somebody else's", {})
            if key in self.objects:
                return False
            self.objects[key] = (body, _as_headers(metadata))
            return True

    def count(self, kind: str) -> int:
        return sum(call[0] == kind for call in self.calls)


class MemoryWriter:
    """An object of `Memory` that is being written."""

    def __init__(self, bucket: Memory, key: str, metadata: Mapping[str, str]) -> None:
        self.bucket, self.key, self.metadata = bucket, key, metadata
        self.body = io.BytesIO()
        bucket.open += 1
        self.finished = False

    def write(self, data: bytes) -> None:
        self.body.write(data)

    def commit(self) -> bool:
        if self.key in self.bucket.broken:
            raise ServiceError(f"upload {self.key}: Access Denied", code="aws_AccessDenied")
        return self.bucket.store(self.key, self.body.getvalue(), self.metadata)

    def pause(self) -> None:
        self.paused = True

    def abort(self) -> None:
        if not self.finished:
            self.finished = True
            self.bucket.open -= 1


def _as_headers(metadata: Mapping[str, str]) -> dict[str, str]:
    if not all(f"{name}{value}".isascii() for name, value in metadata.items()):
        raise ServiceError("metadata may contain ASCII characters only")
    return {name.lower(): value for name, value in metadata.items()}


def _etag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


_store: type[Store] = Memory
_writer: type[Writer] = MemoryWriter

"""A bucket as the registry of models sees it: protocols and values, no AWS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """One object of a listing; `size` in bytes."""

    key: str
    size: int
    modified: datetime
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A small object, whole; `etag` is what a later `replace` must name."""

    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class About:
    """What a look at an object tells; `size` in bytes."""

    size: int
    etag: str
    modified: datetime
    metadata: Mapping[str, str]


class Writer(Protocol):
    """An object being written; nobody sees it before `commit`."""

    def write(self, data: bytes, /) -> object:
        """Take the next bytes."""
        ...

    def commit(self) -> bool:
        """Make the object appear; False where the key is taken. Raises what went wrong."""
        ...

    def pause(self) -> None:
        """Stop; what was sent stays for the next try, where there can be one."""
        ...

    def abort(self) -> None:
        """Forget it; harmless after `commit`, after `pause` and when called twice."""
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

    def give_up(self, key: str, upload_id: str) -> None:
        """Drop an unfinished upload in parts; one that is gone is fine."""
        ...


class Documents(Protocol):
    """What aliases need of a bucket."""

    def list(self, prefix: str) -> Iterator[Stored]:
        """Every object whose key begins with `prefix`, by key."""
        ...

    def read(self, key: str) -> Document | None:
        """A small object, whole; None where there is no such object."""
        ...

    def replace(self, key: str, body: bytes, etag: str | None) -> bool:
        """Write over the one of that `etag`, or as a new one; False where it is not that one."""
        ...


class Store(Bucket, Documents, Protocol):
    """A bucket with models and documents."""


class SourceBucket(Protocol):
    """What fetching needs of a bucket."""

    name: str

    def exists(self) -> bool:
        """Whether there is such a bucket; one that we may not look at is there."""
        ...

    def about(self, key: str) -> About | None:
        """Look at an object; None where there is no such object."""
        ...

    def download(self, key: str, etag: str, offset: int = 0) -> Iterator[bytes]:
        """The bytes of an object from `offset` on, as long as it is the one of that `etag`."""
        ...


class TargetBucket(Store, Protocol):
    """What copies between buckets need of the one that they go to."""

    name: str

    def copy(
        self, source: str, key: str, metadata: Mapping[str, str], *, bucket: str | None = None
    ) -> bool:
        """As `Bucket.copy`; `bucket` is the source's where it is another one."""
        ...


class ModelBucket(SourceBucket, TargetBucket, Protocol):
    """A bucket for everything that commands do with models."""

    def holds(self, prefix: str) -> bool:
        """Whether any object's key begins with `prefix`."""
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, whichever of them exist."""
        ...

"""The index of the object store: which key is which file. SQLite; synchronous; one thread.

Keys are blobs, so that they sort by their UTF-8 bytes as S3 lists them. A method that
replaces or removes rows returns the names of the files nobody refers to any more.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets(
    name TEXT PRIMARY KEY, region TEXT NOT NULL, created REAL NOT NULL, tags TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS objects(
    bucket TEXT NOT NULL REFERENCES buckets(name), key BLOB NOT NULL, file TEXT NOT NULL,
    size INTEGER NOT NULL, etag TEXT NOT NULL, modified REAL NOT NULL, more TEXT NOT NULL,
    PRIMARY KEY(bucket, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads(
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL REFERENCES buckets(name), key BLOB NOT NULL,
    created REAL NOT NULL, more TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS uploads_by_key ON uploads(bucket, key, id);
CREATE TABLE IF NOT EXISTS parts(
    upload TEXT NOT NULL REFERENCES uploads(id), number INTEGER NOT NULL, file TEXT NOT NULL,
    size INTEGER NOT NULL, etag TEXT NOT NULL, modified REAL NOT NULL, more TEXT NOT NULL,
    PRIMARY KEY(upload, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings(
    bucket TEXT NOT NULL REFERENCES buckets(name) ON DELETE CASCADE, name TEXT NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY(bucket, name)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket; `created` in epoch seconds."""

    name: str
    region: str
    created: float
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """An object: `file` names its data, `upload` the multipart upload it came from.

    `headers` is what GetObject answers besides; `modified` in epoch seconds; `parts` the sizes
    in bytes of the parts it was uploaded in, `part_sums` their checksums.
    """

    key: str
    file: str
    size: int
    etag: str
    modified: float
    headers: dict[str, str] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    checksum_type: str = "FULL_OBJECT"
    upload: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    parts: list[int] = field(default_factory=list)
    part_sums: list[dict[str, str]] = field(default_factory=list)

    def sums_of(self, number: int) -> dict[str, str]:
        """The checksums of a part, numbered from 1; those of the whole without parts."""
        if not self.parts:
            return self.checksums
        return self.part_sums[number - 1] if number <= len(self.part_sums) else {}


@dataclass(frozen=True, slots=True)
class Part:
    """One uploaded part of a multipart upload."""

    number: int
    file: str
    size: int
    etag: str
    modified: float
    checksums: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload in progress."""

    id: str
    bucket: str
    key: str
    created: float
    headers: dict[str, str] = field(default_factory=dict)
    checksum: str | None = None
    checksum_type: str = "COMPOSITE"
    tags: dict[str, str] = field(default_factory=dict)


LAST = b"\xff"  # above every key: no UTF-8 text begins with that byte


def blob(key: str) -> bytes:
    """A key as it is stored."""
    return key.encode("utf-8", "surrogateescape")


def text(key: bytes) -> str:
    """A stored key as text."""
    return key.decode("utf-8", "surrogateescape")


class Index:
    """Opens (and makes) the database; every change is one transaction."""

    def __init__(self, database: Path) -> None:
        self._db = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA foreign_keys=ON")
            self._db.executescript(SCHEMA)
        except sqlite3.Error:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Check and change as one; nothing stays of it when it raises."""
        self._db.execute("BEGIN IMMEDIATE")
        done = False
        try:
            yield
            done = True
        finally:
            self._db.execute("COMMIT" if done else "ROLLBACK")

    def files(self) -> set[str]:
        """Every file that something refers to."""
        rows = self._db.execute("SELECT file FROM objects UNION ALL SELECT file FROM parts")
        return {row[0] for row in rows}

    # buckets

    def buckets(self) -> list[Bucket]:
        """All buckets, by name."""
        rows = self._db.execute("SELECT name, region, created, tags FROM buckets ORDER BY name")
        return [_bucket(row) for row in rows]

    def bucket(self, name: str) -> Bucket | None:
        """One bucket."""
        row = self._db.execute(
            "SELECT name, region, created, tags FROM buckets WHERE name=?", (name,)
        ).fetchone()
        return row and _bucket(row)

    def put_bucket(self, bucket: Bucket) -> None:
        """Create a bucket or replace its tags."""
        self._db.execute(
            "INSERT INTO buckets VALUES(?,?,?,?) "
            "ON CONFLICT(name) DO UPDATE SET tags=excluded.tags",
            (bucket.name, bucket.region, bucket.created, json.dumps(bucket.tags)),
        )

    def delete_bucket(self, name: str) -> None:
        """Remove an empty bucket."""
        self._db.execute("DELETE FROM buckets WHERE name=?", (name,))

    def setting(self, bucket: str, name: str) -> str | None:
        """A bucket's setting as it was put."""
        row = self._db.execute(
            "SELECT body FROM settings WHERE bucket=? AND name=?", (bucket, name)
        ).fetchone()
        return row and str(row[0])

    def put_setting(self, bucket: str, name: str, body: str | None) -> None:
        """Keep a setting, or forget it."""
        self._db.execute("DELETE FROM settings WHERE bucket=? AND name=?", (bucket, name))
        if body is not None:
            self._db.execute("INSERT INTO settings VALUES(?,?,?)", (bucket, name, body))

    # objects

    def get(self, bucket: str, key: str) -> Entry | None:
        """The current object of that key."""
        row = self._db.execute(
            "SELECT key, file, size, etag, modified, more FROM objects WHERE bucket=? AND key=?",
            (bucket, blob(key)),
        ).fetchone()
        return row and _entry(row)

    def put(self, bucket: str, entry: Entry) -> list[str]:
        """Store or replace."""
        old = self._file(bucket, entry.key)
        more = {
            "headers": entry.headers,
            "checksums": entry.checksums,
            "checksum_type": entry.checksum_type,
            "upload": entry.upload,
            "tags": entry.tags,
            "parts": entry.parts,
            "part_sums": entry.part_sums,
        }
        self._db.execute(
            "INSERT OR REPLACE INTO objects VALUES(?,?,?,?,?,?,?)",
            (
                bucket,
                blob(entry.key),
                entry.file,
                entry.size,
                entry.etag,
                entry.modified,
                json.dumps(more),
            ),
        )
        return old

    def delete(self, bucket: str, key: str) -> list[str]:
        """Remove; an unknown key is fine."""
        old = self._file(bucket, key)
        self._db.execute("DELETE FROM objects WHERE bucket=? AND key=?", (bucket, blob(key)))
        return old

    def _file(self, bucket: str, key: str) -> list[str]:
        rows = self._db.execute(
            "SELECT file FROM objects WHERE bucket=? AND key=?", (bucket, blob(key))
        )
        return [row[0] for row in rows]

    def scan(self, bucket: str, start: bytes, end: bytes | None, limit: int) -> list[Entry]:
        """At most `limit` objects with start <= key < end, in order."""
        rows = self._db.execute(
            "SELECT key, file, size, etag, modified, more FROM objects "
            "WHERE bucket=? AND key>=? AND key<? ORDER BY key LIMIT ?",
            (bucket, start, LAST if end is None else end, limit),
        )
        return [_entry(row) for row in rows]

    # multipart uploads

    def put_upload(self, upload: Upload) -> None:
        """Remember a new upload."""
        more = {
            "headers": upload.headers,
            "checksum": upload.checksum,
            "checksum_type": upload.checksum_type,
            "tags": upload.tags,
        }
        self._db.execute(
            "INSERT INTO uploads VALUES(?,?,?,?,?)",
            (upload.id, upload.bucket, blob(upload.key), upload.created, json.dumps(more)),
        )

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload | None:
        """One upload, if it is of that key."""
        row = self._db.execute(
            "SELECT id, bucket, key, created, more FROM uploads WHERE id=? AND bucket=? AND key=?",
            (upload_id, bucket, blob(key)),
        ).fetchone()
        return row and _upload(row)

    def uploads(self, bucket: str) -> list[Upload]:
        """The uploads in progress, by key and id."""
        rows = self._db.execute(
            "SELECT id, bucket, key, created, more FROM uploads WHERE bucket=? ORDER BY key, id",
            (bucket,),
        )
        return [_upload(row) for row in rows]

    def put_part(self, upload_id: str, part: Part) -> list[str]:
        """Store or replace a part."""
        rows = self._db.execute(
            "SELECT file FROM parts WHERE upload=? AND number=?", (upload_id, part.number)
        ).fetchall()
        self._db.execute(
            "INSERT OR REPLACE INTO parts VALUES(?,?,?,?,?,?,?)",
            (
                upload_id,
                part.number,
                part.file,
                part.size,
                part.etag,
                part.modified,
                json.dumps({"checksums": part.checksums}),
            ),
        )
        return [row[0] for row in rows]

    def parts(self, upload_id: str) -> list[Part]:
        """The parts by number."""
        rows = self._db.execute(
            "SELECT number, file, size, etag, modified, more FROM parts "
            "WHERE upload=? ORDER BY number",
            (upload_id,),
        )
        return [Part(*row[:5], **json.loads(row[5])) for row in rows]

    def delete_upload(self, upload_id: str) -> list[str]:
        """Forget an upload and its parts."""
        files = [part.file for part in self.parts(upload_id)]
        self._db.execute("DELETE FROM parts WHERE upload=?", (upload_id,))
        self._db.execute("DELETE FROM uploads WHERE id=?", (upload_id,))
        return files


def _bucket(row: tuple[str, str, float, str]) -> Bucket:
    return Bucket(row[0], row[1], row[2], json.loads(row[3]))


def _entry(row: tuple[bytes, str, int, str, float, str]) -> Entry:
    return Entry(text(row[0]), *row[1:5], **json.loads(row[5]))


def _upload(row: tuple[str, str, bytes, float, str]) -> Upload:
    return Upload(row[0], row[1], text(row[2]), row[3], **json.loads(row[4]))

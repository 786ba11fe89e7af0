"""The control plane's records on disk: SQLite, one thread, durable before anything is answered.

The records of a project are few (tens, at most thousands), so all of them are in memory too and
reading never touches the disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

from mmectl.base.errors import PlatformError
from mmectl.local.control.values import Endpoint, Kind, Record, Resource, decode, encode
from mmectl.local.s3.files import DISK_FULL, disk_full, is_full

VERSION = 1
Synchronous = Literal["FULL", "OFF"]
T = TypeVar("T")

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS records (kind TEXT NOT NULL, key TEXT NOT NULL, "
    "body TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID"
)


class Records:
    """Models, endpoint configurations and endpoints, by lower-case name.

    Changes must be made one at a time by the caller; `put` and `remove` return when the
    change is on disk, and only then can it be read; AwsError StorageFull where the disk is full.
    `synchronous` is for tests only.
    """

    def __init__(self, path: Path, *, synchronous: Synchronous = "FULL") -> None:
        self._path = path
        self._synchronous = synchronous
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="control-database")
        self._connection: sqlite3.Connection | None = None
        self._resources: dict[Kind, dict[str, Resource]] = {"model": {}, "endpoint-config": {}}
        self._endpoints: dict[str, Endpoint] = {}

    @property
    def models(self) -> Mapping[str, Resource]:
        """Models by lower-case name."""
        return self._resources["model"]

    @property
    def configs(self) -> Mapping[str, Resource]:
        """Endpoint configurations by lower-case name."""
        return self._resources["endpoint-config"]

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """Endpoints by lower-case name."""
        return self._endpoints

    def all(self, kind: Kind) -> Mapping[str, Record]:
        """The records of one kind by lower-case name."""
        return self._endpoints if kind == "endpoint" else self._resources[kind]

    async def open(self) -> None:
        """Read everything; raises PlatformError where the file cannot be used."""
        try:
            for record in await self._do(self._load):
                self._remember(record)
        except (sqlite3.Error, ValueError, KeyError, TypeError, OSError) as error:
            await self.close()
            raise PlatformError(
                f"the embedded platform's database {self._path} cannot be used: {error}",
                hint="free some space"
                if is_full(error)
                else "stop the platform with `mmectl local down` and move that file away; "
                "uploaded models are kept elsewhere",
                code=DISK_FULL if is_full(error) else "platform_database",
            ) from error

    async def put(self, record: Record) -> None:
        """Store a new or changed record."""
        row = (record.kind, record.name.lower(), encode(record))
        await self._do(lambda: self._write("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", row))
        self._remember(record)

    async def remove(self, record: Record) -> None:
        """Forget a record."""
        row = (record.kind, record.name.lower())
        await self._do(lambda: self._write("DELETE FROM records WHERE kind = ? AND key = ?", row))
        if isinstance(record, Endpoint):
            del self._endpoints[row[1]]
        else:
            del self._resources[record.kind][row[1]]

    async def close(self) -> None:
        """Close the file; twice is fine."""
        if self._connection is not None:
            await self._do(self._connection.close)
            self._connection = None
        self._thread.shutdown()

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _remember(self, record: Record) -> None:
        if isinstance(record, Endpoint):
            self._endpoints[record.name.lower()] = record
        else:
            self._resources[record.kind][record.name.lower()] = record

    def _load(self) -> list[Record]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        self._connection = connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            raise ValueError(f"it was written by another version of mmectl (format {version})")
        if version == 0:  # a database that is there is not written to: the disk may be full
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        return [decode(body) for (body,) in connection.execute("SELECT body FROM records")]

    def _write(self, statement: str, row: tuple[str, ...]) -> None:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the database is closed")
        with disk_full():
            self._connection.execute(statement, row)

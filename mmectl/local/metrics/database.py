"""Metrics and alarms on disk: SQLite, bounded in days and in bytes; synchronous; one thread.

Metrics are worth less than the platform: a file that cannot be read is put aside.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmectl.local.metrics.series import Series
from mmectl.local.metrics.statistics import Statistics, decode, encode
from mmectl.local.s3.files import is_full

log = logging.getLogger(__name__)

VERSION = 1
RETENTION = 15 * 86_400  # seconds; CloudWatch keeps one-minute datapoints as long
LIMIT = 128 << 20  # bytes of the file
_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (
  id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, dimensions TEXT NOT NULL,
  unit TEXT NOT NULL, UNIQUE (namespace, name, dimensions, unit));
CREATE TABLE IF NOT EXISTS points (
  series INTEGER NOT NULL, minute INTEGER NOT NULL, count REAL NOT NULL, total REAL NOT NULL,
  low REAL NOT NULL, high REAL NOT NULL, vals BLOB NOT NULL, coarse INTEGER NOT NULL,
  PRIMARY KEY (series, minute)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS points_by_minute ON points (minute);
CREATE TABLE IF NOT EXISTS alarms (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
"""
Point = tuple[Series, int]  # a metric in the minute that begins at that epoch second


class Database:
    """One file. Every method blocks and must be called in the thread that opened it."""

    def __init__(self, path: Path, *, limit: int = LIMIT, retention: int = RETENTION) -> None:
        self._path, self._limit, self._retention = path, limit, retention
        self._ids: dict[Series, int] = {}
        self._db: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open, or begin anew where the file is of no use.

        Raises OSError if there is no place for it, sqlite3.OperationalError on a full disk.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._connect()
        except (sqlite3.DatabaseError, ValueError) as error:
            if is_full(error):  # which says nothing against the file
                self.close()
                raise
            aside = self._path.with_name(self._path.name + ".unreadable")
            log.warning("%s cannot be used (%s): moved to %s", self._path, error, aside)
            self.close()
            self._path.replace(aside)
            for end in ("-wal", "-shm"):
                self._path.with_name(self._path.name + end).unlink(missing_ok=True)
            self._connect()

    def _connect(self) -> None:
        self._path.touch(mode=0o600)
        db = self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # a crash of the machine may cost seconds
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == VERSION:  # a full disk must not keep the platform from starting
            return
        if version != 0:
            raise ValueError(f"format {version}")
        db.executescript(_SCHEMA)
        db.execute(f"PRAGMA user_version = {VERSION}")

    def close(self) -> None:
        """Close; twice is fine."""
        if self._db is not None:
            self._db.close()
            self._db = None

    # points

    def write(
        self, added: Mapping[Point, Statistics], replaced: Mapping[Point, Statistics]
    ) -> None:
        """Count `added` into what there is, and put `replaced` in its place: all or nothing."""
        with self._transaction() as db:
            for point, statistics in added.items():
                whole = self._point(db, point)
                whole.merge(statistics)
                self._store(db, point, whole)
            for point, statistics in replaced.items():
                self._store(db, point, statistics)

    def _point(self, db: sqlite3.Connection, point: Point) -> Statistics:
        row = db.execute(
            "SELECT count, total, low, high, vals, coarse FROM points "
            "WHERE series = ? AND minute = ?",
            (self._id(db, point[0]), point[1]),
        ).fetchone()
        return _statistics(row) if row else Statistics()

    def _store(self, db: sqlite3.Connection, point: Point, whole: Statistics) -> None:
        numbers = (whole.count, whole.total, whole.low, whole.high)
        db.execute(
            "INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (self._id(db, point[0]), point[1], *numbers, encode(whole), whole.coarse),
        )

    def _id(self, db: sqlite3.Connection, series: Series) -> int:
        if series not in self._ids:
            key = (series.namespace, series.name, json.dumps(series.dimensions), series.unit)
            db.execute(
                "INSERT OR IGNORE INTO series (namespace, name, dimensions, unit) "
                "VALUES (?, ?, ?, ?)",
                key,
            )
            found = db.execute(
                "SELECT id FROM series "
                "WHERE namespace = ? AND name = ? AND dimensions = ? AND unit = ?",
                key,
            ).fetchone()
            self._ids[series] = found[0]
        return self._ids[series]

    def read(
        self, wanted: Iterable[Series], start: int, end: int, *, values: bool = True
    ) -> list[tuple[Series, int, Statistics]]:
        """The minutes from `start` to before `end` of these metrics, each in order.

        Without `values` there are no percentiles, and it takes a fraction of the time.
        """
        found = []
        kept = "vals" if values else "''"
        for series in wanted:
            rows = self._open().execute(
                f"SELECT minute, count, total, low, high, {kept}, coarse FROM points JOIN series "  # noqa: S608
                "ON id = series WHERE namespace = ? AND name = ? AND dimensions = ? AND unit = ? "
                "AND minute >= ? AND minute < ? ORDER BY minute",
                (*series[:2], json.dumps(series.dimensions), series.unit, start, end),
            )
            found += [(series, row[0], _statistics(row[1:])) for row in rows]
        return found

    def series(self, since: int = 0) -> list[Series]:
        """Every metric that has a value since that second, in order."""
        rows = self._open().execute(
            "SELECT namespace, name, dimensions, unit FROM series WHERE EXISTS "
            "(SELECT 1 FROM points WHERE series = id AND minute >= ?)",
            (since,),
        )
        found = (
            Series(space, name, tuple((key, value) for key, value in json.loads(pairs)), unit)
            for space, name, pairs, unit in rows
        )
        return sorted(found)

    def purge(self, now: float) -> None:
        """Drop what is too old, and the oldest tenth as often as the file is too large."""
        with self._transaction() as db:
            db.execute("DELETE FROM points WHERE minute < ?", (int(now) - self._retention,))
            while self._size(db) > self._limit:
                first, last = db.execute("SELECT MIN(minute), MAX(minute) FROM points").fetchone()
                if first is None:
                    break
                until = first + max((last - first) // 10, 60)
                db.execute("DELETE FROM points WHERE minute < ?", (until,))
            db.execute("DELETE FROM series WHERE id NOT IN (SELECT series FROM points)")
            self._ids.clear()

    @staticmethod
    def _size(db: sqlite3.Connection) -> int:
        """Bytes in use; free pages are used again before the file grows."""
        pages, free, size = (
            db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    # alarms

    def alarms(self) -> dict[str, str]:
        """The alarms' records, by name."""
        return dict(self._open().execute("SELECT name, body FROM alarms"))

    def put_alarm(self, name: str, body: str) -> None:
        """Store an alarm."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO alarms VALUES (?, ?)", (name, body))

    def remove_alarms(self, names: Iterable[str]) -> None:
        """Forget alarms."""
        with self._transaction() as db:
            db.executemany("DELETE FROM alarms WHERE name = ?", [(name,) for name in names])

    # dashboards; their table came later

    def dashboards(self) -> dict[str, str]:
        """The dashboards' records, by name."""
        has = self._open().execute("SELECT 1 FROM sqlite_master WHERE name = 'dashboards'")
        if has.fetchone() is None:
            return {}
        return dict(self._open().execute("SELECT name, body FROM dashboards"))

    def put_dashboard(self, name: str, body: str) -> None:
        """Store a dashboard."""
        with self._transaction() as db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS dashboards "
                "(name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID"
            )
            db.execute("INSERT OR REPLACE INTO dashboards VALUES (?, ?)", (name, body))

    def remove_dashboards(self, names: Iterable[str]) -> None:
        """Forget dashboards that there are."""
        with self._transaction() as db:
            db.executemany("DELETE FROM dashboards WHERE name = ?", [(name,) for name in names])

    # within

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.ProgrammingError("the metrics' database is closed")
        return self._db

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._open()
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            self._ids.clear()  # some may have been made in vain
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


def _statistics(row: Sequence[Any]) -> Statistics:
    count, total, low, high, values, coarse = row
    return Statistics(count, total, low, high, decode(values), bool(coarse))

"""The store: nothing lost, nothing double, bounded."""

from __future__ import annotations

import sqlite3

import pytest
from fakes.metrics import NOON, Clock

from mmectl.local.metrics.database import Database
from mmectl.local.metrics.series import Series
from mmectl.local.metrics.statistics import Statistics
from mmectl.local.metrics.store import Store
from mmectl.local.values import AwsError

SERIES = Series("N", "Latency", (("A", "1"),), "Microseconds")
DAY = 86_400


def opened(path, **options):
    database = Database(path, **options)
    database.open()
    return database


def one(value):
    found = Statistics()
    found.add(value)
    return found


async def test_what_was_put_is_read_at_once_and_after_a_restart(tmp_path):
    clock = Clock()
    for start in range(1, 4):
        store = Store(tmp_path / "m.db", clock=clock)
        await store.open()
        store.put(SERIES, 5.0)
        ((series, minute, found),) = await store.read([SERIES], NOON, NOON + 60)
        assert (series, minute, found.total) == (SERIES, NOON, 12.0 * (start - 1) + 5)
        store.put(SERIES, 7.0)
        await store.close()  # with a value that was not written yet
        clock.now += 1


async def test_a_gauge_counts_each_source_once_a_minute(tmp_path):
    clock = Clock()
    store = Store(tmp_path / "m.db", clock=clock)
    await store.open()
    for value in (1.0, 2.0, 3.0):
        store.gauge(SERIES, "i-1", value)
        store.gauge(SERIES, "i-2", 10.0)
        ((_, _, found),) = await store.read([SERIES], NOON, NOON + 60)
        assert (found.count, found.total) == (2, value + 10)
    clock.now += 60
    store.gauge(SERIES, "i-1", 7.0)
    rows = await store.read([SERIES], NOON, NOON + 120)
    assert [found.total for _, _, found in rows] == [13.0, 7.0]
    await store.close()


class Full(Database):
    """A disk that takes nothing while it is full."""

    full = False

    def write(self, added, replaced):
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        super().write(added, replaced)


async def test_a_full_disk_costs_nothing_that_fits_in_memory(tmp_path):
    clock, database = Clock(), Full(tmp_path / "m.db")
    store = Store(tmp_path / "m.db", clock=clock, database=database)
    await store.open()
    database.full = True
    for _ in range(3):
        store.put(SERIES, 1.0)
        store.gauge(SERIES._replace(name="G"), "i-1", 4.0)
        await store.flush()
        clock.now += 60
    assert await store.read([SERIES], NOON, NOON + 600) == []
    database.full = False
    rows = await store.read([SERIES, SERIES._replace(name="G")], NOON, NOON + 600)
    assert [found.total for _, _, found in rows] == [1.0, 1.0, 1.0, 4.0, 4.0, 4.0]
    await store.close()


def test_old_datapoints_and_their_metrics_go(tmp_path):
    database = opened(tmp_path / "m.db")
    database.write({(SERIES, NOON - 16 * DAY): one(1), (SERIES, NOON): one(2)}, {})
    database.write({(SERIES._replace(name="Old"), NOON - 16 * DAY): one(1)}, {})
    database.purge(NOON)
    assert database.series() == [SERIES]
    assert [minute for _, minute, _ in database.read([SERIES], 0, NOON + 1)] == [NOON]
    database.write({(SERIES._replace(name="Old"), NOON): one(1)}, {})
    assert len(database.series()) == 2
    database.close()


def test_the_file_is_bounded_and_the_oldest_go_first(tmp_path):
    limit = 120_000
    database = opened(tmp_path / "m.db", limit=limit)
    wide = Statistics(count=200, values={float(n): 1.0 for n in range(200)})
    for batch in range(5):
        start = NOON + batch * 6000
        database.write({(SERIES, start + n * 60): wide for n in range(100)}, {})
        database.purge(NOON)
    minutes = [minute for _, minute, _ in database.read([SERIES], 0, NOON * 2)]
    assert minutes[-1] == NOON + 4 * 6000 + 99 * 60
    assert minutes[0] > NOON
    database.close()
    assert (tmp_path / "m.db").stat().st_size < 3 * limit


def test_nothing_half_is_written(tmp_path):
    database = opened(tmp_path / "m.db")
    bad = Statistics(count="x")  # type: ignore[arg-type]
    bad.low = None
    try:
        database.write({}, {(SERIES, NOON): one(1), (SERIES, NOON + 60): bad})
    except sqlite3.IntegrityError:
        assert database.read([SERIES], 0, NOON * 2) == []
    else:
        raise AssertionError("it was written")
    database.write({(SERIES, NOON): one(1)}, {})
    assert len(database.read([SERIES], 0, NOON * 2)) == 1
    database.close()


def test_a_file_of_no_use_is_put_aside(tmp_path):
    path = tmp_path / "m.db"
    path.write_bytes(b"this is no database at all" * 100)
    database = opened(path)
    database.write({(SERIES, NOON): one(1)}, {})
    assert len(database.read([SERIES], 0, NOON * 2)) == 1
    database.close()
    assert (tmp_path / "m.db.unreadable").read_bytes().startswith(b"this is no")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_says_nothing_against_the_file(tmp_path):
    class Full(Database):
        def _connect(self) -> None:
            super()._connect()
            raise sqlite3.OperationalError("database or disk is full")

    path = tmp_path / "m.db"
    made = Database(path)
    made.open()
    made.put_alarm("a", "{}")
    made.close()
    full = Full(path)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        full.open()
    full.close()
    assert [item.name for item in tmp_path.iterdir()] == ["m.db"]
    made.open()
    assert made.alarms() == {"a": "{}"}
    made.close()


def test_opening_writes_nothing(tmp_path):
    path = tmp_path / "m.db"
    made = Database(path)
    made.open()
    made.close()
    made.open()
    assert (tmp_path / "m.db-wal").stat().st_size == 0
    made.close()


async def test_an_alarm_that_finds_no_room_is_refused(tmp_path):
    class Full(Database):
        def put_alarm(self, name: str, body: str) -> None:
            raise sqlite3.OperationalError("database or disk is full")

    store = Store(tmp_path / "m.db", database=Full(tmp_path / "m.db"))
    await store.open()
    with pytest.raises(AwsError, match="alarm could not be stored: database or disk is full"):
        await store.put_alarm("a", "{}")
    await store.close()

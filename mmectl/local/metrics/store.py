"""The metrics of the platform: counted in memory, written every second, read with nothing missing.

`put` and `gauge` are for the hot path: they touch no disk and never wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from mmectl.local.metrics.background import Background
from mmectl.local.metrics.database import Database, Point
from mmectl.local.metrics.series import Series
from mmectl.local.metrics.statistics import Statistics, merged
from mmectl.local.values import AwsError

log = logging.getLogger(__name__)

FLUSH = 1.0  # seconds
PURGE = 600.0
KEPT = 5_000
"""Points that wait at most for a disk that takes nothing; the oldest go first."""

T = TypeVar("T")


class Store:
    """See the module. `clock` gives epoch seconds; `database` is opened by `open`."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.time,
        database: Database | None = None,
    ) -> None:
        self._clock = clock
        self._database = database or Database(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metrics-database")
        self._added: dict[Point, Statistics] = {}
        self._gauges: dict[Point, dict[str, float]] = {}
        self._changed: set[Point] = set()
        self._background = Background("metrics")
        self._flushing = asyncio.Lock()
        self._failing = False

    # the hot path

    def put(self, series: Series, value: float) -> None:
        """Count a value into the minute that runs."""
        self.add((series, self.minute()), value)

    def add(self, point: Point, value: float, times: float = 1.0) -> None:
        """Count a value into any minute."""
        found = self._added.get(point)
        if found is None:
            found = self._added[point] = Statistics()
        found.add(value, times)

    def gauge(self, series: Series, source: str, value: float) -> None:
        """Note the state of a source (an instance): one value a minute of each, the last one."""
        point = (series, self.minute())
        self._gauges.setdefault(point, {})[source] = value
        self._changed.add(point)

    def minute(self) -> int:
        """The minute that runs, in epoch seconds."""
        return int(self._clock()) // 60 * 60

    # life

    async def open(self) -> None:
        """Open the file, and write to it from now on."""
        await self._do(self._database.open)
        self._background.start(self._run())

    async def close(self) -> None:
        """Write what there is and close; twice is fine."""
        if await self._background.stop():
            await self.flush()
            await self._do(self._database.close)
        self._thread.shutdown()

    async def _run(self) -> None:
        purged = -PURGE
        while True:
            try:
                await self.flush()
            except Exception:  # what was counted in this second is lost, the next is not
                log.exception("metrics could not be written")
            if time.monotonic() - purged > PURGE:
                purged = time.monotonic()
                with contextlib.suppress(sqlite3.Error):
                    await self._do(lambda: self._database.purge(self._clock()))
            await asyncio.sleep(FLUSH)

    # the disk

    async def flush(self) -> None:
        """Write what was counted; what the disk does not take now is kept for the next time."""
        async with self._flushing:
            added, self._added = self._added, {}
            replaced = {p: _together(self._gauges[p]) for p in self._changed}
            changed, self._changed = self._changed, set()
            if not added and not replaced:
                return
            try:
                await self._do(lambda: self._database.write(added, replaced))
                self._failing = False
            except sqlite3.Error as error:
                self._put_back(added, changed, error)
            now = self.minute()
            self._gauges = {
                p: v for p, v in self._gauges.items() if p[1] == now or p in self._changed
            }

    def _put_back(
        self, added: dict[Point, Statistics], changed: set[Point], error: sqlite3.Error
    ) -> None:
        if not self._failing:
            log.warning("metrics cannot be written, and wait in memory: %s", error)
        self._failing = True
        for point, statistics in self._added.items():
            added.setdefault(point, Statistics()).merge(statistics)
        newest = sorted(added, key=lambda point: point[1])[-KEPT:]
        self._added = {point: added[point] for point in newest}
        self._changed |= set(sorted(changed, key=lambda point: point[1])[-KEPT:])

    async def write(self, parts: Iterable[tuple[Point, Statistics]]) -> None:
        """Count what a user sent; on disk when this returns. AwsError if the disk refuses."""
        added: dict[Point, Statistics] = {}
        for point, statistics in parts:
            added.setdefault(point, Statistics()).merge(statistics)
        await self._stored("metrics", lambda: self._database.write(added, {}))

    async def _stored(self, what: str, change: Callable[[], None]) -> None:
        try:
            await self._do(change)
        except sqlite3.Error as error:
            text = f"The {what} could not be stored: {error}."
            raise AwsError("InternalServiceFault", text, 500) from error

    async def read(
        self, wanted: Iterable[Series], start: int, end: int, *, values: bool = True
    ) -> list[tuple[Series, int, Statistics]]:
        """The minutes from `start` to before `end` of these metrics, up to this moment.

        Without `values` there are no percentiles, and it takes a fraction of the time.
        """
        await self.flush()
        return await self._do(lambda: self._database.read(wanted, start, end, values=values))

    async def series(self, since: int = 0) -> list[Series]:
        """Every metric with a value since then."""
        await self.flush()
        return await self._do(lambda: self._database.series(since))

    async def alarms(self) -> dict[str, str]:
        """The alarms' records, by name."""
        return await self._do(self._database.alarms)

    async def put_alarm(self, name: str, body: str) -> None:
        """Store an alarm; returns when it is on disk. AwsError if the disk refuses."""
        await self._stored("alarm", lambda: self._database.put_alarm(name, body))

    async def remove_alarms(self, names: Iterable[str]) -> None:
        """Forget alarms. AwsError if the disk refuses."""
        await self._stored("alarms", lambda: self._database.remove_alarms(names))

    async def dashboards(self) -> dict[str, str]:
        """The dashboards' records, by name."""
        return await self._do(self._database.dashboards)

    async def put_dashboard(self, name: str, body: str) -> None:
        """Store a dashboard; returns when it is on disk. AwsError if the disk refuses."""
        await self._stored("dashboard", lambda: self._database.put_dashboard(name, body))

    async def remove_dashboards(self, names: Iterable[str]) -> None:
        """Forget dashboards that there are. AwsError if the disk refuses."""
        await self._stored("dashboards", lambda: self._database.remove_dashboards(names))

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _together(values: dict[str, float]) -> Statistics:
    """One set of what each source said."""
    whole = merged(())
    for value in values.values():
        whole.add(value)
    return whole

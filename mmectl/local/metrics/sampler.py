"""Samples instances every few seconds: CPU, memory, disk, models.

CPUUtilization is the sum over cores (up to 100 % times the number of cores) since the minute
began, as SageMaker has it; memory and disk are percents of what the instance has.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil

from mmectl.local.instance import procfs
from mmectl.local.metrics.background import Background
from mmectl.local.metrics.series import INSTANCES, of_instance, of_variant
from mmectl.local.metrics.store import Store

log = logging.getLogger(__name__)
EVERY = 10.0  # seconds

Row = Mapping[str, Any]
Times = dict[tuple[int, float], float]  # (pid, when it began) -> seconds of CPU


@dataclass(frozen=True, slots=True)
class Usage:
    """What the processes of one instance hold: bytes, and seconds of CPU by process."""

    memory: int
    cpu: Times


@dataclass(slots=True)
class _Spent:
    """Seconds of CPU of an instance, added up over processes that come and go."""

    minute: int = 0
    since: float = 0.0
    seconds: float = 0.0
    known: Times = field(default_factory=dict)


class Sampler:
    """`rows` gives the instances as `DataPlane.instances` does; `measure` blocks."""

    def __init__(
        self,
        store: Store,
        rows: Callable[[], Sequence[Row]],
        *,
        measure: Callable[[Sequence[int]], dict[int, Usage]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._rows, self._clock = store, rows, clock
        self._measure = measure or usage
        self._spent: dict[str, _Spent] = {}
        self._background = Background("metrics of instances")

    async def open(self) -> None:
        """Look from now on."""
        self._background.repeat(
            self.look, lambda: asyncio.sleep(EVERY), "the instances could not be measured"
        )

    async def close(self) -> None:
        """Look no more; twice is fine."""
        await self._background.stop()

    async def look(self) -> None:
        """Look once."""
        rows = [row for row in self._rows() if row["state"] == "InService" and row["pid"]]
        found = await asyncio.to_thread(self._measure, [row["pid"] for row in rows])
        for row in rows:
            self._note(row, found[row["pid"]])
        here = {row["instance_id"] for row in rows}
        self._spent = {name: spent for name, spent in self._spent.items() if name in here}

    def _note(self, row: Row, used: Usage) -> None:
        values = {
            "LoadedModelCount": float(len(row["models"])),
            "MemoryUtilization": _percent(used.memory, row["memory"]),
            "DiskUtilization": _percent(row["disk_used"], row["disk"]),
        }
        cpu = self._cpu(row["instance_id"], used.cpu)
        if cpu is not None:
            values["CPUUtilization"] = cpu
        for name, value in values.items():
            series = of_variant(INSTANCES, name, row["endpoint"], row["variant"])
            self._store.gauge(series, row["instance_id"], value)
            if row.get("enhanced"):
                own = of_instance(
                    INSTANCES, name, row["endpoint"], row["variant"], row["instance_id"]
                )
                self._store.gauge(own, row["instance_id"], value)

    def _cpu(self, instance: str, cpu: Times) -> float | None:
        """Percent of one core since the minute began, or since the instance was first seen."""
        now, minute = self._clock(), self._store.minute()
        spent = self._spent.get(instance)
        if spent is None:
            self._spent[instance] = _Spent(minute, now, 0.0, cpu)
            return None
        spent.seconds += sum(max(t - spent.known.get(key, 0.0), 0.0) for key, t in cpu.items())
        spent.known = cpu
        percent = 100 * spent.seconds / max(now - spent.since, 0.001)
        if minute != spent.minute:
            spent.minute, spent.since, spent.seconds = minute, now, 0.0
        return percent


def _percent(part: float, whole: float) -> float:
    return min(100 * part / whole, 100.0) if whole else 0.0


def usage(pids: Sequence[int]) -> dict[int, Usage]:
    """What each of these processes and all their descendants hold; blocking."""
    children: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            children.setdefault(process.ppid(), []).append(process)
    return {pid: _usage(_tree(pid, children)) for pid in pids}


def _tree(pid: int, children: Mapping[int, list[psutil.Process]]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        found.append(psutil.Process(pid))
    for process in found:  # grows while it is walked
        found += children.get(process.pid, ())
    return found


def _usage(processes: Sequence[psutil.Process]) -> Usage:
    cpu: Times = {}
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            cpu[process.pid, process.create_time()] = times.user + times.system
    return Usage(procfs.memory(process.pid for process in processes), cpu)

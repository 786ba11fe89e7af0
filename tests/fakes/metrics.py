"""A CloudWatch with a clock of its own, asked the way clients ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmectl.local.metrics.service import CloudWatch
from mmectl.local.metrics.store import Store
from mmectl.local.metrics.watch import Watch

NOON = 1_800_000_000 // 86_400 * 86_400 + 43_200


@dataclass
class Clock:
    """Epoch seconds that a test turns."""

    now: float = float(NOON)

    def __call__(self) -> float:
        return self.now


@dataclass
class Bench:
    """The parts, and calls without ceremony."""

    store: Store
    watch: Watch
    clock: Clock
    service: CloudWatch = field(init=False)

    def __post_init__(self) -> None:
        self.service = CloudWatch(self.store, self.watch, region="us-east-1", clock=self.clock)

    async def __call__(self, operation: str, **params: Any) -> dict[str, Any]:
        return await self.service.call(operation, params)

    async def values(self, name: str, stat: str, *, period: int = 60, **more: Any) -> list[float]:
        """Values of a metric in the last hour, oldest first."""
        metric = {"Namespace": "Mine", "MetricName": name, **more}
        answer = await self(
            "GetMetricData",
            MetricDataQueries=[
                {"Id": "m", "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}
            ],
            StartTime=self.clock.now - 3600,
            EndTime=self.clock.now + 60,
            ScanBy="TimestampAscending",
        )
        found: list[float] = answer["MetricDataResults"][0]["Values"]
        return found

    async def put(self, name: str, *values: float, ago: float = 0, **more: Any) -> None:
        """Send values of a metric of our own."""
        moment = self.clock.now - ago
        data = [{"MetricName": name, "Value": v, "Timestamp": moment, **more} for v in values]
        await self("PutMetricData", Namespace="Mine", MetricData=data)


@asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[Bench]:
    """An open CloudWatch over `folder`; alarms are judged when the test says so."""
    clock = Clock()
    store = Store(folder / "metrics.db", clock=clock)
    watch = Watch(store, clock=clock)
    await store.open()
    await watch.open()
    yield Bench(store, watch, clock)
    await watch.close()
    await store.close()

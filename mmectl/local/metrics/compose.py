"""Composes CloudWatch: store, alarms, sampler, service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmectl.local.call import Handler
from mmectl.local.metrics.sampler import Row, Sampler
from mmectl.local.metrics.scraper import Scraper
from mmectl.local.metrics.series import INVOCATIONS, Series, of_instance, of_variant
from mmectl.local.metrics.service import CloudWatch
from mmectl.local.metrics.store import Store
from mmectl.local.metrics.watch import Watch
from mmectl.local.metrics.wire import Monitoring
from mmectl.local.values import FleetSpec, Put, PutOf


class Metrics:
    """CloudWatch of one platform."""

    def __init__(self, path: Path, *, region: str) -> None:
        self._store = Store(path)
        self._watch = Watch(self._store)
        self._sampler: Sampler | None = None
        self._scraper: Scraper | None = None
        self.monitoring: Handler = Monitoring(CloudWatch(self._store, self._watch, region=region))

    def puts(self, spec: FleetSpec) -> Put:
        """Where the measures of a variant go."""
        known: dict[str, Series] = {}

        def put(metric: str, value: float) -> None:
            series = known.get(metric)
            if series is None:
                series = of_variant(INVOCATIONS, metric, spec.endpoint, spec.variant)
                known[metric] = series
            self._store.put(series, value)

        return put

    def puts_by_instance(self, spec: FleetSpec) -> PutOf | None:
        """Where the measures of each instance of a variant go; None where nobody asked for them."""
        if not spec.enhanced:
            return None

        def put(instance: str, metric: str, value: float) -> None:
            series = of_instance(INVOCATIONS, metric, spec.endpoint, spec.variant, instance)
            self._store.put(series, value)

        return put

    def watch_instances(self, rows: Callable[[], Sequence[Row]]) -> None:
        """Sample these instances, and scrape their containers, while it is open."""
        self._sampler = Sampler(self._store, rows)
        self._scraper = Scraper(rows)

    async def figures(self, endpoint: str, seconds: float) -> dict[str, Any]:
        """What the containers of an endpoint counted by model in that time: see `Scraper`."""
        if self._scraper is None:
            return {"instances": [], "models": []}
        return await self._scraper.figures(endpoint, seconds)

    def course(self, endpoint: str, seconds: float, model: str) -> list[dict[str, Any]]:
        """What they counted of one model, step by step: see `Scraper`."""
        if self._scraper is None:
            return []
        return self._scraper.course(endpoint, seconds, model)

    async def alarm_state(self, name: str) -> str | None:
        """OK, ALARM or INSUFFICIENT_DATA; None where there is no such alarm."""
        return await self._watch.state(name)

    async def open(self) -> None:
        """Open the store and begin to look."""
        await self._store.open()
        await self._watch.open()
        for part in (self._sampler, self._scraper):
            if part is not None:
                await part.open()

    async def close(self) -> None:
        """Write what there is and close; twice is fine."""
        for part in (self._scraper, self._sampler):
            if part is not None:
                await part.close()
        await self._watch.close()
        await self._store.close()

"""Scrapes the metrics of the containers whose configuration asks for it, and keeps an hour of them.

SageMaker does so with an OpenTelemetry collector beside the container, and CloudWatch keeps it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from mmectl.local.instance.http_client import Wire, WireError
from mmectl.local.instance.mms import in_header
from mmectl.local.metrics.background import Background
from mmectl.local.metrics.exposition import Count, Counts, UnreadableError, read

log = logging.getLogger(__name__)
EVERY = 5.0  # seconds between two looks at what is due
LONGEST = 5.0  # seconds that a container may take
MOST_BYTES = 4 << 20
HOUR = 3_600.0
OTHER = "other"  # models that have no figures of their own
APART = 60.0  # seconds between two answers that are kept

Row = Mapping[str, Any]
Fetch = Callable[[Path, str], Awaitable[str]]


@dataclass(slots=True)
class _Seen:
    """The answers of one container, oldest first, and what was wrong with the last."""

    row: Row
    kept: deque[tuple[float, Counts]] = field(default_factory=deque)
    asked: float = float("-inf")
    problem: str = ""


class Scraper:
    """`rows` gives the instances as `DataPlane.instances` does."""

    def __init__(
        self,
        rows: Callable[[], Sequence[Row]],
        *,
        fetch: Fetch | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows, self._clock = rows, clock
        self._fetch = fetch or fetched
        self._seen: dict[str, _Seen] = {}
        self._background = Background("metrics of containers")

    async def open(self) -> None:
        """Scrape from now on."""
        self._background.repeat(
            self.look, lambda: asyncio.sleep(EVERY), "the containers could not be scraped"
        )

    async def close(self) -> None:
        """Scrape no more; twice is fine."""
        await self._background.stop()

    async def look(self, endpoint: str | None = None) -> None:
        """Scrape what is due; of that endpoint everything."""
        rows = {row["instance_id"]: row for row in self._rows() if row["scrape"]}
        self._seen = {
            name: self._seen.get(name) or _Seen(row, deque([(self._clock(), {})]))
            for name, row in rows.items()
        }
        for name, row in rows.items():
            self._seen[name].row = row
        due = [
            seen
            for seen in self._seen.values()
            if seen.row["socket"]
            and (
                seen.row["endpoint"] == endpoint
                or self._clock() - seen.asked >= seen.row["scrape_every"]
            )
        ]
        await asyncio.gather(*(self._scrape(seen) for seen in due))

    async def _scrape(self, seen: _Seen) -> None:
        seen.asked = self._clock()
        try:
            text = await self._fetch(Path(seen.row["socket"]), seen.row["scrape"])
            self._keep(seen, await asyncio.to_thread(read, text))
            seen.problem = ""
        except (WireError, UnreadableError) as error:
            seen.problem = f"GET {seen.row['scrape']}: {error}"

    def _keep(self, seen: _Seen, counts: Counts) -> None:
        now, kept = self._clock(), seen.kept
        if len(kept) > 1 and now - kept[-2][0] < APART:
            kept.pop()
        kept.append((now, counts))
        while len(kept) > 1 and kept[1][0] <= now - HOUR:
            kept.popleft()

    async def figures(self, endpoint: str, seconds: float) -> dict[str, Any]:
        """What the containers of an endpoint counted in that time, up to now; ready for JSON.

        `instances` says of each how many seconds its figures cover, and what was wrong; `models`
        has a row for each model of an instance with requests since.
        """
        await self.look(endpoint)
        mine = {n: seen for n, seen in self._seen.items() if seen.row["endpoint"] == endpoint}
        return {
            "instances": [_instance(seen, self._clock(), seconds) for seen in mine.values()],
            "models": [
                row for seen in mine.values() for row in _models(seen, self._clock() - seconds)
            ],
        }

    def course(self, endpoint: str, seconds: float, model: str) -> list[dict[str, Any]]:
        """What the containers of an endpoint counted of one model in that time, as last asked.

        A row for each span between two answers of a container, with requests or without;
        `begun` and `ended` are seconds before now. `known` is False where the model may be among
        those that a container counts together.
        """
        now = self._clock()
        return [
            row
            for seen in self._seen.values()
            if seen.row["endpoint"] == endpoint
            for row in _steps(seen, now, seconds, model)
        ]


def _steps(seen: _Seen, now: float, seconds: float, model: str) -> list[dict[str, Any]]:
    asked_as = in_header(model)
    none = Count()
    return [
        {
            "begun": round(now - began, 3),
            "ended": round(now - ended, 3),
            "known": asked_as in counts or OTHER not in counts,
            **_row(seen, model, counts.get(asked_as, none).since(before.get(asked_as))),
        }
        for (began, before), (ended, counts) in pairwise(seen.kept)
        if now - ended < seconds
    ]


def _first(seen: _Seen, since: float) -> tuple[float, Counts]:
    """The newest answer that is not younger than `since`, else the oldest one."""
    before = [entry for entry in seen.kept if entry[0] <= since]
    return before[-1] if before else seen.kept[0]


def _instance(seen: _Seen, now: float, seconds: float) -> dict[str, Any]:
    return {
        "variant": seen.row["variant"],
        "instance_id": seen.row["instance_id"],
        "seconds": round(now - _first(seen, now - seconds)[0], 1),
        "problem": seen.problem,
    }


def _models(seen: _Seen, since: float) -> list[dict[str, Any]]:
    _, before = _first(seen, since)
    _, last = seen.kept[-1]
    grown = {model: count.since(before.get(model)) for model, count in last.items()}
    # containers know models by the header that they were asked with
    names = {in_header(target): target for target in seen.row.get("answers", ())}
    return [
        _row(seen, names.get(model, model), count)
        for model, count in grown.items()
        if count.requests
    ]


def _row(seen: _Seen, model: str, count: Count) -> dict[str, Any]:
    """One model of one instance; the bound of the last bucket is null: infinity."""
    return {
        "variant": seen.row["variant"],
        "instance_id": seen.row["instance_id"],
        "target_model": model,
        "requests": int(count.requests),
        "errors": int(count.errors),
        "seconds": count.seconds,
        "buckets": [
            [None if bound == float("inf") else bound, int(number)]
            for bound, number in sorted(count.buckets.items())
        ],
    }


async def fetched(socket: Path, path: str) -> str:
    """What a container answers there. Raises WireError, UnreadableError."""
    wire = Wire(socket)
    try:
        answer = await wire.request("GET", path, timeout=LONGEST)
    finally:
        wire.close()
    if answer.status != 200:
        raise UnreadableError(f"answered {answer.status}")
    if len(answer.body) > MOST_BYTES:
        raise UnreadableError(f"answered more than {MOST_BYTES >> 20} MB")
    return answer.body.decode("utf-8", "replace")

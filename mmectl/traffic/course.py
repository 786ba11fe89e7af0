"""One model over time: what containers counted from answer to answer, as curves. Pure.

Containers are asked about once a minute, not at the minute: what one counted between two answers
is shared out among the periods that the time between them covers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mmectl.traffic.by_model import percentile
from mmectl.traffic.metrics import Span

CURVES = {
    "requests": "None",
    "errors": "None",
    "p50": "Microseconds",
    "p99": "Microseconds",
    "loads": "None",
    "evictions": "None",
}
"""The curves of a model, and their units."""


@dataclass(slots=True)
class _Period:
    seen: bool = False
    counted: bool = False
    requests: float = 0.0
    errors: float = 0.0
    loads: int = 0
    evictions: int = 0
    buckets: dict[float, float] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any], share: float) -> None:
        self.seen = True
        if not row["known"]:
            return
        self.counted = True
        self.requests += share * row["requests"]
        self.errors += share * row["errors"]
        for bound, number in row["buckets"]:
            at = float("inf") if bound is None else float(bound)
            self.buckets[at] = self.buckets.get(at, 0.0) + share * number


def curves(
    found: Mapping[str, Any], within: Span, now: float, variant: str | None = None
) -> dict[str, list[list[float]]]:
    """Points [epoch second, value] by the names of CURVES; a period that nobody counted has none.

    `found` is what the embedded platform tells of one model: `steps` and `moves`.
    """
    periods = [_Period() for _ in range(-(-within.seconds // within.period))]
    for row in _of(found["steps"], variant):
        _share(periods, within, row, now)
    for move in _of(found["moves"], variant):
        at = _place(now - move["ago"], within)
        if 0 <= at < len(periods):
            periods[at].loads += move["loaded"]
            periods[at].evictions += not move["loaded"]
    points: dict[str, list[list[float]]] = {name: [] for name in CURVES}
    for number, period in enumerate(periods):
        for name, value in _values(period).items():
            points[name].append([within.start + number * within.period, value])
    return points


def _of(rows: Iterable[Mapping[str, Any]], variant: str | None) -> list[Mapping[str, Any]]:
    return [row for row in rows if variant in (None, row["variant"])]


def _place(moment: float, within: Span) -> int:
    return int((moment - within.start) // within.period)


def _share(periods: list[_Period], within: Span, row: Mapping[str, Any], now: float) -> None:
    ended = now - row["ended"]
    began = min(now - row["begun"], ended - 0.001)  # the first answer comes at once
    for number, period in enumerate(periods):
        start = within.start + number * within.period
        there = min(ended, start + within.period) - max(began, start)
        if there > 0:
            period.add(row, there / (ended - began))


def _values(period: _Period) -> dict[str, float]:
    found: dict[str, float] = {}
    if period.seen or period.loads or period.evictions:  # the platform ran
        found |= {"loads": period.loads, "evictions": period.evictions}
    if period.counted:
        found |= {"requests": round(period.requests, 2), "errors": round(period.errors, 2)}
        for name, percent in (("p50", 50), ("p99", 99)):
            value = percentile(period.buckets, percent)
            if value is not None:
                found[name] = value * 1000
    return found

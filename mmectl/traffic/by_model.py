"""Figures by model: what containers counted, put together over instances, as rows. Pure.

Percentiles are interpolated within the buckets of a histogram, as Prometheus's histogram_quantile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mmectl.traffic.metrics import shown

SORTS = ("requests", "errors", "p50", "p99", "loads", "evictions", "name")
OTHER = "other"
_NAME_WIDTH = 28  # a table of seven columns in 80


@dataclass(slots=True)
class Counted:
    """One model; times in milliseconds, None without requests."""

    target_model: str
    requests: int = 0
    errors: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    loads: int = 0
    evictions: int = 0
    instances: int = 0
    buckets: dict[float, int] = field(default_factory=dict, repr=False)

    def data(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {name: value for name, value in asdict(self).items() if name != "buckets"}


def counted(figures: Mapping[str, Any], variant: str | None = None) -> list[Counted]:
    """The models with requests, loads or evictions, of that variant or of all."""
    found: dict[str, Counted] = {}
    held: dict[str, set[str]] = {}
    for row in _of(figures["models"], variant):
        one = found.setdefault(row["target_model"], Counted(row["target_model"]))
        one.requests += row["requests"]
        one.errors += row["errors"]
        held.setdefault(one.target_model, set()).add(row["instance_id"])
        for bound, number in row["buckets"]:
            at = float("inf") if bound is None else float(bound)
            one.buckets[at] = one.buckets.get(at, 0) + number
    for row in _of(figures["moves"], variant):
        one = found.setdefault(row["target_model"], Counted(row["target_model"]))
        one.loads += row["loads"]
        one.evictions += row["evictions"]
        held.setdefault(one.target_model, set()).add(row["instance_id"])
    for one in found.values():
        one.instances = len(held[one.target_model])
        one.p50_ms, one.p99_ms = percentile(one.buckets, 50), percentile(one.buckets, 99)
    return list(found.values())


def _of(rows: Iterable[Mapping[str, Any]], variant: str | None) -> list[Mapping[str, Any]]:
    return [row for row in rows if variant in (None, row["variant"])]


def percentile(buckets: Mapping[float, float], percent: float) -> float | None:
    """Milliseconds, of cumulative buckets by their bounds in seconds; None where all are empty."""
    ordered = sorted(buckets.items())
    if not ordered or ordered[-1][1] <= 0:
        return None
    rank = ordered[-1][1] * percent / 100
    low, below = 0.0, 0.0
    for bound, upto in ordered:
        if upto >= rank and upto > below:
            if bound == float("inf"):
                return round(low * 1000, 3)
            return round((low + (bound - low) * (rank - below) / (upto - below)) * 1000, 3)
        low, below = bound, upto
    return None


def ordered(rows: Iterable[Counted], by: str, top: int | None) -> tuple[list[Counted], Counted]:
    """The first `top` rows, the largest first, and the sum of all others.

    What the containers counted as `other` is always among the others.
    """
    plain = [row for row in rows if row.target_model != OTHER]
    keys = {"p50": "p50_ms", "p99": "p99_ms"}
    plain.sort(key=lambda row: row.target_model)
    if by != "name":
        plain.sort(key=lambda row: -(getattr(row, keys.get(by, by)) or 0))
    first = plain[:top] if top is not None else plain
    rest = Counted(OTHER)
    shown_rows = {id(row) for row in first}
    for row in rows:
        if id(row) not in shown_rows:
            rest.requests += row.requests
            rest.errors += row.errors
            rest.loads += row.loads
            rest.evictions += row.evictions
            for bound, number in row.buckets.items():
                rest.buckets[bound] = rest.buckets.get(bound, 0) + number
    rest.p50_ms, rest.p99_ms = percentile(rest.buckets, 50), percentile(rest.buckets, 99)
    return first, rest


COLUMNS = ("MODEL", "REQUESTS", "ERRORS", "P50", "P99", "LOADS", "EVICTED")


def cells(rows: Sequence[Counted]) -> list[list[str]]:
    """The cells of a table in 80 columns."""
    return [
        [
            _cut(row.target_model),
            str(row.requests),
            str(row.errors),
            _time(row.p50_ms),
            _time(row.p99_ms),
            str(row.loads),
            str(row.evictions),
        ]
        for row in rows
    ]


def _cut(name: str) -> str:
    """A name in its width, printable; the end tells more than the beginning."""
    plain = "".join(char if char.isprintable() else "?" for char in name)
    return plain if len(plain) <= _NAME_WIDTH else "…" + plain[-_NAME_WIDTH + 1 :]


def _time(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return shown(milliseconds * 1000, "Microseconds", "p50")

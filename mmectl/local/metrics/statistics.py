"""Statistic sets: what is kept of the values of one metric in one minute; pure.

Besides count, sum, minimum and maximum, the values themselves are kept for percentiles: exactly up
to `EXACT` different ones, then on a logarithmic grid on which none moves by more than 1 %.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

EXACT = 200
"""Different values that are kept as they are."""

_STEP = math.log(1.02)
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")
_SIMPLE = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")


@dataclass(slots=True)
class Statistics:
    """Count, sum, minimum and maximum; `values` says how often each value came.

    Statistic sets of users come without values: then there are no percentiles.
    """

    count: float = 0.0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    values: dict[float, float] = field(default_factory=dict)
    coarse: bool = False

    def add(self, value: float, times: float = 1.0) -> None:
        """Count a value in."""
        self.count += times
        self.total += value * times
        self.low = min(self.low, value)
        self.high = max(self.high, value)
        self._keep(value, times)

    def merge(self, other: Statistics) -> None:
        """Count in all that another set holds."""
        self.count += other.count
        self.total += other.total
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)
        for value, times in other.values.items():
            self._keep(value, times)

    def _keep(self, value: float, times: float) -> None:
        key = _on_grid(value) if self.coarse else value
        self.values[key] = self.values.get(key, 0.0) + times
        if not self.coarse and len(self.values) > EXACT:
            exact, self.values, self.coarse = self.values, {}, True
            for kept, count in exact.items():
                self._keep(kept, count)

    def of(self, statistic: str) -> float | None:
        """One statistic by CloudWatch's name (``Average``, ``p99.9``); None if it has none.

        Raises ValueError for a name that is unknown.
        """
        if statistic in _SIMPLE:
            return self._simple(statistic)
        match = _PERCENTILE.fullmatch(statistic)
        if match is None:
            raise ValueError(statistic)
        return self._percentile(float(match[1]))

    def _simple(self, statistic: str) -> float:
        if statistic == "Average":
            return self.total / self.count if self.count else 0.0
        return {
            "SampleCount": self.count,
            "Sum": self.total,
            "Minimum": self.low,
            "Maximum": self.high,
        }[statistic]

    def _percentile(self, percent: float) -> float | None:
        """The smallest value that so many percent do not exceed (nearest rank)."""
        if self.low == self.high:
            return self.low
        if not math.isclose(sum(self.values.values()), self.count):
            return None
        seen, wanted = 0.0, self.count * percent / 100
        for value in sorted(self.values):
            seen += self.values[value]
            if seen >= wanted - 1e-9:
                return min(max(value, self.low), self.high)
        return self.high


def is_statistic(name: str) -> bool:
    """Whether `Statistics.of` knows it."""
    return name in _SIMPLE or _PERCENTILE.fullmatch(name) is not None


def merged(parts: Iterable[Statistics]) -> Statistics:
    """One set of several."""
    whole = Statistics()
    for part in parts:
        whole.merge(part)
    return whole


def encode(values: dict[float, float]) -> str:
    """Values with their counts, as compact JSON."""
    pairs = [[float(f"{value:.12g}"), times] for value, times in values.items()]
    return json.dumps(pairs, separators=(",", ":"))


def decode(text: str) -> dict[float, float]:
    """What `encode` wrote."""
    return {float(value): float(times) for value, times in json.loads(text)}


def _on_grid(value: float) -> float:
    if value == 0:
        return 0.0
    near = math.exp(_STEP * round(math.log(abs(value)) / _STEP))
    return math.copysign(float(f"{near:.6g}"), value)

"""Statistic sets: the values of one metric in one minute, aggregated; pure.

Besides count, sum, minimum and maximum, the values themselves are kept for percentiles: exactly up
to `EXACT` different ones, then on a logarithmic grid on which none moves by more than 1 %.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

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
    return name in _SIMPLE or is_percentile(name)


def is_percentile(name: str) -> bool:
    """Whether it is one such as ``p99.9``."""
    return _PERCENTILE.fullmatch(name) is not None


def merged(parts: Iterable[Statistics]) -> Statistics:
    """One set of several."""
    whole = Statistics()
    for part in parts:
        whole.merge(part)
    return whole


def encode(statistics: Statistics) -> bytes:
    """The values with their counts; a minute of a busy metric takes about 500 bytes.

    Values on the grid are written as steps from one to the next.
    """
    values = statistics.values
    if statistics.coarse and min(values) > 0:
        steps = sorted((_step(value), _short(times)) for value, times in values.items())
        places = [place for place, _ in steps]
        gaps = [right - left for left, right in zip([0, *places[:-1]], places, strict=True)]
        plain: object = {"gaps": gaps, "times": [times for _, times in steps]}
    else:
        plain = [[value, _short(times)] for value, times in values.items()]
    return zlib.compress(json.dumps(plain, separators=(",", ":")).encode(), 1)


def decode(data: bytes) -> dict[float, float]:
    """The values that `encode` wrote; none, and so no percentiles, where they are damaged."""
    try:
        return _decoded(json.loads(zlib.decompress(data))) if data else {}
    except (zlib.error, ValueError, TypeError, KeyError, ArithmeticError):
        return {}


def _decoded(plain: Any) -> dict[float, float]:
    if isinstance(plain, dict):
        places = accumulate(plain["gaps"])
        return {_at(n): float(times) for n, times in zip(places, plain["times"], strict=True)}
    return {float(value): float(times) for value, times in plain}


def _short(times: float) -> float:
    return int(times) if times.is_integer() else times


def _on_grid(value: float) -> float:
    return math.copysign(_at(_step(value)), value) if value else 0.0


def _step(value: float) -> int:
    return round(math.log(abs(value)) / _STEP)


def _at(step: int) -> float:
    return float(f"{math.exp(_STEP * step):.6g}")

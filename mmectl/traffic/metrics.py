"""CloudWatch metrics for people: statistics, rows, and small curves. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mmectl.base.errors import UsageError

BARS = "▁▂▃▄▅▆▇█"
CURVE = 12  # bars of a curve at most

INVOCATIONS, INSTANCES = "AWS/SageMaker", "/aws/sagemaker/Endpoints"
_COUNT = ("Sum",)
_RATE = ("Sum", "Average")
_TIME = ("Average", "p50", "p99", "Maximum")
_STATE = ("Average", "Maximum")
COLUMNS = {"Sum": "SUM", "Average": "AVG", "p50": "P50", "p99": "P99", "Maximum": "MAX"}

Points = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Metric:
    """One of SageMaker's metrics: what to show of it, and what its curve is of.

    `further` are statistics of which machines are told curves, too.
    """

    namespace: str
    name: str
    unit: str
    statistics: tuple[str, ...]
    curve: str = "Average"
    further: tuple[str, ...] = ()


# "Amazon SageMaker AI metrics in Amazon CloudWatch" (developer guide, monitoring-cloudwatch)
METRICS = (
    *(
        Metric(INVOCATIONS, name, "Count", _COUNT, "Sum")
        for name in (
            "Invocations",
            "InvocationsPerInstance",
            "Invocation4XXErrors",
            "Invocation5XXErrors",
            "InvocationModelErrors",
        )
    ),
    Metric(INVOCATIONS, "ModelCacheHit", "Ratio", _RATE),
    Metric(INVOCATIONS, "ModelLatency", "Microseconds", _TIME, further=("p50", "p99")),
    *(
        Metric(INVOCATIONS, name, "Microseconds", _TIME)
        for name in (
            "OverheadLatency",
            "ModelLoadingWaitTime",
            "ModelDownloadingTime",
            "ModelLoadingTime",
            "ModelUnloadingTime",
        )
    ),
    Metric(INSTANCES, "LoadedModelCount", "Number", _STATE),
    *(
        Metric(INSTANCES, name, "Percent", _STATE)
        for name in ("CPUUtilization", "MemoryUtilization", "DiskUtilization")
    ),
)


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` to before `end` (epoch seconds), curves in periods of `period` seconds."""

    start: int
    end: int
    period: int

    @property
    def seconds(self) -> int:
        """How long it is."""
        return self.end - self.start


_DAY = 86_400
KEPT = 455 * _DAY
"""Seconds that CloudWatch keeps a value."""


def finest(since: float) -> int:
    """Seconds that a period back to then must be a multiple of, else CloudWatch answers nothing.

    It keeps minutes for 15 days, five minutes for 63 (GetMetricData, API reference).
    """
    return 60 if since <= 15 * _DAY else 300 if since <= 63 * _DAY else 3600


def span(now: float, since: float, period: int | None = None, back: float | None = None) -> Span:
    """The last `since` seconds up to `now` in whole minutes, the running one included.

    `back` is how many seconds ago it begins, where it does not end now.
    """
    minutes = max(math.ceil(since / 60), 1)
    unit = finest(since if back is None else back)
    step = period or unit * math.ceil(60 * minutes / unit / CURVE)
    periods = math.ceil(60 * minutes / step)
    past = back is not None and back > since
    end = math.ceil(now / 60) * 60 if past else (int(now) // 60 + 1) * 60
    return Span(end - periods * step, end, step)


def whole(statistic: str, points: Points) -> float:
    """The value of the whole span, which may come in two periods."""
    values = [value for _, value in points]
    return {"Sum": sum(values), "Maximum": max(values)}.get(statistic, values[-1])


def curve(points: Points, within: Span) -> str:
    """A value per period as bars from 0 to the largest; a blank where there is none."""
    steps = -(-within.seconds // within.period)
    values: list[float | None] = [None] * steps
    for time, value in points:
        place = (time - within.start) // within.period
        if 0 <= place < steps:
            values[place] = value
    top = max((value for value in values if value is not None), default=0.0)
    return "".join(_bar(value, top) for value in values[-CURVE:])


def _bar(value: float | None, top: float) -> str:
    if value is None:
        return " "
    return BARS[min(int(value / top * len(BARS)), len(BARS) - 1)] if top > 0 else BARS[0]


def shown(value: float | None, unit: str, statistic: str) -> str:
    """A value for people, at most eight characters wide."""
    if value is None:
        return ""
    if unit == "Microseconds":
        return _duration(value)
    if unit == "Ratio" and statistic != "Sum":
        return f"{100 * value:.1f} %"
    if unit == "Percent":
        return f"{value:.1f} %"
    return f"{value:.0f}" if value == int(value) or value >= 1000 else f"{value:.1f}"


def _duration(microseconds: float) -> str:
    if microseconds < 1000:
        return f"{microseconds:.0f} us"
    if microseconds < 999_500:
        return f"{microseconds / 1000:.{1 if microseconds < 9950 else 0}f} ms"
    return f"{microseconds / 1e6:.{2 if microseconds < 99_500_000 else 0}f} s"


def row(metric: Metric, values: Mapping[str, float], trend: str | None) -> list[str]:
    """The cells of one metric, in the order of METRIC, COLUMNS and, if wanted, TREND."""
    cells = [shown(values.get(name), metric.unit, name) for name in COLUMNS]
    return [metric.name, *cells, *([] if trend is None else [trend])]


_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}


def seconds(text: str, option: str) -> float:
    """A span of time such as 90s, 15m, 2h or 3d. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*(s|m|min|h|d)", text.strip())
    found = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 0 < found <= KEPT:
        raise UsageError(
            f"{option} {text}: must be a span of time",
            hint=f"for example: {option} 15m, 2h or 3d",
            code="bad_value",
        )
    return found


def moment(text: str, option: str, now: float) -> float:
    """An ISO 8601 time, local where it names no zone, as Unix time. Raises UsageError."""
    try:
        found = datetime.fromisoformat(re.sub("Z$", "+00:00", text.strip())).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"{option} {text}: must be a time",
            hint=f"for example: {option} 2026-03-01T10:00",
            code="bad_value",
        ) from None
    if not 0 < found <= now + 60:
        raise UsageError(
            f"{option} {text}: has not come yet"
            if found > now
            else f"{option} {text}: is too early",
            code="bad_value",
        )
    return min(found, now)

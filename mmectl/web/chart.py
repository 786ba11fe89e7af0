"""Line charts as numbers for an SVG: where lines, marks and labels stand. Pure."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Points = Sequence[Sequence[float]]
"""(epoch second, value) pairs, oldest first."""

WIDTH, HEIGHT = 560, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 8, 10, 24
_MARKS = 4


@dataclass(frozen=True, slots=True)
class Span:
    """Epoch seconds, and the seconds of one period; `dated`: not of today."""

    start: float
    end: float
    period: float
    dated: bool = False


def chart(
    title: str,
    unit: str,
    series: Mapping[str, Points],
    span: Span,
    named: Callable[[float, Span], str] | None = None,
) -> dict[str, Any]:
    """A chart of several lines; periods without a value are gaps.

    `named` says what a place of the span is, which is a time of the day where it is left out.
    """
    clock = named or _clock
    values = [value for points in series.values() for _, value in points]
    top = _round_up(max(values, default=0.0))
    step = top / _MARKS
    return {
        "title": title,
        "width": WIDTH,
        "height": HEIGHT,
        "empty": not values,
        "lines": [
            {
                "label": label,
                "paths": [_path(part, span, top) for part in _parts(points, span.period)],
                "dots": [
                    {
                        "x": _x(at, span),
                        "y": _y(value, top),
                        "text": f"{clock(at, span)}  {label} {shown(value, unit)}",
                    }
                    for at, value in points
                ],
                "last": shown(points[-1][1], unit) if points else "-",
            }
            for label, points in series.items()
        ],
        "left": _LEFT,
        "right": WIDTH - _RIGHT,
        "marks": [
            {"y": _y(step * n, top), "text": shown(step * n, unit)}
            for n in range(_MARKS + 1 if top else 1)  # else all lie on the same place
        ],
        "times": [
            {"x": _x(at, span), "text": clock(at, span)}
            for at in (span.start, (span.start + span.end) / 2, span.end)
        ],
    }


def _parts(points: Points, period: float) -> list[Points]:
    """Runs of neighbours."""
    found: list[list[Sequence[float]]] = []
    for point in points:
        if found and point[0] - found[-1][-1][0] <= 1.5 * period:
            found[-1].append(point)
        else:
            found.append([point])
    return list(found)


def _path(points: Points, span: Span, top: float) -> str:
    return " ".join(f"{_x(at, span)},{_y(value, top)}" for at, value in points)


def _x(at: float, span: Span) -> float:
    share = (at - span.start) / max(span.end - span.start, 1)
    return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)


def _y(value: float, top: float) -> float:
    share = value / top if top else 0.0
    return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)


def _round_up(value: float) -> float:
    """The next 1, 2, 4 or 8 times a power of ten: a quarter of it is written in few digits."""
    if value <= 0:
        return 0.0
    unit = 10.0 ** math.floor(math.log10(value))
    return next(unit * n for n in (1, 2, 4, 8, 10) if unit * n >= value * 0.999999)


def _clock(at: float, span: Span) -> str:
    dated = span.dated or span.end - span.start > 86_400
    form = "%d %b %H:%M" if dated else "%H:%M"
    return time.strftime(form, time.localtime(at))


def shown(value: float, unit: str) -> str:
    """A value for people."""
    if unit == "Microseconds":
        return f"{value / 1000:.3g} ms" if value < 1e6 else f"{value / 1e6:.3g} s"
    if unit == "Percent":
        return f"{value:.0f} %" if value >= 10 else f"{value:.1f} %"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"

"""The range of time that a page shows: one of a few up to now, or from a time to another. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mmectl.base.errors import UsageError
from mmectl.traffic.metrics import KEPT, finest

SPANS = {"15m": "1m", "1h": "1m", "6h": "5m", "1d": "15m", "7d": "2h"}
"""Ranges up to now, and the periods of their curves."""

_PERIODS = (1, 5, 15, 60, 120, 360, 1440)  # minutes, each a multiple of what CloudWatch kept
_POINTS = 120  # of a curve at most


@dataclass(frozen=True, slots=True)
class Range:
    """`since` is a span as `mmectl metrics --since` takes it; `until` is "" where it ends now."""

    since: str
    until: str
    period: str
    begin: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """Of `mmectl metrics`."""
        until = ("--until", self.until) if self.until else ()
        return ("--since", self.since, *until, "--period", self.period)

    @classmethod
    def of(cls, query: Mapping[str, str], now: float) -> Range:
        """What a page asks for: `since`, or `from` and `to` as a browser's field has them."""
        begin, end = query.get("from", ""), query.get("to", "")
        if begin or end:
            return _between(begin, end, now)
        since = query.get("since", "1h")
        if since not in SPANS:
            raise UsageError(f"{since!r}: is not one of {', '.join(SPANS)}", code="bad_value")
        return cls(since, "", SPANS[since])


def _between(begin: str, end: str, now: float) -> Range:
    first = _moment(begin, "From")
    last = min(_moment(end, "To"), now) if end else now
    minutes = round((last - first) / 60)
    if minutes < 1:
        raise UsageError("From must be a minute before To, and not yet to come", code="bad_value")
    back = now - first
    if back > KEPT:
        raise UsageError("From: CloudWatch keeps values of 455 days", code="bad_value")
    least = finest(back) // 60
    period = next((p for p in _PERIODS if p >= least and minutes / p <= _POINTS), _PERIODS[-1])
    since = max(minutes, period)  # one period at least
    until = end or datetime.fromtimestamp(now).strftime("%Y-%m-%dT%H:%M")
    return Range(f"{since}m", until, f"{period}m", begin)


def _moment(text: str, which: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{which} {text!r}: must be a time", code="bad_value") from None

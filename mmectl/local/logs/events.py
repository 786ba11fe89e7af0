"""Pages of log events, forward, backward and from several logs at once."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from mmectl.local.logs import lines as log_lines
from mmectl.local.logs.lines import Line, Place

PAGE_EVENTS = 10_000
PAGE_BYTES = 1 << 20
"""Size at which a page ends, with the line that reaches it."""

SCAN_BYTES = 32 << 20
"""Bytes of log text that one call reads at most."""

_EVENT_OVERHEAD = 26
"""What CloudWatch Logs adds to the size of each event."""

Params = Mapping[str, Any]


@dataclass(slots=True)
class Page:
    """Events gathered for one answer, up to its limits."""

    params: Params
    events: list[dict[str, Any]] = field(default_factory=list)
    size: int = 0
    read: int = 0

    def scanned(self, line: Line) -> bool:
        """Count a line as read and say whether it is in the time range."""
        self.read += line.end.offset - line.start.offset
        return _in_range(line, self.params)

    def take(self, line: Line, stream: str | None = None) -> None:
        """Add a line."""
        self.size += len(line.text) + _EVENT_OVERHEAD
        event: dict[str, Any] = {
            "timestamp": line.time,
            "message": line.text,
            "ingestionTime": line.time,
        }
        if stream is not None:
            event |= {
                "logStreamName": stream,
                "eventId": f"{line.time}{line.start}".replace("-", ""),
            }
        self.events.append(event)

    @property
    def full(self) -> bool:
        """Whether the answer must not grow, or take longer."""
        return (
            len(self.events) >= self.params.get("limit", PAGE_EVENTS)
            or self.size >= PAGE_BYTES
            or self.read >= SCAN_BYTES
        )


def events_forward(path: Path, since: Place | None, params: Params) -> dict[str, Any]:
    """The answer of GetLogEvents that reads on from a place, or from the beginning."""
    page = Page(params)
    first = last = since
    stop = params.get("endTime")
    for line in takewhile(
        lambda line: stop is None or line.time < stop, log_lines.forward(path, since)
    ):
        first, last = first or line.start, line.end
        if page.scanned(line):
            page.take(line)
        if page.full:
            break
    empty = log_lines.start(path)
    return _events(page.events, first or empty, last or empty)


def events_backward(path: Path, until: Place, params: Params) -> dict[str, Any]:
    """The answer of GetLogEvents that reads back from a place; oldest event first all the same."""
    page = Page(params)
    first, last = until, None
    start = params.get("startTime", 0)
    for line in takewhile(lambda line: line.time >= start, log_lines.backward(path, until)):
        first = line.start
        if page.scanned(line):
            last = last or line.end
            page.take(line)
        if page.full:
            break
    return _events(page.events[::-1], first, last or until)


def _events(events: list[dict[str, Any]], first: Place, last: Place) -> dict[str, Any]:
    return {
        "events": events,
        "nextBackwardToken": f"b/{first}",
        "nextForwardToken": f"f/{last}",
    }


def _in_range(line: Line, params: Params) -> bool:
    start, stop = params.get("startTime", 0), params.get("endTime")
    return line.time >= start and (stop is None or line.time < stop)


def merged(
    streams: Mapping[str, Path], places: Mapping[str, str]
) -> Iterator[tuple[int, str, Line]]:
    """Lines of several streams by time; a clock set back does not disturb a stream's order."""

    def lines(stream: str, path: Path) -> Iterator[tuple[int, str, Line]]:
        latest = 0
        for line in log_lines.forward(path, log_lines.place(places.get(stream, ""))):
            latest = max(latest, line.time)
            yield latest, stream, line

    parts = (lines(stream, path) for stream, path in streams.items())
    return heapq.merge(*parts, key=lambda item: item[:2])

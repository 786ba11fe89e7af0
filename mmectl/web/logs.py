"""The page of the log: the lines of an instance, of a span, that match; and new ones."""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from mmectl.base.errors import UsageError
from mmectl.web.values import Commands, Context, Data, Query, chosen, optional

TAIL = 300
"""Lines that are shown at first, the last ones."""
NEW = 2_000
"""New lines at most: as many as the page keeps, so that there is no gap before them."""
SPANS = ("", "15m", "1h", "6h", "1d", "7d")
LATE = 10.0
"""Seconds that a line may come after later ones."""

Clock = Callable[[], float]


def logs(commands: Commands, query: Query, clock: Clock = time.time) -> Context:
    """The last lines of what is chosen."""
    asked, since = clock(), chosen(query, "since", SPANS, "")
    options = (*_chosen(query), *(("--since", since) if since else ()), "--tail", str(TAIL))
    found, why = optional(commands, "logs", *options)
    streams = list(found["streams"]) if found else []
    instance = query.get("instance", "")
    if instance and instance not in streams:
        streams.append(instance)
    return {
        "lines": list(_named(found["events"])) if found else [],
        "why": why,
        "asked": asked,
        "spans": SPANS,
        "since": since,
        "streams": streams,
        "instance": instance,
        "filter": query.get("filter", ""),
        "line": commands.line("logs", *options),
    }


def lines(commands: Commands, query: Query, clock: Clock = time.time) -> Context:
    """The lines since `after` (epoch seconds), and some before it: they may have come late."""
    asked = clock()
    try:
        age = asked - float(query.get("after", ""))
        span = max(1, math.ceil(age + LATE))
    except (ValueError, OverflowError):
        raise UsageError("after: is no time", code="bad_value") from None
    options = (*_chosen(query), "--since", f"{span}s", "--tail", str(NEW))
    return {"lines": list(_named(commands("logs", *options)["events"])), "asked": asked}


def _chosen(query: Query) -> tuple[str, ...]:
    """The options that tell which lines."""
    named = {"--instance": query.get("instance"), "--filter": query.get("filter")}
    return tuple(word for name, value in named.items() if value for word in (name, value))


def _named(events: Sequence[Data]) -> Iterator[Context]:
    """The lines with names by which those that were shown are known, equal ones told apart."""
    seen: Counter[str] = Counter()
    for event in events:
        text = f"{event['time']} {event['stream']} {event['message']}"
        name = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]
        seen[name] += 1
        yield {**event, "id": f"line-{name}-{seen[name]}"}

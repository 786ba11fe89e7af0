"""The view of `mmectl local top`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from mmectl.console.output import Output, Result, Table, milliseconds

MODELS = 10  # shown of each endpoint
LOADS = 5
ID = 9  # characters of an instance's name

Row = Mapping[str, Any]
Status = Callable[[], Row]
"""Asks the running platform how it is."""


def once(status: Status) -> Result:
    """How it is now. Raises what `status` raises."""
    found = status()
    return Result({"endpoints": found["endpoints"], "uptime": found["uptime"]}, view(found))


def watched(
    status: Status, out: Output, every: float, wait: Callable[[float], None] = time.sleep
) -> NoReturn:
    """Show it until Ctrl-C, anew every `every` seconds."""
    status()  # before the screen is taken
    with out.live() as show:
        while True:
            show(view(status()))
            wait(every)


def view(found: Row) -> list[str | Table]:
    """The status as blocks for people."""
    blocks: list[str | Table] = []
    for endpoint in found["endpoints"]:
        blocks += [_head(endpoint), "", _instances(endpoint["instances"])]
        loads = [(name, row) for row in endpoint["instances"] for name in row["loading"]]
        blocks += [f"loading {name} on {row['instance_id'][:ID]}" for name, row in loads[:LOADS]]
        if len(loads) > LOADS:
            blocks.append(f"... and {len(loads) - LOADS} more")
        models = _models(endpoint["instances"])
        if models:
            table = ("MODEL", "COPIES", "MEMORY", "IN FLIGHT")
            blocks += ["", Table(table, models[:MODELS], frozenset(table[1:]))]
        if len(models) > MODELS:
            blocks.append(f"... and {len(models) - MODELS} more in memory")
        blocks.append("")
    return blocks[:-1] or ["no endpoint; create one: mmectl deploy"]


def _head(endpoint: Row) -> str:
    lives = [row["live"] for row in endpoint["instances"]]
    requests = sum(live["requests"] for live in lives)
    rate = sum(live["requests_per_second"] for live in lives)
    hits = sum(live["hits"] for live in lives)
    errors = sum(live["errors"] for live in lives)
    text = f"{endpoint['name']}  {endpoint['status']}  {rate:.1f} requests/s"
    return f"{text}, {_share(hits, requests)} hits, {errors} errors in the last minute"


def _instances(rows: Sequence[Row]) -> Table:
    names = ("INSTANCE", "STATE", "MODELS", "MEMORY MB", "HITS", "REQ/S", "P50", "P99", "EVICT")
    return Table(names, [_instance(row) for row in rows], frozenset(names[2:]))


def _instance(row: Row) -> list[str]:
    live = row["live"]
    loading = f"+{len(row['loading'])}" if row["loading"] else ""
    return [
        row["instance_id"][:ID],
        row["state"],
        f"{len(row['models'])}{loading}/{len(row['on_disk'])}",
        f"{row['memory_used_mb']}/{row['memory_limit_mb']}",
        _share(live["hits"], live["requests"]),
        f"{live['requests_per_second']:.1f}",
        _time(live["p50_ms"]),
        _time(live["p99_ms"]),
        str(live["evictions"]),
    ]


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _time(value: float | None) -> str:
    return "-" if value is None else milliseconds(value / 1000)


def _models(rows: Sequence[Row]) -> list[list[str]]:
    """The models in memory, those with most to do and then the largest first."""
    found: dict[str, list[float]] = {}
    for row in rows:
        for model in row["models"]:
            counts = found.setdefault(model["target_model"], [0, 0, 0])
            for place, more in enumerate((model["in_flight"], model["memory_mb"], 1)):
                counts[place] += more
    ranked = sorted(found.items(), key=lambda item: ([-n for n in item[1]], item[0]))
    return [
        [
            name,
            f"{copies:.0f}",
            f"{memory:.0f} MB" if memory >= 1 else f"{memory:.2f} MB",
            f"{busy:.0f}",
        ]
        for name, (busy, memory, copies) in ranked
    ]

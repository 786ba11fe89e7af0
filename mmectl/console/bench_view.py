"""A benchmark run on the terminal: tables and a text histogram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmectl.base.text import counted
from mmectl.console.output import Table, milliseconds

_RIGHT = frozenset({"COUNT", "P50", "P90", "P99", "MAX", "BEFORE", "AFTER", "RATIO"})
_TIMES = ("p50", "p90", "p99", "max")
_BAR = 44
_ROWS = 24


def view(run: Mapping[str, Any]) -> list[str | Table]:
    """What people see of a run."""
    blocks: list[str | Table] = [_headline(run), "", _latencies(run["latency"])]
    if run.get("variants"):
        blocks += ["", _variants(run["variants"])]
    if run["histogram"]:
        blocks += ["", *histogram(run["histogram"])]
    if run["errors"]:
        rows = [[str(e["count"]), e["code"], _cut(e["example"], 50)] for e in run["errors"]]
        blocks += ["", Table(("COUNT", "ERROR", "FOR EXAMPLE"), rows, _RIGHT)]
    return blocks


def _headline(run: Mapping[str, Any]) -> str:
    lines = [
        f"{counted(run['requests'], 'request')} of {counted(run['models'], 'model')} "
        f"in {run['seconds']:.1f} s, "
        f"{run['failed']} failed",
        f"throughput {run['throughput']:.1f} a second",
    ]
    if run["hit_rate"] is not None:
        lines[1] += (
            f", hit rate {100 * run['hit_rate']:.1f} %, {run['cold']} cold, "
            f"{run['reloads']} of them loaded again"
        )
    late = run["late"].get("p99", 0.0)
    if late > 0.05:
        lines.append(
            f"requests were sent late by {milliseconds(late)} (p99): --rate is higher than "
            "--concurrency can carry"
        )
    return "\n".join(lines)


def _latencies(latency: Mapping[str, Any]) -> Table:
    rows = [
        [kind, str(row["count"]), *(milliseconds(row[key]) for key in ("p50", "p90", "p99", "max"))]
        for kind, row in latency.items()
        if row["count"] and not (kind == "all" and row["count"] == _largest(latency))
    ]
    return Table(("LATENCY", "COUNT", "P50", "P90", "P99", "MAX"), rows, _RIGHT)


def _variants(variants: Sequence[Mapping[str, Any]]) -> Table:
    """The variants side by side; the ratio is that of the p50 to the first one's."""
    first = variants[0]["latency"]["all"].get("p50")
    rows = []
    for one in variants:
        latency = one["latency"]["all"]
        times = [milliseconds(latency[key]) if key in latency else "-" for key in _TIMES]
        ratio = f"{latency['p50'] / first:.2f}" if first and "p50" in latency else "-"
        counts = (str(one[key]) for key in ("requests", "failed", "cold"))
        rows.append([one["variant"], *counts, *times, ratio])
    names = ("VARIANT", "COUNT", "FAILED", "COLD", *(key.upper() for key in _TIMES), "RATIO")
    return Table(names, rows, _RIGHT | {"FAILED", "COLD"})


def _largest(latency: Mapping[str, Any]) -> int:
    """Where one kind holds everything, the row of all would only repeat it."""
    return max((row["count"] for kind, row in latency.items() if kind != "all"), default=0)


def histogram(buckets: Sequence[Mapping[str, Any]]) -> list[str]:
    """Bars of text, longest 44 cells; cold answers are drawn lighter."""
    merged = _merged(buckets)
    most = max(sum(row[kind] for kind in ("warm", "cold", "unknown")) for row in merged)
    lines = []
    for row in merged:
        total = row["warm"] + row["cold"] + row["unknown"]
        cells = -(-total * _BAR // most)
        light = -(-row["cold"] * cells // total) if total else 0
        bar = "█" * (cells - light) + "░" * light
        lines.append(f"{_label(row['from']):>9} {bar:{_BAR}} {total}".rstrip())
    if any(row["cold"] for row in merged):
        lines.append(f"{'':9} █ warm  ░ cold")
    return lines


def _label(seconds: float) -> str:
    """Where a bar begins; below 10 ms whole milliseconds would name two bars alike."""
    return f"{seconds * 1000:.1f} ms" if seconds < 0.00995 else milliseconds(seconds)


def _merged(buckets: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Neighbours put together until they fit a screen."""
    step = -(-len(buckets) // _ROWS)
    return [
        {"from": group[0]["from"]}
        | {kind: sum(row[kind] for row in group) for kind in ("warm", "cold", "unknown")}
        for group in (buckets[i : i + step] for i in range(0, len(buckets), step))
    ]


def comparison(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The figures of two runs side by side."""
    words = {True: "better", False: "worse", None: ""}
    cells = [
        [
            row["figure"],
            figure(row["before"]),
            figure(row["after"]),
            "-" if row["ratio"] is None else f"{row['ratio']:.2f}",
            words[row["better"]],
        ]
        for row in rows
    ]
    return Table(("FIGURE", "BEFORE", "AFTER", "RATIO", ""), cells, _RIGHT)


def figure(value: float) -> str:
    """A figure as a comparison shows it."""
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"

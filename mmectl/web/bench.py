"""The page Bench: runs that are saved in the folder, opened, and put side by side."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmectl.base.errors import UsageError
from mmectl.traffic.figures import run_of
from mmectl.web.bench_run import PATTERNS, suggested
from mmectl.web.chart import Span, chart
from mmectl.web.values import Commands, Context, Query

MOST = 6
"""Runs side by side: as many kinds of lines can be told apart."""
_BYTES = 20_000_000
_PER_DECADE, _LOWEST = 10, 1e-4  # of the histogram of a run
_KINDS = ("warm", "cold", "unknown")
_SHOWN = {  # of a run
    *("load", "requests", "failed", "throughput", "interrupted", "endpoint", "models", "seconds"),
    *("hit_rate", "cold", "reloads", "latency", "errors", "histogram", "per_second"),
}

Run = Mapping[str, Any]


def bench(commands: Commands, query: Query) -> Context:
    """The runs of the folder, those that are chosen open, the oldest of them first."""
    folder = Path.cwd()
    listed = sorted(_runs(folder), key=lambda run: str(run["started"]), reverse=True)
    names = several(query, "run")
    known = {run["file"]: run["run"] for run in listed}
    for name in names:
        if name not in known:
            raise UsageError(f"{name}: is no run in {folder}", code="unreadable_file")
    if len(names) > MOST:
        raise UsageError(f"{len(names)} runs: {MOST} at most are compared", code="bad_value")
    chosen = {run["file"]: run["run"] for run in listed[::-1] if run["file"] in names}
    compared, lines = _compared(commands, list(chosen))
    return {
        "runs": listed,
        "chosen": chosen,
        "compared": compared,
        "lines": lines,
        "loads": len({run["load"] for run in chosen.values()}) > 1,
        "charts": _charts(chosen),
        "patterns": PATTERNS,
        "save": suggested(),
    }


def several(query: Query, name: str) -> list[str]:
    """All values that a query has for a name, each once."""
    values = query.getall(name, []) if hasattr(query, "getall") else [query.get(name, "")]
    return list(dict.fromkeys(value for value in values if value))


def _runs(folder: Path) -> Iterator[Context]:
    for path in folder.glob("*.json"):
        try:
            if not path.is_file() or path.stat().st_size > _BYTES:  # a pipe would be waited for
                continue
            run = run_of(json.loads(path.read_bytes()), path.name)
        except (OSError, ValueError, RecursionError, UsageError):
            continue
        if run.keys() >= _SHOWN:
            yield {"file": path.name, "started": run.get("started"), "run": run}


def _compared(commands: Commands, names: Sequence[str]) -> tuple[list[Context], list[str]]:
    """A row for each figure, with each run beside the first; and the commands that say the same."""
    rows: dict[str, Context] = {}
    for at, name in enumerate(names[1:]):
        for row in commands("bench", "compare", "--", names[0], name)["figures"]:
            known = rows.setdefault(
                row["figure"],
                {
                    "figure": row["figure"],
                    "first": row["before"],
                    "others": [None] * len(names[1:]),
                },
            )
            known["others"][at] = row
    pairs = [commands.line("bench", "compare", "--", names[0], name) for name in names[1:]]
    return list(rows.values()), pairs


def _charts(runs: Mapping[str, Run]) -> list[Context]:
    """Latencies by how many answers had them, and the course of the runs."""
    if not runs:
        return []
    last = max((row["second"] for run in runs.values() for row in run["per_second"]), default=0)
    course = Span(0, max(last, 1), 1)
    per_second = {name: run["per_second"] for name, run in runs.items()}
    answered = {
        name: [(row["second"], row["answered"]) for row in rows]
        for name, rows in per_second.items()
    }
    times = {
        name: [(row["second"], 1e6 * row["p50"]) for row in rows if row["p50"] is not None]
        for name, rows in per_second.items()
    }
    return [
        *_distribution(runs),
        chart("Answers a second", "None", answered, course, _second),
        chart("p50 in each second", "Microseconds", times, course, _second),
    ]


def _distribution(runs: Mapping[str, Run]) -> list[Context]:
    series = {name: _shares(run["histogram"]) for name, run in runs.items()}
    places = [at for points in series.values() for at, _ in points]
    if not places:
        return []
    span = Span(min(places), max(*places, min(places) + 1), 1)
    return [chart("Latencies, share of the answers", "Percent", series, span, _latency)]


def _shares(histogram: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """(number of the bucket, % of the answers) of each bucket."""
    counts = [sum(row[kind] for kind in _KINDS) for row in histogram]
    total = sum(counts)
    return [
        (round(math.log10(row["from"] / _LOWEST) * _PER_DECADE), 100 * count / total)
        for row, count in zip(histogram, counts, strict=True)
        if total
    ]


def _second(at: float, _: Span) -> str:
    return f"{at:.0f} s"


def _latency(at: float, _: Span) -> str:
    """Where a bucket begins."""
    milliseconds = 1000 * _LOWEST * 10 ** (at / _PER_DECADE)
    return f"{milliseconds:.3g} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.3g} s"

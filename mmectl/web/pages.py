"""The pages: what each shows, from the values of commands."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmectl.base.errors import MmectlError, UsageError
from mmectl.web import rows
from mmectl.web.chart import Span, chart
from mmectl.web.questions import known
from mmectl.web.ranges import SPANS, Range
from mmectl.web.values import Commands, Data

Query = Mapping[str, str]
Context = dict[str, Any]

SORTS = ("requests", "errors", "p99", "loads", "evictions")
PAGE = 50
TAIL = 300
_RUN_BYTES = 20_000_000


class Page(NamedTuple):
    """A page of the console: `context` makes what its template shows."""

    title: str
    context: Callable[[Commands, Query], Context]


def endpoint(commands: Commands, _: Query) -> Context:
    """Endpoint, configuration, instances."""
    return {"status": commands("status"), "line": commands.line("status")}


# title of a chart -> its lines: metric, its statistic where it is not the usual one, and the label
_CHARTS = {
    "Invocations": {"Invocations": "invocations"},
    "Errors": {
        "Invocation4XXErrors": "4XX",
        "Invocation5XXErrors": "5XX",
        "InvocationModelErrors": "of the model",
    },
    "Latency of models": {"ModelLatency p50": "p50", "ModelLatency p99": "p99"},
    "Overhead": {"OverheadLatency": "average"},
    "Cache hits": {"ModelCacheHit": "share"},
    "Loading": {
        "ModelLoadingWaitTime": "wait",
        "ModelDownloadingTime": "download",
        "ModelLoadingTime": "load",
    },
    "Models in memory": {"LoadedModelCount": "models"},
    "Load": {
        "CPUUtilization": "CPU",
        "MemoryUtilization": "memory",
        "DiskUtilization": "disk",
    },
}


# of one model, as `metrics --model` has them
_MODEL_CHARTS = {
    "Invocations": {"requests": "invocations"},
    "Errors": {"errors": "errors"},
    "Latency of models": {"p50": "p50", "p99": "p99"},
    "Cold starts and evictions": {"loads": "loads", "evictions": "evictions"},
}


def traffic(commands: Commands, query: Query) -> Context:
    """Curves of SageMaker's metrics, the models by what they do, and the curves of one."""
    sort = _chosen(query, "sort", SORTS, "requests")
    chosen = Range.of(query, time.time())
    found = commands("metrics", *chosen.options)
    span = Span(found["start"], found["end"], found["period"], bool(chosen.until))
    by_model = why = of_model = None
    if not chosen.until:  # figures by model are kept up to now
        since = ("--since", chosen.since)
        by_model, why = _optional(
            commands, "metrics", "--by-model", *since, "--sort", sort, "--top", str(PAGE)
        )
        of_model = _of_model(commands, query.get("model", ""), chosen.since)
    return {
        "spans": tuple(SPANS),
        "range": chosen,
        "sorts": SORTS,
        "sort": sort,
        "variants": [
            {"name": one["variant"], "charts": _charts(one["metrics"], span)}
            for one in found["variants"]
        ],
        "by_model": by_model,
        "why": why,
        "of_model": of_model,
        "model": query.get("model", ""),
        "line": commands.line("metrics", *chosen.options),
    }


def _of_model(commands: Commands, name: str, since: str) -> Context | None:
    """The curves of one model, or why there are none; None where none was chosen."""
    if not name:
        return None
    options = (f"--model={name}", "--since", since)  # no option, whatever it is called
    found, why = _optional(commands, "metrics", *options)
    charts = []
    if found is not None:
        span = Span(found["start"], found["end"], found["period"])
        charts = [
            chart(title, found["units"][next(iter(lines))], _lines(lines, found["curves"]), span)
            for title, lines in _MODEL_CHARTS.items()
        ]
    return {
        "found": found,
        "why": why,
        "charts": charts,
        "line": commands.line("metrics", *options),
    }


def _lines(lines: Mapping[str, str], curves: Mapping[str, Any]) -> dict[str, Any]:
    return {label: curves[name] for name, label in lines.items()}


def _charts(metrics: list[Data], span: Span) -> list[Context]:
    known = {one["metric"]: one["points"]["values"] for one in metrics}
    units = {one["metric"]: one["unit"] for one in metrics}
    for one in metrics:
        known |= {f"{one['metric']} {name}": points for name, points in one["curves"].items()}
    found = []
    for title, lines in _CHARTS.items():
        there = {label: known[name] for name, label in lines.items() if name in known}
        if there:
            unit = units[next(name for name in lines if name in known).partition(" ")[0]]
            found.append(chart(title, unit, there, span))
    return found


def models(commands: Commands, query: Query) -> Context:
    """The part of the models that is seen, however many there are."""
    choice = rows.Choice.of(query)
    # a digest that nobody looked at is looked up only where somebody asks: a request for each
    details = query.get("details") == "1"
    found = commands("models", "list", "--all", *(("--details",) if details else ()))
    listed = found["models"]
    shown = rows.arranged(listed, choice)
    return {
        "found": found,
        "choice": choice,
        "shown": len(shown),
        "rows": shown[choice.first : choice.first + choice.count],
        "details": details,
        "unread": 0 if details else rows.unread(listed),
        "used": any(row["in_memory_on"] is not None for row in listed),
        "most": rows.MOST,
        "line": commands.line("models", "list", "--all"),
    }


def model(commands: Commands, query: Query) -> Context:
    """One model with its versions; None where it was `left` out by a removal."""
    name = query.get("name", "")
    if not name:
        raise UsageError("which model?", code="missing_argument")
    try:
        return {"model": commands("models", "show", "--", name), "name": name}
    except MmectlError as error:
        if error.code != "unknown_model" or not query.get("left"):
            raise
    return {"model": None, "name": name}


def try_it(_: Commands, query: Query) -> Context:
    """The form that asks a model."""
    return {"name": query.get("name", "")}


def questions(commands: Commands, query: Query) -> Context:
    """The questions with known answers of a model."""
    return {"questions": list(known(commands, query.get("name", "")))}


def logs(commands: Commands, query: Query) -> Context:
    """The last lines of the containers."""
    pattern = query.get("filter", "")
    options = ("--tail", str(TAIL), *(("--filter", pattern) if pattern else ()))
    found, why = _optional(commands, "logs", *options)
    return {
        "events": found["events"] if found else (),
        "why": why,
        "filter": pattern,
        "line": commands.line("logs", *options),
    }


def bench(commands: Commands, query: Query) -> Context:
    """The runs that `mmectl bench --save` wrote in the folder, one or two of them open."""
    folder = Path.cwd()
    runs = sorted(_runs(folder), key=lambda run: str(run["started"]), reverse=True)
    names = {run["file"] for run in runs}
    chosen = [query[key] for key in ("one", "other") if query.get(key)]
    for name in chosen:
        if name not in names:
            raise UsageError(f"{name}: is no run in {folder}", code="unreadable_file")
    compared = None
    if len(chosen) == 2:
        compared = commands("bench", "compare", "--", *chosen)
    return {
        "runs": runs,
        "one": chosen[0] if chosen else "",
        "other": chosen[1] if len(chosen) == 2 else "",
        "run": next((r["run"] for r in runs if chosen and r["file"] == chosen[0]), None),
        "compared": compared,
        "line": commands.line("bench", "--save", "run.json", "--", "FILE"),
    }


def _runs(folder: Path) -> Iterator[Context]:
    for path in folder.glob("*.json"):
        try:
            if path.stat().st_size > _RUN_BYTES:
                continue
            found = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        run = found.get("data", found) if isinstance(found, dict) else None
        if isinstance(run, dict) and "bench_version" in run:
            yield {"file": path.name, "started": run.get("started"), "run": run}


def _chosen(query: Query, name: str, known: tuple[str, ...], usual: str) -> str:
    found = query.get(name, usual)
    if found not in known:
        raise UsageError(f"{name} {found!r}: is not one of {', '.join(known)}", code="bad_value")
    return found


def _optional(commands: Commands, *arguments: str) -> tuple[Data | None, MmectlError | None]:
    """What a command says, or why it says nothing, where the page has other things to show."""
    try:
        return commands(*arguments), None
    except MmectlError as error:
        return None, error


PAGES: Mapping[str, Page] = {
    "endpoint": Page("Endpoint", endpoint),
    "traffic": Page("Traffic", traffic),
    "models": Page("Models", models),
    "try": Page("Try", try_it),
    "logs": Page("Events and logs", logs),
    "bench": Page("Bench", bench),
}
PARTS: Mapping[str, Page] = {
    "model": Page("Model", model),
    "rows": Page("Models", models),
    "questions": Page("Questions", questions),
}
"""Parts of pages that are asked for by themselves."""

"""The pages: what each shows, from the values of commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mmectl.base.errors import MmectlError, UsageError
from mmectl.web import bench, logs, rows
from mmectl.web.chart import Span, chart
from mmectl.web.questions import known
from mmectl.web.ranges import SPANS, Range
from mmectl.web.tries import try_it
from mmectl.web.values import Commands, Context, Data, Query, chosen, optional

SORTS = ("requests", "errors", "p99", "loads", "evictions")
PAGE = 50


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
    sort = chosen(query, "sort", SORTS, "requests")
    reach = Range.of(query, time.time())
    found = commands("metrics", *reach.options)
    span = Span(found["start"], found["end"], found["period"], bool(reach.until))
    by_model = why = of_model = None
    if not reach.until:  # figures by model are kept up to now
        since = ("--since", reach.since)
        by_model, why = optional(
            commands, "metrics", "--by-model", *since, "--sort", sort, "--top", str(PAGE)
        )
        of_model = _of_model(commands, query.get("model", ""), reach.since)
    return {
        "spans": tuple(SPANS),
        "range": reach,
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
        "line": commands.line("metrics", *reach.options),
    }


def _of_model(commands: Commands, name: str, since: str) -> Context | None:
    """The curves of one model, or why there are none; None where none was chosen."""
    if not name:
        return None
    options = (f"--model={name}", "--since", since)  # no option, whatever it is called
    found, why = optional(commands, "metrics", *options)
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


def questions(commands: Commands, query: Query) -> Context:
    """The questions with known answers of a model."""
    return {"questions": list(known(commands, query.get("name", "")))}


PAGES: Mapping[str, Page] = {
    "endpoint": Page("Endpoint", endpoint),
    "traffic": Page("Traffic", traffic),
    "models": Page("Models", models),
    "try": Page("Try", try_it),
    "logs": Page("Events and logs", logs.logs),
    "bench": Page("Bench", bench.bench),
}
PARTS: Mapping[str, Page] = {
    "model": Page("Model", model),
    "rows": Page("Models", models),
    "questions": Page("Questions", questions),
    "lines": Page("Lines", logs.lines),
}
"""Parts of pages that are asked for by themselves."""

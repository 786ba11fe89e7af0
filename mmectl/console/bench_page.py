"""A benchmark run as one self-contained HTML file, with plotly inlined."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from mmectl.base.text import counted
from mmectl.console.output import milliseconds

_COLOURS = {"warm": "#2a7f62", "cold": "#4f7cac", "unknown": "#7d7d7d", "failed": "#c0392b"}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
.facts { color: #555 }
"""
Plot = dict[str, Any]


def page(run: Mapping[str, Any]) -> str:
    """The page. Raises ImportError where plotly is not installed (extra `report`)."""
    from plotly.io import to_html
    from plotly.offline import get_plotlyjs

    plots = "".join(
        to_html(plot, include_plotlyjs=False, full_html=False, config={"displaylogo": False})
        for plot in plots_of(run)
    )
    title = html.escape(f"mmectl bench: {run['endpoint']}")
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<style>{_STYLE}</style><script>{get_plotlyjs()}</script>"
        f"<h1>{title}</h1>{_facts(run)}{_table(run)}{plots}{_errors(run['errors'])}</html>\n"
    )


def plots_of(run: Mapping[str, Any]) -> list[Plot]:
    """The plots as plotly figures: histogram, course, models."""
    return [_histogram(run["histogram"]), _course(run["per_second"]), _models(run["per_model"])]


def _layout(title: str, x: str, y: str, **more: Any) -> dict[str, Any]:
    return {
        "title": {"text": title},
        "xaxis": {"title": {"text": x}, **more.pop("xaxis", {})},
        "yaxis": {"title": {"text": y}, **more.pop("yaxis", {})},
        "template": "plotly_white",
        "height": 380,
        **more,
    }


def _histogram(buckets: Sequence[Mapping[str, Any]]) -> Plot:
    bars = [
        {
            "type": "bar",
            "name": kind,
            "x": [milliseconds(row["from"]) for row in buckets],
            "y": [row[kind] for row in buckets],
            "marker": {"color": _COLOURS[kind]},
        }
        for kind in ("warm", "cold", "unknown")
        if any(row[kind] for row in buckets)
    ]
    layout = _layout("Latency", "from", "answers", barmode="stack", yaxis={"type": "log"})
    return {"data": bars, "layout": layout}


def _course(seconds: Sequence[Mapping[str, Any]]) -> Plot:
    x = [row["second"] for row in seconds]

    def bars(name: str, values: list[int]) -> Plot:
        colour = {"color": _COLOURS[name]}
        return {"type": "bar", "name": name, "x": x, "y": values, "marker": colour}

    def line(name: str, key: str) -> Plot:
        y = [row[key] for row in seconds]
        return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "yaxis": "y2"}

    data = [
        bars("warm", [row["answered"] - row["cold"] for row in seconds]),
        bars("cold", [row["cold"] for row in seconds]),
        bars("failed", [row["failed"] for row in seconds]),
        line("p50, s", "p50"),
        line("slowest, s", "max"),
    ]
    second = {
        "title": {"text": "seconds"},
        "overlaying": "y",
        "side": "right",
        "rangemode": "tozero",
    }
    layout = _layout("Course", "second of the run", "answers a second", barmode="stack")
    return {"data": data, "layout": layout | {"yaxis2": second}}


def _models(models: Sequence[Mapping[str, Any]]) -> Plot:
    x = [row["model"] for row in models]
    rows = {
        "warm": [row["requests"] - row["cold"] - row["failed"] for row in models],
        "cold": [row["cold"] for row in models],
        "failed": [row["failed"] for row in models],
    }
    data = [
        {"type": "bar", "name": name, "x": x, "y": y, "marker": {"color": _COLOURS[name]}}
        for name, y in rows.items()
    ]
    few = {"showticklabels": len(models) <= 40}
    return {"data": data, "layout": _layout("Models", "", "requests", barmode="stack", xaxis=few)}


def _facts(run: Mapping[str, Any]) -> str:
    facts = [
        ("started", run["started"]),
        ("platform", run["platform"]),
        ("load", run["load"]),
        (
            "requests",
            f"{run['requests']} of {counted(run['models'], 'model')}, {run['failed']} failed",
        ),
        ("throughput", f"{run['throughput']:.1f} a second"),
        ("hit rate", "-" if run["hit_rate"] is None else f"{100 * run['hit_rate']:.1f} %"),
        ("loaded again", run["reloads"]),
    ]
    text = " · ".join(f"{name}: {html.escape(str(value))}" for name, value in facts)
    return f"<p class=facts>{text}</p>"


def _table(run: Mapping[str, Any]) -> str:
    shares = ("p50", "p90", "p95", "p99", "p999", "max")
    head = "".join(f"<th>{name}</th>" for name in ("latency", "count", *shares))
    rows = "".join(
        f"<tr><td>{kind}<td>{row['count']}"
        + "".join(f"<td>{milliseconds(row[share])}" for share in shares)
        for kind, row in run["latency"].items()
        if row["count"]
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def _errors(errors: Sequence[Mapping[str, Any]]) -> str:
    if not errors:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(e['code'])}<td>{e['count']}<td>{html.escape(e['example'])}"
        for e in errors
    )
    return f"<h2>Errors</h2><table><tr><th>code<th>count<th>for example</tr>{rows}</table>"

"""`mmectl metrics --by-model` and `--by-instance`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmectl.base.errors import MmectlError
from mmectl.console.output import Result, Table
from mmectl.traffic import by_model as core
from mmectl.traffic import course
from mmectl.traffic import metrics as usual

if TYPE_CHECKING:
    from mmectl.app import App

_RIGHT = frozenset(core.COLUMNS[1:])
_SOURCE = "the containers' /metrics, scraped by the embedded platform"
_TOGETHER = (
    "at times the model was not among those that have figures of their own; more of them: "
    "mmectl deploy --set 'endpoint.environment={MMECTL_METRICS_MODELS: \"1000\"}'"
)
_SLACK = 90.0  # seconds that figures may cover less than was asked for, unsaid


def by_model(app: App, seconds: float, variant: str | None, sort: str, top: int | None) -> Result:
    """Requests, errors, latencies, loads and evictions of each model."""
    if not app.local:
        raise _elsewhere(app)
    found = _figures(app, seconds)
    rows = core.counted(found, variant)
    if not rows:
        if app.untouched or app.sagemaker.describe_endpoint(app.endpoint_name) is None:
            raise _no_endpoint(app.endpoint_name)
        problems = _problems(found)
        text = f"no model of {app.endpoint_name} was asked or loaded in that time"
        return Result(_data(app, found, [], None, sort), [text, *problems])
    first, rest = core.ordered(rows, sort, top)
    more = [rest] if rest.requests or rest.loads or rest.evictions else []
    table = Table(core.COLUMNS, core.cells([*first, *more]), _RIGHT)
    heading = f"{app.endpoint_name}, by model, {_covered(found, seconds)}"
    view: list[str | Table] = [heading, "", table]
    problems = _problems(found)
    if problems:
        view += ["", *problems]
    return Result(_data(app, found, first, rest if more else None, sort), view)


def of_model(app: App, within: usual.Span, name: str, variant: str | None) -> Result:
    """One model over time."""
    if app.untouched:
        raise _no_endpoint(app.endpoint_name)
    target = app.inventory.target(name)
    if not app.local:
        raise _elsewhere(app, target)
    now = time.time()
    found = _figures(app, now - within.start, target)
    curves = course.curves(found, within, now, variant)
    data = {
        "endpoint": app.endpoint_name,
        "target_model": target,
        "start": within.start,
        "end": within.end,
        "period": within.period,
        "source": _SOURCE,
        "instances": found["instances"],
        "curves": curves,
        "units": dict(course.CURVES),
    }
    problems = _problems(found)
    if not all(row["known"] for row in found["steps"]):
        problems.append(_TOGETHER)
    if not any(value for points in curves.values() for _, value in points):
        text = f"{target} was not asked or loaded in that time"
        return Result(data | {"problems": problems}, [text, *problems])
    rows = [_course(name, curves[name], within) for name in course.CURVES if curves[name]]
    heading = f"{target} on {app.endpoint_name}, in periods of {within.period // 60} min"
    table = Table(("", "MOST", "LAST", "TREND"), rows, frozenset({"MOST", "LAST"}))
    view: list[str | Table] = [heading, "", table]
    if problems:
        view += ["", *problems]
    return Result(data | {"problems": problems}, view)


def _course(name: str, points: list[list[float]], within: usual.Span) -> list[str]:
    unit = course.CURVES[name]
    unit, values = ("Count" if unit == "None" else unit), [value for _, value in points]
    trend = usual.curve([(int(at), value) for at, value in points], within)
    return [name.upper(), *(usual.shown(v, unit, "Sum") for v in (max(values), values[-1])), trend]


def _figures(app: App, seconds: float, model: str | None = None) -> Mapping[str, Any]:
    from mmectl.local.client import platform

    none: Mapping[str, Any] = {"instances": [], "models": [], "steps": [], "moves": []}
    if app.untouched:
        return none
    _ = app.aws  # starts the platform where it is stopped, as every command does
    return platform.figures(app.config.state_dir, app.endpoint_name, seconds, model) or none


def _covered(found: Mapping[str, Any], seconds: float) -> str:
    """Which time the figures are of: instances may be younger, and an hour is kept."""
    least = min((row["seconds"] for row in found["instances"]), default=seconds)
    covered = min(least, seconds) if least < seconds - _SLACK else seconds
    minutes = covered / 60
    return f"last {minutes:.0f} min" if minutes >= 1 else f"last {covered:.0f} s"


def _problems(found: Mapping[str, Any]) -> list[str]:
    if not found["instances"]:
        return [
            "requests are not counted by model: no container is scraped; "
            "ask for it: mmectl deploy --set endpoint.metrics.detailed=true"
        ]
    return [
        f"{row['instance_id']} is not counted: {row['problem']}"
        for row in found["instances"]
        if row["problem"]
    ]


def _data(
    app: App,
    found: Mapping[str, Any],
    rows: list[core.Counted],
    rest: core.Counted | None,
    sort: str,
) -> dict[str, Any]:
    return {
        "endpoint": app.endpoint_name,
        "sorted_by": sort,
        "source": _SOURCE,
        "instances": found["instances"],
        "models": [row.data() for row in rows],
        "other": rest.data() if rest else None,
    }


def _no_endpoint(name: str) -> MmectlError:
    return MmectlError(f"endpoint {name} does not exist", hint="mmectl deploy", code="not_found")


def _elsewhere(app: App, target: str | None = None) -> MmectlError:
    """CloudWatch has no operation that reads OpenTelemetry metrics: only PromQL does."""
    name = app.endpoint_name
    described = app.sagemaker.describe_endpoint(name)
    if described is None:
        return _no_endpoint(name)
    config = app.sagemaker.describe_endpoint_config(str(described.get("EndpointConfigName"))) or {}
    measured = described.get("MetricsConfig") or config.get("MetricsConfig") or {}
    if not measured.get("EnableDetailedObservability"):
        return MmectlError(
            f"{name} has no figures by model: detailed observability is off, so SageMaker does not "
            "scrape its containers",
            hint="mmectl deploy --set endpoint.metrics.detailed=true",
            code="not_measured",
        )
    of_it = "" if target is None else f', "model"={json.dumps(target)}'
    query = (
        "sum by (model) (increase({"
        f'"mmectl_model_requests_total", "aws.sagemaker.endpoint.name"="{name}"{of_it}'
        "}[1h]))"
    )
    return MmectlError(
        f"figures by model cannot be read here: SageMaker scrapes the containers of {name} into "
        "CloudWatch's OpenTelemetry metrics, which no operation of its API reads, only PromQL",
        hint=f"in the CloudWatch console, Query Studio, PromQL: {query}",
        code="promql_only",
    )


# What a column shows: namespace, metric and statistic
INSTANCE = (
    ("REQUESTS", usual.INVOCATIONS, "Invocations", "Sum"),
    ("4XX", usual.INVOCATIONS, "Invocation4XXErrors", "Sum"),
    ("5XX", usual.INVOCATIONS, "Invocation5XXErrors", "Sum"),
    ("P50", usual.INVOCATIONS, "ModelLatency", "p50"),
    ("P99", usual.INVOCATIONS, "ModelLatency", "p99"),
    ("CPU", usual.INSTANCES, "CPUUtilization", "Average"),
    ("MEM", usual.INSTANCES, "MemoryUtilization", "Average"),
    ("DISK", usual.INSTANCES, "DiskUtilization", "Average"),
)
_UNITS = {"ModelLatency": "Microseconds"}


def by_instance(app: App, within: usual.Span, reach: str, variant: str | None) -> Result:
    """SageMaker's enhanced metrics: the usual ones of each instance."""
    from mmectl.aws.cloudwatch import Ask, Metrics

    name = app.endpoint_name
    found: list[dict[str, Any]] = []
    if not app.untouched:
        source = Metrics(app.aws, name)
        asks = {
            column: Ask(space, metric, stat, within.seconds)
            for column, space, metric, stat in INSTANCE
        }
        for of, instance in source.instances(variant):
            points = source.points(
                of, tuple(asks.values()), within.start, within.end, instance=instance
            )
            values = {
                column: usual.whole(ask.statistic, points[ask])
                for column, ask in asks.items()
                if points[ask]
            }
            if values:
                found.append({"variant": of, "instance_id": instance, "values": values})
    data = {
        "endpoint": name,
        "instances": [
            {"variant": row["variant"], "instance_id": row["instance_id"]}
            | {
                f"{metric}_{stat}": row["values"].get(column)
                for column, _, metric, stat in INSTANCE
            }
            for row in found
        ],
    }
    if not found:
        text = (
            f"no metrics by instance of {name} in the {reach}; if they are off: "
            "mmectl deploy --set endpoint.metrics.enhanced=true"
        )
        return Result(data, [text])
    names = ("INSTANCE", *(column for column, *_ in INSTANCE))
    rows = [[row["instance_id"], *_cells(row["values"])] for row in found]
    table = Table(names, rows, frozenset(names[1:]))
    return Result(data, [f"{name}, by instance, {reach}", "", table])


def _cells(values: Mapping[str, float]) -> list[str]:
    cells = []
    for column, _, metric, _ in INSTANCE:
        value = values.get(column)
        if metric.endswith("Utilization") and value is not None:
            cells.append(f"{value:.0f}%")
        else:
            cells.append(usual.shown(value, _UNITS.get(metric, "Count"), "Sum"))
    return cells

"""`mmectl metrics`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from mmectl.base.errors import UsageError
from mmectl.commands import candidates, metrics_by
from mmectl.commands.common import command
from mmectl.console.output import Result, Table
from mmectl.traffic import metrics as core
from mmectl.traffic.by_model import SORTS

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.aws.cloudwatch import Ask

SHORTEST = 60  # seconds of a period
_EVERY = 30.0  # seconds between two looks at AWS
_USD_PER_1000 = 0.01  # metrics of GetMetricData, https://aws.amazon.com/cloudwatch/pricing/
MOST_PERIODS = 1_440
SHOWN = 20  # models


@command(
    examples="mmectl metrics\nmmectl metrics --since 15m --watch"
    "\nmmectl metrics --since 1d --period 1h --until 2026-03-01T10:00"
    "\nmmectl metrics --by-model --top 10 --sort p99"
    "\nmmectl metrics --model resnet_18"
    "\nmmectl metrics --json | jq '.data.variants[0].metrics[0]'"
)
@click.option("--since", default="1h", metavar="SPAN", help="How far back: 15m, 2h, 3d [1h].")
@click.option("--until", metavar="TIME", help="End there: 2026-03-01T10:00 [now].")
@click.option("--period", metavar="SPAN", help="Time span of one bar of a curve: 1m, 1h.")
@click.option("--variant", help="Show this variant only.")
@click.option("--by-model", is_flag=True, help="Show a row for each model.")
@click.option("--model", help="Show the course of this model.", shell_complete=candidates.models)
@click.option("--by-instance", is_flag=True, help="Show a row for each instance.")
@click.option("--top", type=click.IntRange(1, 1000), help="Show so many models [20].")
@click.option("--sort", type=click.Choice(SORTS), help="What models are sorted by [requests].")
@click.option("--watch", is_flag=True, help="Refresh every few seconds until Ctrl-C.")
def metrics(
    app: App,
    since: str,
    until: str | None,
    period: str | None,
    variant: str | None,
    by_model: bool,
    model: str | None,
    by_instance: bool,
    top: int | None,
    sort: str | None,
    watch: bool,
) -> Result:
    """Show the endpoint's CloudWatch metrics: counts, latencies, cache hits, load.

    The same metrics on AWS and on the embedded platform. Counts and statistics
    cover the whole span; the curve shows the values over time. AWS takes money for each
    metric asked for; --watch says how much. --by-model shows what
    the containers of the embedded platform counted in the last hour at most; AWS keeps that
    where only PromQL reads it; so it is for --model, one model's requests, errors, latencies,
    loads and evictions over time. --by-instance needs endpoint.metrics.enhanced.
    """
    _check(by_model, model, by_instance, period=period, models=top or sort)
    _check_end(until, by_model=by_model, model=model, watch=watch)
    length = core.seconds(since, "--since")
    end = core.moment(until, "--until", time.time()) if until else None
    back = length if end is None else length + time.time() - end
    step = _period(length, period, back)
    reach = f"{since} up to {until}" if until else f"last {since}"
    if watch and (app.out.mode.json or not app.out.terminal):
        raise UsageError(
            "--watch needs a terminal, and is not for --json",
            hint="leave --watch out",
            code="no_terminal",
        )

    def within() -> core.Span:
        return core.span(time.time() if end is None else end, length, step, back)

    def look() -> Result:
        if by_model:
            limit = top or (None if app.out.mode.json else SHOWN)
            return metrics_by.by_model(app, length, variant, sort or SORTS[0], limit)
        if by_instance:
            return metrics_by.by_instance(app, within(), reach, variant)
        if model:
            return metrics_by.of_model(app, within(), model, variant)
        return _result(app, within(), reach, variant)

    if watch and not app.local and not (by_model or model):
        app.out.note(cost_of_watching(_EVERY, by_instance=by_instance))
    if watch:
        _watched(app, look, every=3.0 if app.local else _EVERY)
    return look()


def _check(
    by_model: bool, model: str | None, by_instance: bool, *, period: str | None, models: object
) -> None:
    """Refuse options that mean nothing together; raises UsageError."""
    if by_model + bool(model) + by_instance > 1:
        raise UsageError(
            "--by-model, --model and --by-instance are tables of their own",
            hint="give one of them",
            code="options_conflict",
        )
    if period and (by_model or by_instance):
        raise UsageError(
            "--period is for curves, which a table of models or instances has not",
            code="options_conflict",
        )
    if models and not by_model:
        raise UsageError(
            "--top and --sort are for models", hint="add: --by-model", code="options_conflict"
        )


def _check_end(until: str | None, *, by_model: bool, model: str | None, watch: bool) -> None:
    """Refuse an end where there is only now; raises UsageError."""
    if until and (by_model or model):
        raise UsageError(
            "--until is for CloudWatch's metrics: figures by model are kept up to now",
            hint="leave --until out",
            code="options_conflict",
        )
    if until and watch:
        raise UsageError(
            "--watch shows what happens now, --until what was",
            hint="leave one of them out",
            code="options_conflict",
        )


def cost_of_watching(every: float, *, by_instance: bool = False) -> str:
    """What it costs on AWS to look at one variant, or one instance, every so many seconds."""
    asks = len(metrics_by.INSTANCE if by_instance else _asks(core.span(0, 3600, None)))
    hourly = asks * 3600 / every
    whose = "an instance" if by_instance else "a variant"
    return (
        f"each look asks CloudWatch for {asks} metrics of {whose}: "
        f"{hourly:,.0f} an hour, about USD {hourly / 1000 * _USD_PER_1000:.2f}"
    )


def _watched(
    app: App, look: Callable[[], Result], every: float, wait: Callable[[float], None] = time.sleep
) -> None:
    """For ever; Ctrl-C ends it."""
    with app.out.live() as show:
        while True:
            show(look().view)
            wait(every)


def _period(length: float, text: str | None, back: float) -> int | None:
    if text is None:
        return None
    step = core.seconds(text, "--period")
    if step < SHORTEST or step % SHORTEST or length / step > MOST_PERIODS:
        raise UsageError(
            f"--period {text}: must be whole minutes, and at most {MOST_PERIODS} in the span",
            hint="for example: --period 5m",
            code="bad_value",
        )
    if step > length:
        raise UsageError(
            f"--period {text}: is longer than the whole span",
            hint=f"add: --since {text}",
            code="bad_value",
        )
    unit = core.finest(back)
    if step % unit:
        raise UsageError(
            f"--period {text}: that far back CloudWatch keeps values of {unit // 60} minutes only",
            hint=f"for example: --period {unit // 60}m",
            code="bad_value",
        )
    return int(step)


def _result(app: App, within: core.Span, reach: str, variant: str | None) -> Result:
    from mmectl.aws.cloudwatch import Metrics

    if app.untouched:
        return _nothing(app, within, reach, variant)
    source = Metrics(app.aws, app.endpoint_name)
    # AWS lists a metric up to 15 minutes after its first value, and not after two quiet weeks
    ours = app.config.settings.endpoint.variant_names
    known = [variant] if variant else sorted({*source.variants(), *ours})
    further = app.out.mode.json  # AWS takes money for each
    rows = {name: _read(source, name, within, further=further) for name in known}
    found = {name: values for name, values in rows.items() if values}
    data = {
        "endpoint": app.endpoint_name,
        "start": within.start,
        "end": within.end,
        "period": within.period,
        "variants": [
            {"variant": name, "metrics": [_data(*each) for each in values]}
            for name, values in found.items()
        ],
    }
    if not found:
        return _nothing(app, within, reach, variant)
    view: list[str | Table] = []
    for name, values in found.items():
        view += [f"{app.endpoint_name}, variant {name}, {reach}", ""]
        view.append(_table(values, within, trend=app.out.terminal))
        view.append("")
    return Result(data, view[:-1])


def _nothing(app: App, within: core.Span, reach: str, variant: str | None) -> Result:
    of = f"variant {variant} of " if variant else ""
    none = f"no metrics of {of}{app.endpoint_name} in the {reach}"
    # not of a time that is past
    text = f"{none}; send a request first: mmectl invoke" if within.end > time.time() else none
    data = {
        "endpoint": app.endpoint_name,
        "start": within.start,
        "end": within.end,
        "period": within.period,
        "variants": [],
    }
    return Result(data, [text])


Curves = Mapping[str, core.Points]
"""Points by their statistic, the one that people are shown first."""
Found = tuple[core.Metric, Mapping[str, float], Curves]


def _read(source: Any, variant: str, within: core.Span, *, further: bool) -> list[Found]:
    """What there is of each metric: statistics of the whole span, and curves."""
    whole, curves = _whole(within), _curves(within, further=further)
    points = source.points(variant, _asks(within, further=further), within.start, within.end)
    found: list[Found] = []
    for metric in core.METRICS:
        values = {
            name: core.whole(name, points[whole[metric, name]])
            for name in metric.statistics
            if points[whole[metric, name]]
        }
        if values:
            each = {ask.statistic: points[ask] for ask in curves[metric]}
            found.append((metric, values, each))
    return found


def _whole(within: core.Span) -> dict[tuple[core.Metric, str], Ask]:
    from mmectl.aws.cloudwatch import Ask

    return {
        (metric, name): Ask(metric.namespace, metric.name, name, within.seconds)
        for metric in core.METRICS
        for name in metric.statistics
    }


def _curves(within: core.Span, *, further: bool) -> dict[core.Metric, list[Ask]]:
    from mmectl.aws.cloudwatch import Ask

    return {
        metric: [
            Ask(metric.namespace, metric.name, statistic, within.period)
            for statistic in (metric.curve, *(metric.further if further else ()))
        ]
        for metric in core.METRICS
    }


def _asks(within: core.Span, *, further: bool = False) -> tuple[Ask, ...]:
    """What is asked of CloudWatch for one variant."""
    curves = (ask for each in _curves(within, further=further).values() for ask in each)
    return tuple(dict.fromkeys((*_whole(within).values(), *curves)))


def _table(found: Sequence[Found], within: core.Span, *, trend: bool) -> Table:
    names = ("METRIC", *core.COLUMNS.values(), *(("TREND",) if trend else ()))
    rows = [
        core.row(metric, values, core.curve(curves[metric.curve], within) if trend else None)
        for metric, values, curves in found
    ]
    return Table(names, rows, frozenset(core.COLUMNS.values()))


def _data(metric: core.Metric, values: Mapping[str, float], curves: Curves) -> dict[str, Any]:
    return {
        "namespace": metric.namespace,
        "metric": metric.name,
        "unit": {"Ratio": "None", "Count": "None", "Number": "None"}.get(metric.unit, metric.unit),
        "statistics": dict(values),
        "points": {
            "statistic": metric.curve,
            "values": [list(point) for point in curves[metric.curve]],
        },
        "curves": {name: [list(point) for point in points] for name, points in curves.items()},
    }

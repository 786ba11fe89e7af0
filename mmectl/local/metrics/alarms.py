"""The state of an alarm, from datapoints; pure.

Rules: "Using Amazon CloudWatch alarms" and "Configuring how CloudWatch alarms treat missing data"
(CloudWatch user guide). Actions are kept and never carried out: there is nobody to carry them out.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmectl.local.metrics.expressions import Points

OK, ALARM, INSUFFICIENT = "OK", "ALARM", "INSUFFICIENT_DATA"
COMPARISONS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
EXTRA = 2
"""Periods beyond the evaluated ones that are looked at where some of those have no data."""

Alarm = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state and why; `state` None means: as before."""

    state: str | None
    reason: str


def period_of(alarm: Alarm) -> int:
    """Seconds of one period of the alarm."""
    if "Period" in alarm:
        return max(int(alarm["Period"]), 60)
    periods = [query["MetricStat"]["Period"] for query in _metric_stats(alarm)]
    given = [query["Period"] for query in alarm["Metrics"] if "Period" in query]
    return int(max([60, *periods, *given]))


def _metric_stats(alarm: Alarm) -> list[Mapping[str, Any]]:
    return [query for query in alarm.get("Metrics", ()) if "MetricStat" in query]


def span(alarm: Alarm, now: float) -> tuple[int, int]:
    """From when until before when datapoints count: whole periods that are over."""
    period = period_of(alarm)
    end = int(now) // period * period
    return end - period * (int(alarm["EvaluationPeriods"]) + EXTRA), end


def queries(alarm: Alarm) -> list[dict[str, Any]]:
    """What to ask the metrics for, as MetricDataQueries."""
    if "Metrics" in alarm:
        return [dict(query) for query in alarm["Metrics"]]
    metric = {name: alarm[name] for name in ("Namespace", "MetricName", "Dimensions")}
    statistic = alarm.get("Statistic") or alarm["ExtendedStatistic"]
    stat = {"Metric": metric, "Period": alarm["Period"], "Stat": statistic}
    return [{"Id": "m1", "MetricStat": stat | _unit(alarm)}]


def _unit(alarm: Alarm) -> dict[str, Any]:
    return {"Unit": alarm["Unit"]} if alarm.get("Unit") else {}


def judge(alarm: Alarm, points: Points, now: float) -> Verdict:
    """The state that the datapoints of `span` give."""
    wanted = int(alarm["EvaluationPeriods"])
    enough = int(alarm.get("DatapointsToAlarm") or wanted)
    treatment = alarm.get("TreatMissingData", "missing")
    period, (_, end) = period_of(alarm), span(alarm, now)
    compare = COMPARISONS[alarm["ComparisonOperator"]][0]
    newest = [(end - time) // period for time in sorted(points, reverse=True)][:wanted]
    values = [points[end - age * period] for age in newest]
    breaching = [age for age, v in zip(newest, values, strict=True) if _breaks(compare, v, alarm)]
    missing = wanted - len(values)
    count = len(breaching) + (missing if treatment == "breaching" else 0)
    if not values:
        return _without_data(treatment, wanted)
    if count >= enough:
        return _crossed(alarm, values, ALARM)
    # what is there may already be old enough to tell, though too few
    early = len(breaching) == len(values) and max(breaching) >= enough
    if missing and early and treatment in ("missing", "ignore"):
        return _crossed(alarm, values, None if treatment == "ignore" else ALARM)
    return _crossed(alarm, values, OK)


def _breaks(compare: Callable[[float, float], bool], value: float, alarm: Alarm) -> bool:
    return compare(value, float(alarm["Threshold"]))


def _without_data(treatment: str, wanted: int) -> Verdict:
    state = {"breaching": ALARM, "notBreaching": OK, "ignore": None}.get(treatment, INSUFFICIENT)
    return Verdict(state, f"Insufficient Data: {wanted} datapoints were unknown.")


def _crossed(alarm: Alarm, values: Sequence[float], state: str | None) -> Verdict:
    """The reason in AWS's words."""
    words = COMPARISONS[alarm["ComparisonOperator"]][1]
    crossed = "were" if state != OK else "were not all"
    noun = f"{len(values)} datapoint{'s' if len(values) > 1 else ''}"
    shown = ", ".join(f"{value:g}" for value in values)
    if len(values) == 1:
        crossed = "was" if state != OK else "was not"
    threshold = float(alarm["Threshold"])
    return Verdict(
        state,
        f"Threshold Crossed: {noun} [{shown}] {crossed} {words} the threshold ({threshold:g}).",
    )

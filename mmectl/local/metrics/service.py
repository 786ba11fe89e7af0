"""CloudWatch's operations on metrics, over the store; those on alarms are `alarm_operations`'s."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from mmectl.local.control.validate import NotFiniteError, check, unknown_operation
from mmectl.local.metrics.alarm_operations import AlarmOperations
from mmectl.local.metrics.dashboards import DashboardOperations
from mmectl.local.metrics.paging import page
from mmectl.local.metrics.query import (
    Questions,
    bucketed,
    check_period,
    check_span,
    check_statistic,
    exclusive,
    failed_validation,
    invalid,
    matching,
    not_finite,
)
from mmectl.local.metrics.series import Series, dimensions_of
from mmectl.local.metrics.statistics import Statistics
from mmectl.local.metrics.store import Store
from mmectl.local.metrics.watch import Watch
from mmectl.local.values import AwsError

Params = Mapping[str, Any]
Answer = dict[str, Any]

PAGE = 500  # metrics
DATAPOINTS = 100_800  # of one GetMetricData answer
MOST_DATAPOINTS = 1_440  # of GetMetricStatistics
MOST_SERIES = 20_000
PAST, FUTURE = 14 * 86_400, 2 * 3_600  # seconds that a datapoint may lie off
RECENT = 3 * 3_600
LARGEST = 2.0**360


class CloudWatch:
    """Answers by operation; parameters and answers carry times in epoch seconds."""

    def __init__(
        self, store: Store, watch: Watch, *, region: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._clock = store, clock
        self._operations: Mapping[str, Callable[[Params], Awaitable[Answer]]] = {
            "GetMetricData": self._get_data,
            "GetMetricStatistics": self._get_statistics,
            "ListMetrics": self._list,
            "PutMetricData": self._put,
            **AlarmOperations(watch, region=region).operations,
            **DashboardOperations(store, region=region, clock=clock).operations,
        }

    def has(self, operation: str) -> bool:
        """Whether it is answered here."""
        return operation in self._operations

    async def call(self, operation: str, params: dict[str, Any]) -> Answer:
        """Answer one operation; raises AwsError."""
        handler = self._operations.get(operation)
        if handler is None:
            raise unknown_operation(operation)
        try:
            known = check("cloudwatch", operation, params, "ValidationError")
        except NotFiniteError as error:
            raise not_finite(error) from None
        answer = await handler(known)
        return {name: value for name, value in answer.items() if value is not None}

    # reading

    async def _get_data(self, params: Params) -> Answer:
        queries, start, end = params["MetricDataQueries"], params["StartTime"], params["EndTime"]
        if int(start) > int(end):
            raise failed_validation("The parameter EndTime must be greater than StartTime.")
        if int(start) == int(end):
            raise failed_validation("The parameter StartTime must not equal parameter EndTime.")
        questions = Questions(self._store, queries, start, end)
        found = await questions.all()
        descending = params.get("ScanBy") != "TimestampAscending"
        points = [
            (key, time, value)
            for key, values in found.items()
            for time, value in sorted(values.items(), reverse=descending)
        ]
        most = params.get("MaxDatapoints", DATAPOINTS)
        shown, token = page(points, params.get("NextToken"), most)
        rows: dict[str, Answer] = {} if token or "NextToken" in params else _empty(found, questions)
        for key, moment, value in shown:
            row = rows.setdefault(key, _row(key, questions))
            row["Timestamps"].append(moment)
            row["Values"].append(value)
        if token is not None:
            rows[shown[-1][0]]["StatusCode"] = "PartialData"
        return {"MetricDataResults": list(rows.values()), "Messages": [], "NextToken": token}

    async def _get_statistics(self, params: Params) -> Answer:
        names = params.get("Statistics", []) + params.get("ExtendedStatistics", [])
        if not names or ("Statistics" in params and "ExtendedStatistics" in params):
            raise AwsError(
                "InvalidParameterCombinationException",
                "Must specify either Statistics or ExtendedStatistics",
            )
        if int(params["StartTime"]) >= int(params["EndTime"]):
            raise invalid("The parameter StartTime must be less than the parameter EndTime.")
        for name in names:
            check_statistic(name)
        period = check_period(params["Period"])
        first, last = check_span(params["StartTime"], params["EndTime"], period)
        if (last - first) // period > MOST_DATAPOINTS:
            raise AwsError(
                "InvalidParameterCombinationException",
                f"You have requested up to {(last - first) // period} datapoints, which exceeds "
                f"the limit of {MOST_DATAPOINTS}.",
            )
        series = await matching(
            self._store,
            params["Namespace"],
            params["MetricName"],
            dimensions_of(params.get("Dimensions", ())),
            params.get("Unit"),
        )
        read = await self._store.read(series, first, last, values="ExtendedStatistics" in params)

        def worked_out() -> list[Answer]:
            found = bucketed(read, first, period).items()
            return [_datapoint(time, unit, part, params) for time, (unit, part) in found]

        rows = await asyncio.to_thread(worked_out)
        return {"Label": params["MetricName"], "Datapoints": rows}

    async def _list(self, params: Params) -> Answer:
        now = self._clock()
        since = now - (RECENT if "RecentlyActive" in params else PAST)
        wanted = [(item["Name"], item.get("Value")) for item in params.get("Dimensions", ())]
        found = dict.fromkeys(
            series._replace(unit="None")
            for series in await self._store.series(int(since))
            if params.get("Namespace", series.namespace) == series.namespace
            and params.get("MetricName", series.name) == series.name
            and all(_has(series, name, value) for name, value in wanted)
        )
        rows, token = page(list(found), params.get("NextToken"), PAGE)
        return {"Metrics": [series.row() for series in rows], "NextToken": token}

    # writing

    async def _put(self, params: Params) -> Answer:
        if params["Namespace"].startswith("AWS/"):
            raise invalid('The value AWS/ for parameter Namespace is invalid: "AWS/" is reserved.')
        given = _numbered(params.get("MetricData", ()), "MetricData")
        for number, entity in enumerate(params.get("EntityMetricData", ()), 1):
            path = f"EntityMetricData.member.{number}.MetricData"
            given += _numbered(entity.get("MetricData", ()), path)
        now = self._clock()
        if len(given) > 1000:
            raise invalid("The collection MetricData must not have a size greater than 1000.")
        read = [_datum(params["Namespace"], item, path, now) for path, item in given]
        known = {*await self._store.series(), *(point[0] for point, _ in read)}
        if len(known) > MOST_SERIES:
            raise AwsError("LimitExceeded", f"There are more than {MOST_SERIES} metrics.")
        await self._store.write(read)
        return {}


def _empty(found: Iterable[str], questions: Questions) -> dict[str, Answer]:
    return {key: _row(key, questions) for key in found}


def _row(key: str, questions: Questions) -> Answer:
    label = questions.label(key)
    return {"Id": key, "Label": label, "Timestamps": [], "Values": [], "StatusCode": "Complete"}


def _has(series: Series, name: str, value: str | None) -> bool:
    found = dict(series.dimensions).get(name)
    return found is not None and value in (None, found)


def _datapoint(moment: int, unit: str, part: Statistics, params: Params) -> Answer:
    plain = {name: part.of(name) for name in params.get("Statistics", ())}
    extended = {name: part.of(name) for name in params.get("ExtendedStatistics", ())}
    known = {name: value for name, value in extended.items() if value is not None}
    return {"Timestamp": moment, "Unit": unit, **plain, "ExtendedStatistics": known}


def _numbered(items: Iterable[Params], path: str) -> list[tuple[str, Params]]:
    """Each item with its place as messages name it."""
    return [(f"{path}.member.{number}", item) for number, item in enumerate(items, 1)]


def _datum(
    namespace: str, item: Params, path: str, now: float
) -> tuple[tuple[Series, int], Statistics]:
    """A MetricDatum as a point and what to count into it."""
    when = item.get("Timestamp", now)
    if not now - PAST <= when <= now + FUTURE:
        text = datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="seconds")
        raise invalid(
            f"The parameter {path}.Timestamp must lie within two weeks before and two "
            f"hours after now, which is {text}."
        )
    dimensions = dimensions_of(item.get("Dimensions", ()))
    series = Series(namespace, item["MetricName"], dimensions, item.get("Unit", "None"))
    return (series, int(when) // 60 * 60), _given(item, path)


def _given(item: Params, path: str) -> Statistics:
    _check_ways([name for name in ("Value", "Values", "StatisticValues") if name in item], path)
    if "StatisticValues" in item:
        return _set(item["StatisticValues"], f"{path}.StatisticValues")
    values = [item["Value"]] if "Value" in item else item["Values"]
    counts = item.get("Counts", [1.0] * len(values))
    if len(values) != len(counts):
        raise invalid(f"The parameters {path}.Values and {path}.Counts must be of the same size.")
    found = Statistics()
    for number, (value, count) in enumerate(zip(values, counts, strict=True), 1):
        name = f"{path}.Value" if "Value" in item else f"{path}.Values.member.{number}"
        _check_number(value, name)
        _check_number(count, f"{path}.Counts.member.{number}", above=0.0)
        found.add(float(value), float(count))
    return found


def _check_ways(ways: list[str], path: str) -> None:
    """Refuse a datum that gives its value in more than one way, or in none."""
    if not ways:
        raise AwsError(
            "InvalidParameterCombinationException",
            f"At least one of the parameters {path}.Value, {path}.Values and "
            f"{path}.StatisticValues must be specified.",
        )
    if len(ways) > 1:
        text = exclusive(f"{path}.{ways[0]}", f"{path}.{ways[1]}")
        if ways == ["Value", "Values"]:
            raise invalid(text)
        raise AwsError("InvalidParameterCombinationException", text)


def _set(part: Params, path: str) -> Statistics:
    """A statistic set of a user."""
    names = ("SampleCount", "Sum", "Minimum", "Maximum")
    for name in names:
        _check_number(part[name], f"{path}.{name}", above=0.0 if name == "SampleCount" else None)
    if part["Minimum"] > part["Maximum"]:
        raise invalid(f"The parameter {path}.Maximum must be greater than {path}.Minimum.")
    return Statistics(*(part[name] for name in names))


def _check_number(value: float, path: str, above: float | None = None) -> None:
    if abs(value) > LARGEST or (above is not None and value <= above):
        raise invalid(f"The value {value:g} for parameter {path} is invalid.")

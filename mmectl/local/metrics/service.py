"""CloudWatch's operations on metrics, over the store; those on alarms are `alarm_operations`'s."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from mmectl.local.control.validate import check, unknown_operation
from mmectl.local.metrics.alarm_operations import AlarmOperations
from mmectl.local.metrics.paging import page
from mmectl.local.metrics.query import (
    Questions,
    bucketed,
    check_period,
    check_span,
    check_statistic,
    invalid,
    matching,
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
        }

    def has(self, operation: str) -> bool:
        """Whether it is answered here."""
        return operation in self._operations

    async def call(self, operation: str, params: dict[str, Any]) -> Answer:
        """Answer one operation; raises AwsError."""
        handler = self._operations.get(operation)
        if handler is None:
            raise unknown_operation(operation)
        known = check("cloudwatch", operation, params, "ValidationError")
        answer = await handler(known)
        return {name: value for name, value in answer.items() if value is not None}

    # reading

    async def _get_data(self, params: Params) -> Answer:
        queries, start, end = params["MetricDataQueries"], params["StartTime"], params["EndTime"]
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
        if not names:
            raise AwsError(
                "InvalidParameterCombinationException",
                "At least one of Statistics and ExtendedStatistics must be specified.",
            )
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
        given = list(params.get("MetricData", ()))
        given += [
            item
            for entity in params.get("EntityMetricData", ())
            for item in entity.get("MetricData", ())
        ]
        now = self._clock()
        if len(given) > 1000:
            raise invalid("The collection MetricData must not have a size greater than 1000.")
        read = [_datum(params["Namespace"], item, now) for item in given]
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


def _datum(namespace: str, item: Params, now: float) -> tuple[tuple[Series, int], Statistics]:
    """A MetricDatum as a point and what to count into it."""
    when = item.get("Timestamp", now)
    if not now - PAST <= when <= now + FUTURE:
        text = datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="seconds")
        raise invalid(
            "The parameter MetricData.member.1.Timestamp must lie within two weeks before and two "
            f"hours after now, which is {text}."
        )
    dimensions = dimensions_of(item.get("Dimensions", ()))
    series = Series(namespace, item["MetricName"], dimensions, item.get("Unit", "None"))
    return (series, int(when) // 60 * 60), _given(item)


def _given(item: Params) -> Statistics:
    ways = [name for name in ("Value", "Values", "StatisticValues") if name in item]
    if len(ways) != 1:
        raise AwsError(
            "InvalidParameterCombinationException",
            "Exactly one of Value, Values and StatisticValues must be specified.",
        )
    found = Statistics()
    if ways == ["StatisticValues"]:
        part = item["StatisticValues"]
        numbers = (part["SampleCount"], part["Sum"], part["Minimum"], part["Maximum"])
        if part["SampleCount"] <= 0 or not all(map(_fits, numbers)):
            raise invalid("The StatisticValues are out of range.")
        found = Statistics(*numbers)
    values = [item["Value"]] if ways == ["Value"] else item.get("Values", [])
    counts = item.get("Counts", [1.0] * len(values)) if values else []
    if len(values) != len(counts) or any(count <= 0 for count in counts):
        raise invalid("Counts must be as many as Values, and positive.")
    for value, count in zip(values, counts, strict=True):
        if not (_fits(value) and _fits(count)):
            raise invalid(f"The value {value} is out of range.")
        found.add(float(value), float(count))
    return found


def _fits(value: float) -> bool:
    return abs(value) <= LARGEST  # not a number is neither larger nor smaller

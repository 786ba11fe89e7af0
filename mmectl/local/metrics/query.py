"""Questions to the metrics: periods, statistics and expressions, from datapoints to answers.

Rules of GetMetricData and GetMetricStatistics (CloudWatch API reference).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmectl.local.control.validate import NotFiniteError
from mmectl.local.metrics import expressions
from mmectl.local.metrics.expressions import Points, UnsupportedError
from mmectl.local.metrics.series import Series, dimensions_of
from mmectl.local.metrics.statistics import Statistics, is_statistic
from mmectl.local.metrics.store import Store
from mmectl.local.values import ACCOUNT, AwsError

MOST_BUCKETS = 200_000
"""Periods that one question may span."""

MOST_QUERIES = 500
MOST_NESTED = 50

Params = Mapping[str, Any]
Query = Mapping[str, Any]


def invalid(message: str) -> AwsError:
    """A value that is refused."""
    return AwsError("InvalidParameterValueException", message)


def not_finite(error: NotFiniteError) -> AwsError:
    """The refusal of NaN and infinities, with the place as CloudWatch writes it."""
    parts = [part for part in error.path.split(".") if part != "member"]
    named = [f"member.{p}" if p.isdigit() else p[:1].upper() + p[1:] for p in parts]
    return invalid(f"The value {error.word} for parameter {'.'.join(named)} is invalid.")


def failed_validation(message: str) -> AwsError:
    """A request that contradicts itself."""
    return AwsError("ValidationError", message)


def check_period(period: int) -> int:
    """Refuse a period that CloudWatch does not have."""
    if period in (1, 5, 10, 20, 30) or (period > 0 and period % 60 == 0):
        return max(period, 60)  # there are no datapoints below a minute
    raise invalid(f"Period must be 1, 5, 10, 20, 30 or a multiple of 60 seconds; it is {period}.")


def check_statistic(name: str) -> str:
    """Refuse a statistic that is not known here."""
    if is_statistic(name):
        return name
    raise invalid(
        f"The statistic {name!r} is not supported by the embedded platform; it has SampleCount, "
        "Average, Sum, Minimum, Maximum and percentiles such as p99."
    )


def check_span(start: float, end: float, period: int) -> tuple[int, int]:
    """The span in whole periods from its first minute on: first and before the last second."""
    first = int(start) // 60 * 60
    last = first + -(-(int(end) - first) // period) * period
    if (last - first) // period > MOST_BUCKETS:
        raise invalid("The time span has too many periods.")
    return first, last


def bucketed(
    rows: Iterable[tuple[Series, int, Statistics]], first: int, period: int
) -> dict[int, tuple[str, Statistics]]:
    """Unit and statistics of each period that has any, by its beginning."""
    found: dict[int, tuple[str, Statistics]] = {}
    for series, minute, statistics in rows:
        start = minute - (minute - first) % period
        if start not in found:
            found[start] = (series.unit, Statistics())
        found[start][1].merge(statistics)
    return found


async def matching(
    store: Store, namespace: str, name: str, dimensions: Any, unit: str | None
) -> list[Series]:
    """The series of a metric: one, or one for each unit it was written in."""
    if unit is not None:
        return [Series(namespace, name, dimensions, unit)]
    wanted = (namespace, name, dimensions)
    return [series for series in await store.series() if series[:3] == wanted]


async def points_of(store: Store, stat: Params, start: float, end: float) -> Points:
    """The datapoints of a MetricStat."""
    metric, period = stat["Metric"], check_period(stat["Period"])
    statistic = check_statistic(stat["Stat"])
    first, last = check_span(start, end, period)
    if "Namespace" not in metric or "MetricName" not in metric:
        raise invalid("A Metric needs Namespace and MetricName.")
    series = await matching(
        store,
        metric["Namespace"],
        metric["MetricName"],
        dimensions_of(metric.get("Dimensions", ())),
        stat.get("Unit"),
    )
    rows = await store.read(series, first, last, values=statistic.startswith("p"))

    def worked_out() -> Points:
        found = bucketed(rows, first, period)
        values = ((time, whole.of(statistic)) for time, (_, whole) in sorted(found.items()))
        return {time: value for time, value in values if value is not None}

    return await asyncio.to_thread(worked_out)  # fifteen days are a lot of minutes


class Questions:
    """The queries of one GetMetricData call, or of one alarm; each is answered once."""

    def __init__(self, store: Store, queries: Sequence[Query], start: float, end: float) -> None:
        self._store, self._start, self._end = store, start, end
        self._queries = {query["Id"]: query for query in queries}
        self._answers: dict[str, Points] = {}
        check_queries(queries, "MetricDataQueries")

    async def all(self) -> dict[str, Points]:
        """Datapoints by id of every query whose ReturnData is not false."""
        wanted = [key for key, query in self._queries.items() if query.get("ReturnData", True)]
        return {key: await self._answer(key, ()) for key in wanted}

    async def _answer(self, key: str, above: tuple[str, ...]) -> Points:
        if key in above or len(above) > MOST_NESTED:
            why = "itself" if key in above else "too many others in a row"
            raise invalid(f"The expression of '{key}' refers to {why}.")
        if key not in self._answers:
            query = self._queries[key]
            if "MetricStat" in query:
                found = await points_of(self._store, query["MetricStat"], self._start, self._end)
            else:
                found = await self._computed(key, query, (*above, key))
            self._answers[key] = found
        return self._answers[key]

    async def _computed(self, key: str, query: Query, above: tuple[str, ...]) -> Points:
        text = query["Expression"]
        metrics = [name for name, other in self._queries.items() if "MetricStat" in other]
        try:
            used = expressions.names(text)
            if "METRICS" in text:
                used |= set(metrics)
            known = {
                name: await self._answer(name, above) for name in self._queries if name in used
            }
            times = self._times(query)
            return await asyncio.to_thread(expressions.evaluate, text, known, metrics, times)
        except UnsupportedError as error:
            raise invalid(f"Error in expression '{key}' [{text}]: {error}.") from None

    def _times(self, query: Query) -> range:
        """The periods that an expression may fill."""
        stats = [other["MetricStat"] for other in self._queries.values() if "MetricStat" in other]
        periods = [check_period(stat["Period"]) for stat in stats]
        period = check_period(query.get("Period") or max(periods, default=60))
        first, last = check_span(self._start, self._end, period)
        return range(first, last, period)

    def label(self, key: str) -> str:
        """What the answer is called."""
        query = self._queries[key]
        if query.get("Label"):
            return str(query["Label"])
        return str(query["MetricStat"]["Metric"]["MetricName"]) if "MetricStat" in query else key


def check_queries(queries: Sequence[Query], path: str) -> None:
    """Refuse queries that could never be answered; `path` names their list."""
    if len(queries) > MOST_QUERIES:
        raise invalid(f"The collection {path} has more than {MOST_QUERIES} items.")
    if len({query["Id"] for query in queries}) < len(queries):
        raise invalid(f"The values for parameter id in {path} are not unique.")
    for number, query in enumerate(queries, 1):
        _check(query, f"{path}.member.{number}")


def _check(query: Query, path: str) -> None:
    if "MetricStat" not in query and "Expression" not in query:
        raise failed_validation(f"The parameter {path}.MetricStat is required.\n")
    if "MetricStat" in query and "Expression" in query:
        raise failed_validation(exclusive(f"{path}.MetricStat", f"{path}.Expression"))
    if query.get("AccountId", ACCOUNT) != ACCOUNT:
        raise invalid("The embedded platform has no metrics of other accounts.")


def exclusive(one: str, other: str) -> str:
    """What AWS says of two parameters of which only one may be there."""
    return f"The parameters {one} and {other} are mutually exclusive and you have specified both."

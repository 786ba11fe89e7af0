"""CloudWatch's operations on alarms: validated requests and answers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any

from mmectl.base import partitions
from mmectl.local.control.validate import failed, refusal
from mmectl.local.metrics import alarms, query
from mmectl.local.metrics.paging import page
from mmectl.local.metrics.series import dimensions_of
from mmectl.local.metrics.statistics import is_percentile
from mmectl.local.metrics.watch import HISTORY, Watch
from mmectl.local.values import ACCOUNT, AwsError

Params = Mapping[str, Any]
Answer = dict[str, Any]

MOST = 5_000
_TAGS = "Tags"  # of a record, not of what describes it
_PAGE = 100


class AlarmOperations:
    """See the module."""

    def __init__(self, watch: Watch, *, region: str) -> None:
        self._watch, self._region = watch, region
        self.operations = {
            "PutMetricAlarm": self._put,
            "DescribeAlarms": self._describe,
            "DescribeAlarmsForMetric": self._describe_for_metric,
            "DescribeAlarmHistory": self._history,
            "DeleteAlarms": self._delete,
            "SetAlarmState": self._set_state,
            "EnableAlarmActions": self._enable,
            "DisableAlarmActions": self._disable,
            "ListTagsForResource": self._tags,
            "TagResource": self._tag,
            "UntagResource": self._untag,
        }

    async def _put(self, params: Params) -> Answer:
        record = {name: value for name, value in params.items() if name != "Tags"}
        _check(record)
        old = self._watch.records.get(record["AlarmName"])
        tags = old.get(_TAGS, []) if old is not None else params.get("Tags", [])
        if len(self._watch.records) >= MOST and record["AlarmName"] not in self._watch.records:
            raise AwsError("LimitExceeded", "The maximum number of alarms has been reached.")
        partition = partitions.of(self._region).name
        arn = f"arn:{partition}:cloudwatch:{self._region}:{ACCOUNT}:alarm:{record['AlarmName']}"
        lists: Answer = {"OKActions": [], "AlarmActions": [], "InsufficientDataActions": []}
        single: Answer = {} if "Metrics" in record else {"Dimensions": []}
        fixed: Answer = {"ActionsEnabled": True, "AlarmArn": arn}
        await self._watch.put({**fixed, **lists, **single, **record, _TAGS: tags})
        return {}

    async def _describe(self, params: Params) -> Answer:
        records = [self._watch.records[name] for name in sorted(self._watch.records)]
        if "AlarmNames" in params and "AlarmNamePrefix" in params:
            raise _combination("AlarmNames and AlarmNamePrefix cannot both be specified.")
        if "MetricAlarm" not in params.get("AlarmTypes", ["MetricAlarm"]):
            records = []
        found = [record for record in records if _selected(record, params)]
        rows, token = page(found, params.get("NextToken"), params.get("MaxRecords", _PAGE))
        shown = [_shown(row) for row in rows]
        return {"MetricAlarms": shown, "CompositeAlarms": [], "NextToken": token}

    async def _describe_for_metric(self, params: Params) -> Answer:
        wanted = dimensions_of(params.get("Dimensions", ()))
        same = ("MetricName", "Namespace", "Period", "Statistic", "ExtendedStatistic", "Unit")
        found = [
            record
            for record in self._watch.records.values()
            if all(record.get(name) == params[name] for name in same if name in params)
            and dimensions_of(record.get("Dimensions", ())) == wanted
        ]
        return {"MetricAlarms": [_shown(record) for record in found]}

    async def _history(self, params: Params) -> Answer:
        """Changes of state alone, of alarms that are there, the last ones of each."""
        wanted = params.get("AlarmName")
        kind = params.get("HistoryItemType", "StateUpdate")
        if "MetricAlarm" not in params.get("AlarmTypes", ["MetricAlarm"]) or kind != "StateUpdate":
            return {"AlarmHistoryItems": [], "NextToken": None}
        start, end = params.get("StartDate", 0.0), params.get("EndDate", math.inf)
        items = [
            item
            for name, record in self._watch.records.items()
            for item in record.get(HISTORY, ())
            if wanted in (None, name) and start <= item["Timestamp"] <= end
        ]
        items.sort(key=lambda item: item["Timestamp"])
        if params.get("ScanBy", "TimestampDescending") == "TimestampDescending":
            items.reverse()  # those of one moment, too
        rows, token = page(items, params.get("NextToken"), params.get("MaxRecords", _PAGE))
        return {"AlarmHistoryItems": rows, "NextToken": token}

    async def _delete(self, params: Params) -> Answer:
        await self._watch.remove(list(params["AlarmNames"]))
        return {}

    async def _tags(self, params: Params) -> Answer:
        return {"Tags": self._by_arn(params).get(_TAGS, [])}

    async def _tag(self, params: Params) -> Answer:
        record = self._by_arn(params)
        named = {tag["Key"]: tag for tag in (*record.get(_TAGS, ()), *params["Tags"])}
        await self._watch.change(record["AlarmName"], **{_TAGS: list(named.values())})
        return {}

    async def _untag(self, params: Params) -> Answer:
        record = self._by_arn(params)
        kept = [tag for tag in record.get(_TAGS, ()) if tag["Key"] not in params["TagKeys"]]
        await self._watch.change(record["AlarmName"], **{_TAGS: kept})
        return {}

    def _by_arn(self, params: Params) -> Params:
        wanted = params["ResourceARN"]
        for record in self._watch.records.values():
            if record["AlarmArn"] == wanted:
                return record
        raise AwsError("ResourceNotFoundException", f"{wanted} does not exist.", 404)

    async def _set_state(self, params: Params) -> Answer:
        state, reason = params["StateValue"], params["StateReason"]
        await self._watch.set_state(
            params["AlarmName"], state, reason, params.get("StateReasonData")
        )
        return {}

    async def _enable(self, params: Params) -> Answer:
        return await self._switch(params, enabled=True)

    async def _disable(self, params: Params) -> Answer:
        return await self._switch(params, enabled=False)

    async def _switch(self, params: Params, *, enabled: bool) -> Answer:
        known = [name for name in params["AlarmNames"] if name in self._watch.records]
        await asyncio.gather(*(self._watch.change(n, ActionsEnabled=enabled) for n in known))
        return {}


def _shown(record: Params) -> Answer:
    return {name: value for name, value in record.items() if name not in (_TAGS, HISTORY)}


def _selected(record: Params, params: Params) -> bool:
    return (
        ("AlarmNames" not in params or record["AlarmName"] in params["AlarmNames"])
        and record["AlarmName"].startswith(params.get("AlarmNamePrefix", ""))
        and params.get("StateValue", record["StateValue"]) == record["StateValue"]
        and any(
            action.startswith(params.get("ActionPrefix", ""))
            for action in [*record["AlarmActions"], *record["OKActions"], ""]
            if "ActionPrefix" not in params or action
        )
    )


def _combination(message: str) -> AwsError:
    return AwsError("InvalidParameterCombinationException", message)


_OPTIONS = {
    "TreatMissingData": alarms.TREATMENTS,
    "EvaluateLowSampleCountPercentile": ("evaluate", "ignore"),
}
_ELSEWHERE = (
    "ThresholdMetricId",
    "EvaluationWindow",
    "WarmUpConfiguration",
    "EvaluationCriteria",
    "EvaluationInterval",
    "ActionConfiguration",
)
"""What AWS's alarms can do besides, and these cannot."""


def _check(record: Params) -> None:
    """Refuse an alarm that could never be judged."""
    for name in _ELSEWHERE:
        if name in record:
            raise query.invalid(f"{name} is not supported by the embedded platform.")
    _check_needed(record)
    if record["ComparisonOperator"] not in alarms.COMPARISONS:
        raise query.invalid(
            "The embedded platform has alarms with a static Threshold only, and no anomaly "
            "detection."
        )
    for name, options in _OPTIONS.items():
        if record.get(name, options[0]) not in options:
            raise query.failed_validation(
                f"Option {record[name]} is not supported. Supported options for parameter {name} "
                f"are {', '.join(options[:-1])} and {options[-1]}."
            )
    if record.get("DatapointsToAlarm", 1) > record["EvaluationPeriods"]:
        raise query.invalid("DatapointsToAlarm must not exceed EvaluationPeriods.")
    if "Metrics" in record:
        _check_metrics(record)
    else:
        _check_metric(record)
    if alarms.period_of(record) * record["EvaluationPeriods"] > 7 * 86_400:
        raise query.invalid("Period times EvaluationPeriods must not exceed seven days.")


def _check_needed(record: Params) -> None:
    """The service model has these as optional, for other kinds of alarms' sake."""
    problems = [
        failed(None, name[:1].lower() + name[1:], "Member must not be null")
        for name in ("ComparisonOperator", "EvaluationPeriods", "Threshold")
        if name not in record
    ]
    if problems:
        raise refusal(problems, "ValidationError")


def _check_metrics(record: Params) -> None:
    if "MetricName" in record or "Namespace" in record:
        raise _combination("Metrics and MetricName cannot both be specified.")
    query.check_queries(record["Metrics"], "Metrics")
    returned = [item for item in record["Metrics"] if item.get("ReturnData", True)]
    if len(returned) != 1:
        raise query.invalid("Exactly one element of the metrics list should return data.")
    for item in record["Metrics"]:
        if "MetricStat" in item:
            query.check_period(item["MetricStat"]["Period"])
            query.check_statistic(item["MetricStat"]["Stat"])


def _check_metric(record: Params) -> None:
    lacking = [name for name in ("MetricName", "Namespace", "Period") if name not in record]
    if lacking:
        raise _combination(f"The parameter {lacking[0]} is required.")
    if ("Statistic" in record) == ("ExtendedStatistic" in record):
        raise _combination("Must specify either Statistic or ExtendedStatistic")
    query.check_period(record["Period"])
    if "ExtendedStatistic" in record and not is_percentile(record["ExtendedStatistic"]):
        raise query.invalid(
            f"The value {record['ExtendedStatistic']} for parameter ExtendedStatistic is not "
            "supported."
        )

"""Alarms: AWS's table of missing data, and their life with a clock that is turned."""

from __future__ import annotations

import json

import pytest
from fakes.metrics import NOON, bench

from mmectl.local.metrics.alarms import judge
from mmectl.local.metrics.series import INSTANCES, INVOCATIONS, of_variant
from mmectl.local.metrics.watch import KEPT
from mmectl.local.values import AwsError
from mmectl.spec.alarms import RULES, requests

ALARM = {
    "AlarmName": "errors",
    "Namespace": "Mine",
    "MetricName": "Errors",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 0.0,
    "ComparisonOperator": "GreaterThanThreshold",
}
# newest last: 0 is fine, X breaches, - is missing; what each treatment gives (AWS's user guide,
# "Configuring how CloudWatch alarms treat missing data"); None keeps the state
MISSING = [
    ("0-X-X", 3, 3, ("OK", "OK", "OK", "OK")),
    ("-----", 3, 3, ("ALARM", "OK", None, "INSUFFICIENT_DATA")),
    ("0XX-X", 3, 3, ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("--X--", 3, 3, ("ALARM", "OK", None, "ALARM")),
    ("----0", 3, 2, ("ALARM", "OK", "OK", "OK")),
    ("---X-", 3, 2, ("ALARM", "OK", None, "ALARM")),
    ("0-X-X", 3, 2, ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("00X0X", 3, 2, ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("0-X--", 3, 2, ("ALARM", "OK", "OK", "OK")),
]


@pytest.mark.parametrize(("shape", "periods", "enough", "states"), MISSING)
def test_missing_data(shape, periods, enough, states):
    points = {
        NOON - 60 * (len(shape) - n): float(mark == "X")
        for n, mark in enumerate(shape)
        if mark != "-"
    }
    alarm = {**ALARM, "EvaluationPeriods": periods, "DatapointsToAlarm": enough}
    ways = ("breaching", "notBreaching", "ignore", "missing")
    found = [judge({**alarm, "TreatMissingData": way}, points, NOON + 30).state for way in ways]
    assert found == list(states)


async def state(aws, name="errors"):
    found = await aws("DescribeAlarms", AlarmNames=[name])
    return found["MetricAlarms"][0]["StateValue"]


async def test_an_alarm_goes_off_and_back(tmp_path):
    async with bench(tmp_path) as aws:
        await aws("PutMetricAlarm", **ALARM, TreatMissingData="notBreaching")
        assert await state(aws) == "OK"
        await aws.put("Errors", 1, 1)
        aws.clock.now += 60
        await aws.watch.judge_all()
        assert await state(aws) == "ALARM"
        assert await aws.watch.state("errors") == "ALARM"
        described = (await aws("DescribeAlarms"))["MetricAlarms"][0]
        assert described["StateReason"] == (
            "Threshold Crossed: 1 datapoint [2] was greater than the threshold (0)."
        )
        assert described["StateTransitionedTimestamp"] == NOON + 60
        aws.clock.now += 240
        await aws.watch.judge_all()
        assert await state(aws) == "OK"
        assert await aws.watch.state("nobody") is None


async def test_a_state_that_was_set_holds_until_it_is_judged(tmp_path):
    async with bench(tmp_path) as aws:
        await aws("PutMetricAlarm", **ALARM, TreatMissingData="notBreaching")
        await aws("SetAlarmState", AlarmName="errors", StateValue="ALARM", StateReason="try")
        assert await aws.watch.state("errors") == "ALARM"
        await aws.watch.judge_all()
        assert await aws.watch.state("errors") == "OK"
        with pytest.raises(AwsError, match="no alarm named nobody"):
            await aws("SetAlarmState", AlarmName="nobody", StateValue="OK", StateReason="try")


async def test_alarms_survive_and_keep_their_state(tmp_path):
    async with bench(tmp_path) as aws:
        await aws("PutMetricAlarm", **ALARM)
        await aws("SetAlarmState", AlarmName="errors", StateValue="ALARM", StateReason="try")
    async with bench(tmp_path) as aws:
        assert await state(aws) == "ALARM"
        await aws("PutMetricAlarm", **{**ALARM, "Threshold": 5.0, "TreatMissingData": "ignore"})
        assert await state(aws) == "ALARM"
        await aws("DeleteAlarms", AlarmNames=["errors", "nobody"])
        assert (await aws("DescribeAlarms"))["MetricAlarms"] == []
    async with bench(tmp_path) as aws:
        assert (await aws("DescribeAlarms"))["MetricAlarms"] == []


async def test_an_alarm_on_an_expression(tmp_path):
    async with bench(tmp_path) as aws:

        def query(key, name):
            metric = {"Namespace": "Mine", "MetricName": name}
            stat = {"Metric": metric, "Period": 60, "Stat": "Sum"}
            return {"Id": key, "MetricStat": stat, "ReturnData": False}

        rate = {"Id": "rate", "Expression": "e / c"}
        metrics = [query("e", "Errors"), query("c", "Calls"), rate]
        alarm = {k: v for k, v in ALARM.items() if k in ("AlarmName", "EvaluationPeriods")}
        limit = {"Threshold": 0.5, "ComparisonOperator": "GreaterThanOrEqualToThreshold"}
        await aws("PutMetricAlarm", **alarm, **limit, Metrics=metrics)
        await aws.put("Errors", 1)
        await aws.put("Calls", 1, 1)
        aws.clock.now += 60
        await aws.watch.judge_all()
        assert await state(aws) == "ALARM"


async def test_describing_filters(tmp_path):
    async with bench(tmp_path) as aws:
        for name in ("b", "ab", "a"):
            await aws("PutMetricAlarm", **{**ALARM, "AlarmName": name}, AlarmActions=["arn:x"])

        async def names(**filters):
            found = await aws("DescribeAlarms", **filters)
            return [item["AlarmName"] for item in found["MetricAlarms"]]

        assert await names() == ["a", "ab", "b"]
        assert await names(AlarmNamePrefix="a") == ["a", "ab"]
        assert await names(StateValue="OK") == []
        assert await names(ActionPrefix="arn:") == ["a", "ab", "b"]
        assert await names(ActionPrefix="other:") == []
        assert await names(MaxRecords=2) == ["a", "ab"]
        found = await aws("DescribeAlarmsForMetric", Namespace="Mine", MetricName="Errors")
        assert len(found["MetricAlarms"]) == 3
        await aws("DisableAlarmActions", AlarmNames=["a", "nobody"])
        assert (await aws("DescribeAlarms"))["MetricAlarms"][0]["ActionsEnabled"] is False


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"DatapointsToAlarm": 2}, "must not exceed"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "static Threshold only"),
        ({"TreatMissingData": "guess"}, "Supported options for parameter TreatMissingData"),
        (
            {"EvaluateLowSampleCountPercentile": "unknown"},
            "^ValidationError: Option unknown is not supported. Supported options for parameter "
            "EvaluateLowSampleCountPercentile are evaluate and ignore.$",
        ),
        ({"ExtendedStatistic": "p99"}, "Must specify either Statistic or ExtendedStatistic"),
        ({"Period": 61}, "Period must be"),
        ({"Period": 86_400, "EvaluationPeriods": 8}, "seven days"),
        ({"Metrics": [{"Id": "x", "Expression": "1"}]}, "cannot both"),
        ({"Threshold": "NaN"}, "The value NaN for parameter Threshold is invalid"),
        ({"Threshold": 1e400}, "The value Infinity for parameter Threshold is invalid"),
        ({"Threshold": 10**400}, "cannot be converted"),
        ({"ComparisonOperator": None}, "null at 'comparisonOperator'"),
        ({"EvaluationPeriods": None}, "null at 'evaluationPeriods'"),
        ({"Threshold": None}, "null at 'threshold'"),
        ({"EvaluationInterval": 60}, "EvaluationInterval is not supported"),
        ({"Statistic": None, "ExtendedStatistic": "90"}, "The value 90 for parameter Extended"),
        ({"Threshold": "high"}, "cannot be converted"),
    ],
)
async def test_alarms_that_are_refused(tmp_path, change, says):
    async with bench(tmp_path) as aws:
        with pytest.raises(AwsError, match=says):
            await aws("PutMetricAlarm", **{**ALARM, **change})
        assert (await aws("DescribeAlarms"))["MetricAlarms"] == []


# the alarms that deploy makes, on what the platform measures


DEFAULTS = {rule.key: rule for rule in RULES}
# (key, metric's namespace and name, a bad value and a good one, how many of them a minute)
MEASURED = [
    ("errors", (INVOCATIONS, "Invocation5XXErrors"), (1.0, 0.0), 5),
    ("latency", (INVOCATIONS, "ModelLatency"), (6e6, 4e6), 5),
    ("loading-wait", (INVOCATIONS, "ModelLoadingWaitTime"), (11e6, 9e6), 2),
    ("thrash", (INVOCATIONS, "ModelUnloadingTime"), (1e4, None), 7),
    ("cache-hit", (INVOCATIONS, "ModelCacheHit"), (0.0, 1.0), 5),
    ("memory", (INSTANCES, "MemoryUtilization"), (96.0, 94.0), 1),
    ("disk", (INSTANCES, "DiskUtilization"), (91.0, 89.0), 1),
]


@pytest.mark.parametrize(("key", "metric", "values", "times"), MEASURED)
async def test_default_alarms_judge_what_the_platform_measures(
    tmp_path, key, metric, values, times
):
    rule = DEFAULTS[key]
    series = of_variant(metric[0], metric[1], "demo", "v")
    (request,) = (r for r in requests("demo", "v", None, ()) if r["AlarmName"] == f"demo-v-{key}")
    async with bench(tmp_path) as aws:
        await aws("PutMetricAlarm", **request)
        assert await state(aws, request["AlarmName"]) == "OK"  # nothing was measured
        for value, wanted in zip(values, ("ALARM", "OK"), strict=True):
            for _ in range(rule.period // 60 * rule.periods + 5):
                for _ in range(times if value is not None else 0):
                    aws.store.put(series, value)
                aws.clock.now += 60
            await aws.watch.judge_all()
            assert await state(aws, request["AlarmName"]) == wanted


async def test_changes_of_state_are_kept_over_a_restart_and_not_for_ever(tmp_path):
    async with bench(tmp_path) as aws:
        await aws("PutMetricAlarm", **ALARM)
        for n in range(KEPT + 2):
            value = ("OK", "ALARM")[n % 2]
            await aws("SetAlarmState", AlarmName="errors", StateValue=value, StateReason="a test")
        await aws("SetAlarmState", AlarmName="errors", StateValue=value, StateReason="the same")
        await aws("PutMetricAlarm", **ALARM, TreatMissingData="ignore")  # changed, not made anew
    async with bench(tmp_path) as aws:
        found = await aws("DescribeAlarmHistory", AlarmName="errors", MaxRecords=KEPT)
        items = found["AlarmHistoryItems"]
        assert len(items) == KEPT
        assert items[0]["HistorySummary"] == "Alarm updated from OK to ALARM"
        assert json.loads(items[0]["HistoryData"])["newState"]["stateReason"] == "a test"
        assert {item["HistoryItemType"] for item in items} == {"StateUpdate"}
        assert "History" not in (await aws("DescribeAlarms"))["MetricAlarms"][0]
        for nothing in (
            {"AlarmName": "other"},
            {"HistoryItemType": "Action"},
            {"AlarmTypes": ["CompositeAlarm"]},
            {"EndDate": 1.0},
        ):
            assert (await aws("DescribeAlarmHistory", **nothing))["AlarmHistoryItems"] == []
        page = await aws("DescribeAlarmHistory", ScanBy="TimestampAscending", MaxRecords=1)
        assert page["AlarmHistoryItems"] == items[-1:]
        assert page["NextToken"]

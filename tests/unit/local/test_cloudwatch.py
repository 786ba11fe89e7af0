"""CloudWatch's operations on metrics."""

from __future__ import annotations

import pytest
from fakes.metrics import NOON, bench

from mmectl.local.metrics.series import Series
from mmectl.local.values import AwsError

HOUR = {"StartTime": NOON - 3600, "EndTime": NOON + 60}


def stat(name, statistic="Sum", period=60, **more):
    metric = {"Namespace": "Mine", "MetricName": name, **more}
    return {"Metric": metric, "Period": period, "Stat": statistic}


async def test_values_come_back_by_period_and_statistic(tmp_path):
    async with bench(tmp_path) as aws:
        await aws.put("Size", 1, 2, 3, 10)
        await aws.put("Size", 100, ago=60)
        assert await aws.values("Size", "Sum") == [100, 16]
        assert await aws.values("Size", "SampleCount") == [1, 4]
        assert await aws.values("Size", "p50") == [100, 2]
        assert await aws.values("Size", "p99") == [100, 10]
        assert await aws.values("Size", "Maximum", period=3600) == [100, 10]
        assert await aws.values("Size", "Average", period=300) == [100, 4]


async def test_dimensions_make_different_metrics_and_units_do_only_when_asked(tmp_path):
    async with bench(tmp_path) as aws:
        dimensions = [{"Name": "B", "Value": "2"}, {"Name": "A", "Value": "1"}]
        await aws.put("Size", 1, Dimensions=dimensions)
        await aws.put("Size", 5, Unit="Bytes")
        await aws.put("Size", 7, Unit="Count")
        assert await aws.values("Size", "Sum", Dimensions=dimensions[::-1]) == [1]
        assert await aws.values("Size", "Sum", Dimensions=dimensions[:1]) == []
        assert await aws.values("Size", "Sum") == [12]
        query = {"Id": "m", "MetricStat": stat("Size") | {"Unit": "Bytes"}}
        found = await aws("GetMetricData", MetricDataQueries=[query], **HOUR)
        assert found["MetricDataResults"][0]["Values"] == [5]


async def test_statistic_sets_and_counted_values(tmp_path):
    async with bench(tmp_path) as aws:
        part = {"SampleCount": 4.0, "Sum": 20.0, "Minimum": 2.0, "Maximum": 8.0}
        data = [
            {"MetricName": "Set", "StatisticValues": part},
            {"MetricName": "Many", "Values": [1.0, 5.0], "Counts": [9.0, 1.0]},
        ]
        await aws("PutMetricData", Namespace="Mine", MetricData=data)
        assert await aws.values("Set", "Average") == [5]
        assert await aws.values("Set", "p50") == []
        assert await aws.values("Many", "p90") == [1]
        assert await aws.values("Many", "p91") == [5]


async def test_expressions(tmp_path):
    async with bench(tmp_path) as aws:
        await aws.put("Errors", 1, 1)
        await aws.put("Calls", *[1] * 8)
        await aws.put("Calls", *[1] * 4, ago=60)
        queries = [
            {"Id": "e", "MetricStat": stat("Errors"), "ReturnData": False},
            {"Id": "c", "MetricStat": stat("Calls"), "ReturnData": False},
            {"Id": "rate", "Expression": "100 * e / c", "Label": "percent"},
            {"Id": "filled", "Expression": "FILL(e, 0) / c"},
            {"Id": "all", "Expression": "SUM(METRICS())"},
            {"Id": "of", "Expression": "-rate + MAX([e, c])"},
            {"Id": "none", "Expression": "e / (c - c)"},
        ]
        found = await aws("GetMetricData", MetricDataQueries=queries, **HOUR)
        rows = {row["Id"]: row["Values"] for row in found["MetricDataResults"]}
        assert rows == {
            "rate": [25],
            "filled": [0.25, 0],
            "all": [10, 4],
            "of": [-17],
            "none": [],
        }
        assert found["MetricDataResults"][0]["Label"] == "percent"


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("SEARCH('{X} y', 'Sum', 300)", "SEARCH is not supported"),
        ("e +", "cannot be parsed"),
        ("nobody * 2", "no query has as its Id"),
        ("__import__('os')", "not supported"),
        ("e.__class__", "not supported"),
        ("[e, e]", "only one is supported"),
        ("1 / 0 * e", "divides by 0"),
        ("(" * 90 + "e" + ")" * 90 + "+" * 90 + "e", "deeply"),
        ("7", "not a time series"),
        ("x + 1", "refers to itself"),
    ],
)
async def test_expressions_that_are_refused(tmp_path, expression, says):
    async with bench(tmp_path) as aws:
        queries = [
            {"Id": "e", "MetricStat": stat("Errors")},
            {"Id": "x", "Expression": expression},
        ]
        with pytest.raises(AwsError, match=says) as caught:
            await aws("GetMetricData", MetricDataQueries=queries, **HOUR)
        assert caught.value.code == "InvalidParameterValueException"


async def test_pages_of_datapoints_lose_none(tmp_path):
    async with bench(tmp_path) as aws:
        for minute in range(10):
            await aws.put("A", minute, ago=minute * 60)
            await aws.put("B", -minute, ago=minute * 60)
        queries = [{"Id": n.lower(), "MetricStat": stat(n)} for n in "AB"]
        token: dict[str, str] = {}
        rows: dict[str, list[float]] = {"a": [], "b": []}
        for _ in range(7):
            page = await aws(
                "GetMetricData", MetricDataQueries=queries, MaxDatapoints=3, **HOUR, **token
            )
            for row in page["MetricDataResults"]:
                rows[row["Id"]] += row["Values"]
            if "NextToken" not in page:
                break
            token = {"NextToken": page["NextToken"]}
        assert rows == {"a": list(range(10)), "b": [-n for n in range(10)]}


async def test_get_metric_statistics(tmp_path):
    async with bench(tmp_path) as aws:
        await aws.put("Size", 1, 3, Unit="Bytes")
        asked = {"Namespace": "Mine", "MetricName": "Size", "Period": 60, **HOUR}
        plain = await aws("GetMetricStatistics", Statistics=["Sum", "Maximum"], **asked)
        found = await aws("GetMetricStatistics", ExtendedStatistics=["p90"], **asked)
        row = {"Timestamp": NOON, "Unit": "Bytes"}
        nothing = {"ExtendedStatistics": {}}
        assert plain["Datapoints"] == [row | {"Sum": 4, "Maximum": 3} | nothing]
        assert found["Datapoints"] == [row | {"ExtendedStatistics": {"p90": 3}}]
        long = {**asked, "StartTime": NOON - 86_400 * 2}
        with pytest.raises(AwsError, match="exceeds the limit of 1440"):
            await aws("GetMetricStatistics", Statistics=["Sum"], **long)
        both = {"Statistics": ["Sum"], "ExtendedStatistics": ["p90"]}
        for wrong in ({}, both):
            with pytest.raises(AwsError, match="Must specify either Statistics or Extended") as no:
                await aws("GetMetricStatistics", **asked, **wrong)
            assert no.value.code == "InvalidParameterCombinationException"
        for start, end in ((5, 5), (6, 5), (5.02, 5.98)):
            span = {"StartTime": start, "EndTime": end}
            with pytest.raises(AwsError, match="StartTime must be less than") as no:
                await aws("GetMetricStatistics", Statistics=["Sum"], **{**asked, **span})
            assert no.value.code == "InvalidParameterValueException"


async def test_list_metrics(tmp_path):
    async with bench(tmp_path) as aws:
        for number in range(700):
            aws.store.put(Series("Mine", "Size", (("N", str(number)),)), number)
        first = await aws("ListMetrics", Namespace="Mine")
        second = await aws("ListMetrics", Namespace="Mine", NextToken=first["NextToken"])
        assert (len(first["Metrics"]), len(second["Metrics"])) == (500, 200)
        found = await aws("ListMetrics", Dimensions=[{"Name": "N", "Value": "5"}])
        assert found["Metrics"] == [
            {
                "Namespace": "Mine",
                "MetricName": "Size",
                "Dimensions": [{"Name": "N", "Value": "5"}],
            }
        ]
        aws.clock.now += 4 * 3600
        assert (await aws("ListMetrics", RecentlyActive="PT3H"))["Metrics"] == []
        with pytest.raises(AwsError, match="next token"):
            await aws("ListMetrics", NextToken="nonsense")


STATISTICS = {"SampleCount": 1, "Sum": 1, "Minimum": 1, "Maximum": 1}


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (
            {"Value": 1.0, "Values": [1.0]},
            r"^InvalidParameterValue.*1.Values are mutually",
        ),
        (
            {"Value": 1.0, "StatisticValues": STATISTICS},
            r"^InvalidParameterCombination.*1.StatisticValues are mutually exclusive",
        ),
        (
            {"Values": [1.0], "StatisticValues": STATISTICS},
            r"^InvalidParameterCombination.*1.StatisticValues are mutually exclusive",
        ),
        ({}, "At least one of"),
        ({"Values": [1.0], "Counts": [1.0, 2.0]}, "member.1.Counts must be of the same size"),
        ({"Values": [1.0], "Counts": [0.0]}, "The value 0 for parameter MetricData"),
        ({"Value": 2.0**361}, "for parameter MetricData.member.1.Value is invalid"),
        ({"Value": 10**400}, "cannot be converted"),
        ({"Value": 1.0, "Timestamp": 2**63}, "cannot be converted"),
        ({"Value": 1.0, "Timestamp": -(2**63)}, "cannot be converted"),
        (
            {"Value": float("nan")},
            "^InvalidParameterValue.*value NaN for parameter MetricData.m",
        ),
        ({"Value": "NaN"}, "^InvalidParameterValue.*value NaN for parameter MetricData.member.1.V"),
        (
            {"Values": [1.0, float("-inf")]},
            "value -Infinity for parameter MetricData.member.1.V",
        ),
        (
            {"StatisticValues": {"SampleCount": 0, "Sum": 1, "Minimum": 1, "Maximum": 1}},
            "StatisticValues.SampleCount is invalid",
        ),
        (
            {"StatisticValues": {"SampleCount": 1, "Sum": 1e300, "Minimum": 1, "Maximum": 1}},
            "StatisticValues.Sum is invalid",
        ),
        ({"Value": 1.0, "Timestamp": NOON - 15 * 86_400}, "two weeks"),
        ({"Value": 1.0, "Unit": "Parsecs"}, "enum value set"),
    ],
)
async def test_data_that_is_refused(tmp_path, item, says):
    async with bench(tmp_path) as aws:
        with pytest.raises(AwsError, match=says):
            await aws("PutMetricData", Namespace="Mine", MetricData=[{"MetricName": "X", **item}])
        assert (await aws("ListMetrics"))["Metrics"] == []


async def test_what_is_refused_otherwise(tmp_path):
    async with bench(tmp_path) as aws:
        with pytest.raises(AwsError, match="reserved"):
            await aws("PutMetricData", Namespace="AWS/Mine", MetricData=[])
        for bad, says in [
            ({"Period": 7}, "Period must be"),
            ({"Stat": "tm99"}, "not supported by the embedded platform"),
        ]:
            query = {"Id": "m", "MetricStat": stat("Size") | bad}
            with pytest.raises(AwsError, match=says):
                await aws("GetMetricData", MetricDataQueries=[query], **HOUR)
        query = {"Id": "m", "MetricStat": stat("Size")}
        for start, end, says in [
            (5, 5, "must not equal"),
            (5.02, 5.98, "must not equal"),
            (6, 5, "EndTime must be greater"),
        ]:
            with pytest.raises(AwsError, match=f"^ValidationError.*{says}"):
                await aws("GetMetricData", MetricDataQueries=[query], StartTime=start, EndTime=end)
        for bad in (2**63, -(2**63), 1e400, "now"):
            with pytest.raises(AwsError):
                await aws("GetMetricData", MetricDataQueries=[query], StartTime=5, EndTime=bad)
        with pytest.raises(AwsError, match=r"^ValidationError.*member.1.MetricStat is required"):
            await aws("GetMetricData", MetricDataQueries=[{"Id": "x", "Label": "e"}], **HOUR)
        with pytest.raises(AwsError, match="PutMetricStream") as caught:
            await aws("PutMetricStream")
        assert caught.value.code == "UnknownOperationException"


async def test_values_that_grow_too_large_are_left_out(tmp_path):
    async with bench(tmp_path) as aws:
        await aws.put("Size", 2.0**360, 1.0)
        queries = [
            {"Id": "m", "MetricStat": stat("Size"), "ReturnData": False},
            {"Id": "x", "Expression": "m * m * m * m"},
        ]
        found = await aws("GetMetricData", MetricDataQueries=queries, **HOUR)
        assert found["MetricDataResults"][0]["Values"] == []


async def test_a_long_chain_of_expressions_is_refused(tmp_path):
    async with bench(tmp_path) as aws:
        queries = [{"Id": "e0", "MetricStat": stat("Size")}]
        queries += [{"Id": f"e{n}", "Expression": f"e{n - 1} + 1"} for n in range(1, 400)]
        with pytest.raises(AwsError, match="in a row"):
            await aws("GetMetricData", MetricDataQueries=queries[::-1], **HOUR)
        with pytest.raises(AwsError, match="more than 500"):
            await aws("GetMetricData", MetricDataQueries=[queries[0]] * 501, **HOUR)

"""Dashboards and tags of alarms: kept on disk, over a restart."""

from __future__ import annotations

import pytest
from fakes.metrics import NOON, bench

from mmectl.local.values import AwsError

BODY = '{"widgets": []}'
ALARM = {
    "AlarmName": "a",
    "Namespace": "N",
    "MetricName": "M",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 0.0,
    "ComparisonOperator": "GreaterThanThreshold",
}


async def test_dashboards_outlive_a_restart(tmp_path):
    async with bench(tmp_path) as aws:
        assert await aws("ListDashboards") == {"DashboardEntries": []}
        put = await aws("PutDashboard", DashboardName="b", DashboardBody=BODY)
        assert put == {"DashboardValidationMessages": []}
        await aws("PutDashboard", DashboardName="a", DashboardBody=BODY)
    async with bench(tmp_path) as aws:
        found = await aws("GetDashboard", DashboardName="a")
        arn = "arn:aws:cloudwatch::000000000000:dashboard/a"
        assert found["DashboardBody"] == BODY
        assert found["DashboardArn"].endswith(":dashboard/a"), arn
        listed = (await aws("ListDashboards", DashboardNamePrefix="b"))["DashboardEntries"]
        assert [(e["DashboardName"], e["LastModified"], e["Size"]) for e in listed] == [
            ("b", NOON, 15)
        ]
        await aws("DeleteDashboards", DashboardNames=["a"])
        with pytest.raises(AwsError) as caught:
            await aws("DeleteDashboards", DashboardNames=["b", "a"])
        assert caught.value.code == "ResourceNotFound"
        assert len((await aws("ListDashboards"))["DashboardEntries"]) == 1
        with pytest.raises(AwsError, match="Dashboard a does not exist"):
            await aws("GetDashboard", DashboardName="a")


@pytest.mark.parametrize("body", ["", "[]", "no json", '{"widgets": 1}', '"x"', "[" * 200_000])
async def test_what_is_no_dashboard_is_refused(tmp_path, body):
    async with bench(tmp_path) as aws:
        with pytest.raises(AwsError, match="DashboardBody"):
            await aws("PutDashboard", DashboardName="a", DashboardBody=body)
        assert await aws("ListDashboards") == {"DashboardEntries": []}


async def test_tags_of_an_alarm_are_set_when_it_is_made_and_shown_apart(tmp_path):
    async with bench(tmp_path) as aws:
        first, other = ({"Key": "k", "Value": value} for value in ("1", "2"))
        await aws("PutMetricAlarm", **ALARM, Tags=[first])
        await aws("PutMetricAlarm", **ALARM, Tags=[other])
        (alarm,) = (await aws("DescribeAlarms"))["MetricAlarms"]
        assert "Tags" not in alarm
        arn = alarm["AlarmArn"]
        assert (await aws("ListTagsForResource", ResourceARN=arn))["Tags"] == [first]
        await aws("TagResource", ResourceARN=arn, Tags=[other, {"Key": "l", "Value": ""}])
        assert (await aws("ListTagsForResource", ResourceARN=arn))["Tags"] == [
            other,
            {"Key": "l", "Value": ""},
        ]
        await aws("UntagResource", ResourceARN=arn, TagKeys=["k", "nobody"])
        assert len((await aws("ListTagsForResource", ResourceARN=arn))["Tags"]) == 1
        await aws("DeleteAlarms", AlarmNames=["a"])
        with pytest.raises(AwsError) as caught:
            await aws("ListTagsForResource", ResourceARN=arn)
        assert caught.value.code == "ResourceNotFoundException"

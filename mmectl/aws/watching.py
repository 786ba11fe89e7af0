"""Alarms, dashboards and log groups over boto3 (`deploy.watching.Watcher`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from mmectl.aws.account import Account
from mmectl.aws.cloudwatch import GROUP
from mmectl.aws.errors import translated
from mmectl.base.errors import ServiceError

_GONE = ("aws_ResourceNotFound", "aws_ResourceNotFoundException")
_THERE = "aws_ResourceAlreadyExistsException"
_AT_ONCE = 100  # alarms of one DeleteAlarms


class Watching:
    """See the module."""

    def __init__(self, aws: Account) -> None:
        self._aws = aws

    @cached_property
    def _cloudwatch(self) -> Any:
        return self._aws.client("cloudwatch")

    @cached_property
    def _logs(self) -> Any:
        return self._aws.client("logs")

    def alarms(self, prefix: str) -> Mapping[str, Mapping[str, Any]]:
        """DescribeAlarms."""
        with translated("cloudwatch:DescribeAlarms"):
            pages = self._cloudwatch.get_paginator("describe_alarms").paginate(
                AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm"]
            )
            return {alarm["AlarmName"]: alarm for page in pages for alarm in page["MetricAlarms"]}

    def alarm_tags(self, arn: str) -> Mapping[str, str]:
        """ListTagsForResource; {} for what was deleted meanwhile."""
        try:
            with translated("cloudwatch:ListTagsForResource"):
                found = self._cloudwatch.list_tags_for_resource(ResourceARN=arn)
        except ServiceError as error:
            if error.code not in _GONE:
                raise
            return {}
        return {tag["Key"]: tag["Value"] for tag in found["Tags"]}

    def put_alarm(self, request: Mapping[str, Any]) -> None:
        """PutMetricAlarm, which takes tags only when it makes the alarm."""
        with translated(f"cloudwatch:PutMetricAlarm {request['AlarmName']}"):
            self._cloudwatch.put_metric_alarm(**request)

    def delete_alarms(self, names: Sequence[str]) -> None:
        """DeleteAlarms."""
        for first in range(0, len(names), _AT_ONCE):
            with translated("cloudwatch:DeleteAlarms"):
                self._cloudwatch.delete_alarms(AlarmNames=list(names[first : first + _AT_ONCE]))

    def dashboard(self, name: str) -> str | None:
        """GetDashboard."""
        try:
            with translated("cloudwatch:GetDashboard"):
                found = self._cloudwatch.get_dashboard(DashboardName=name)
        except ServiceError as error:
            if error.code not in _GONE:
                raise
            return None
        return str(found["DashboardBody"])

    def put_dashboard(self, name: str, body: str) -> None:
        """PutDashboard."""
        with translated(f"cloudwatch:PutDashboard {name}"):
            self._cloudwatch.put_dashboard(DashboardName=name, DashboardBody=body)

    def delete_dashboard(self, name: str) -> None:
        """DeleteDashboards."""
        with translated(f"cloudwatch:DeleteDashboards {name}"):
            self._cloudwatch.delete_dashboards(DashboardNames=[name])

    def log(self, endpoint: str) -> Mapping[str, Any] | None:
        """DescribeLogGroups."""
        name = GROUP + endpoint
        with translated("logs:DescribeLogGroups"):
            found = self._logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        group: Mapping[str, Any] | None = next(
            (one for one in found if one["logGroupName"] == name), None
        )
        return group

    def keep_log(self, endpoint: str, days: int) -> None:
        """CreateLogGroup, which SageMaker would do later, and PutRetentionPolicy."""
        name = GROUP + endpoint
        try:
            with translated(f"logs:CreateLogGroup {name}"):
                self._logs.create_log_group(logGroupName=name)
        except ServiceError as error:
            if error.code != _THERE:
                raise
        with translated(f"logs:PutRetentionPolicy {name}"):
            self._logs.put_retention_policy(logGroupName=name, retentionInDays=days)

    def delete_log(self, endpoint: str) -> None:
        """DeleteLogGroup; one that is gone is fine."""
        try:
            with translated(f"logs:DeleteLogGroup {GROUP}{endpoint}"):
                self._logs.delete_log_group(logGroupName=GROUP + endpoint)
        except ServiceError as error:
            if error.code not in _GONE:
                raise

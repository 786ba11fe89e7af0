"""What AWS still knows of an endpoint's past: alarms, log streams, endpoint configurations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import islice
from typing import Any, NamedTuple

from mmectl.aws.account import Account
from mmectl.aws.cloudwatch import GROUP
from mmectl.aws.errors import translated
from mmectl.base.errors import ServiceError

MOST = 200
"""Of each kind, the newest."""


class Moment(NamedTuple):
    """Something that happened, in epoch seconds."""

    time: float
    about: str


def alarm_changes(aws: Account, name: str, start: float) -> list[Moment]:
    """The changes of an alarm's state since then, which AWS keeps for 30 days. ServiceError."""
    with translated("cloudwatch:DescribeAlarmHistory"):
        pages = (
            aws.client("cloudwatch")
            .get_paginator("describe_alarm_history")
            .paginate(
                AlarmName=name,
                AlarmTypes=["MetricAlarm", "CompositeAlarm"],
                HistoryItemType="StateUpdate",
                StartDate=datetime.fromtimestamp(start, timezone.utc),
                ScanBy="TimestampDescending",
            )
        )
        items = list(islice((row for page in pages for row in page["AlarmHistoryItems"]), MOST))
    return [Moment(row["Timestamp"].timestamp(), _short(row["HistorySummary"])) for row in items]


def _short(summary: str) -> str:
    """`OK -> ALARM` of `Alarm updated from OK to ALARM`."""
    found = re.fullmatch(r"Alarm updated from (\w+) to (\w+)", summary)
    return f"{found[1]} -> {found[2]}" if found else summary


def configurations(aws: Account, endpoint: str) -> list[Moment]:
    """When each endpoint configuration of mmectl's that is left was made. ServiceError."""
    ours = re.compile(rf"{re.escape(endpoint)}-[0-9a-f]{{8}}")
    with translated("sagemaker:ListEndpointConfigs"):
        pages = (
            aws.client("sagemaker")
            .get_paginator("list_endpoint_configs")
            .paginate(NameContains=endpoint, SortBy="CreationTime", SortOrder="Descending")
        )
        rows = (row for page in pages for row in page["EndpointConfigs"])
        found = list(islice((r for r in rows if ours.fullmatch(r["EndpointConfigName"])), MOST))
    return [Moment(row["CreationTime"].timestamp(), row["EndpointConfigName"]) for row in found]


def first_lines(aws: Account, endpoint: str) -> list[Moment]:
    """When each instance's log began, by stream; none where there is no log. ServiceError."""
    try:
        with translated(f"logs:DescribeLogStreams {GROUP}{endpoint}"):
            return list(islice(_streams(aws.client("logs"), GROUP + endpoint), MOST))
    except ServiceError as error:
        if error.code != "aws_ResourceNotFoundException":
            raise
        return []


def _streams(client: Any, group: str) -> Iterator[Moment]:
    pages = client.get_paginator("describe_log_streams").paginate(
        logGroupName=group, orderBy="LastEventTime", descending=True
    )
    for page in pages:
        for row in page["logStreams"]:
            first = row.get("firstEventTimestamp")
            if first and not row["logStreamName"].endswith("/data-log"):
                yield Moment(first / 1000, row["logStreamName"])

"""CloudWatch's metrics and logs over boto3, on AWS and on the embedded platform alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from mmectl.aws.account import Account
from mmectl.aws.errors import translated
from mmectl.base.errors import ServiceError

GROUP = "/aws/sagemaker/Endpoints/"
QUERIES = 500  # of one GetMetricData call
STREAMS = 50  # of one page
EVENTS = 10_000  # of one GetLogEvents answer, which also ends at 1 MB

_OF_INSTANCES = (
    ("AWS/SageMaker", "Invocations"),
    ("/aws/sagemaker/Endpoints", "CPUUtilization"),
)

Points = list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Ask:
    """One statistic of one metric, in periods of so many seconds."""

    namespace: str
    metric: str
    statistic: str
    period: int


def alarm_states(aws: Account, names: Sequence[str]) -> dict[str, str]:
    """State by name of those alarms that exist; 100 names at most. Raises ServiceError."""
    with translated("cloudwatch:DescribeAlarms"):
        found = aws.client("cloudwatch").describe_alarms(
            AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
    return {
        alarm["AlarmName"]: alarm.get("StateValue", "INSUFFICIENT_DATA")
        for kind in ("MetricAlarms", "CompositeAlarms")
        for alarm in found.get(kind, ())
    }


class Metrics:
    """The metrics of one endpoint."""

    def __init__(self, aws: Account, endpoint: str) -> None:
        self._client, self._endpoint = aws.client("cloudwatch"), endpoint

    def points(
        self, variant: str, asks: Sequence[Ask], start: int, end: int, *, instance: str = ""
    ) -> dict[Ask, Points]:
        """(epoch second, value) pairs of each, oldest first; empty where there are none.

        Of the whole variant, or of one instance of it.
        """
        found: dict[Ask, Points] = {ask: [] for ask in asks}
        for first in range(0, len(asks), QUERIES):
            batch = asks[first : first + QUERIES]
            queries = [self._query(f"q{n}", ask, variant, instance) for n, ask in enumerate(batch)]
            with translated("cloudwatch:GetMetricData"):
                pages = self._client.get_paginator("get_metric_data").paginate(
                    MetricDataQueries=queries,
                    StartTime=datetime.fromtimestamp(start, timezone.utc),
                    EndTime=datetime.fromtimestamp(end, timezone.utc),
                    ScanBy="TimestampAscending",
                )
                results = [result for page in pages for result in page["MetricDataResults"]]
            for result in results:
                times = [int(time.timestamp()) for time in result["Timestamps"]]
                ask = batch[int(result["Id"][1:])]
                found[ask] += zip(times, result["Values"], strict=True)
        return found

    def _query(self, key: str, ask: Ask, variant: str, instance: str) -> dict[str, Any]:
        dimensions = {"EndpointName": self._endpoint, "VariantName": variant}
        if instance:
            dimensions["InstanceId"] = instance
        metric = {
            "Namespace": ask.namespace,
            "MetricName": ask.metric,
            "Dimensions": [{"Name": n, "Value": value} for n, value in dimensions.items()],
        }
        stat = {"Metric": metric, "Period": ask.period, "Stat": ask.statistic}
        return {"Id": key, "MetricStat": stat}

    def instances(self, variant: str | None = None) -> list[tuple[str, str]]:
        """(variant, instance) of those that have metrics of their own, in order."""
        wanted = [
            {"Name": "EndpointName", "Value": self._endpoint},
            {"Name": "InstanceId"},
            {"Name": "VariantName", **({"Value": variant} if variant else {})},
        ]
        found: set[tuple[str, str]] = set()
        for namespace, metric in _OF_INSTANCES:  # some have no requests, new ones no measures
            with translated("cloudwatch:ListMetrics"):
                pages = self._client.get_paginator("list_metrics").paginate(
                    Namespace=namespace, MetricName=metric, Dimensions=wanted
                )
                listed = [row["Dimensions"] for page in pages for row in page["Metrics"]]
            named = [{item["Name"]: item["Value"] for item in each} for each in listed]
            found |= {(each["VariantName"], each["InstanceId"]) for each in named}
        return sorted(found)

    def variants(self) -> list[str]:
        """The variants that have metrics, by name."""
        dimension = {"Name": "EndpointName", "Value": self._endpoint}
        with translated("cloudwatch:ListMetrics"):
            pages = self._client.get_paginator("list_metrics").paginate(
                MetricName="Invocations", Namespace="AWS/SageMaker", Dimensions=[dimension]
            )
            found = [metric["Dimensions"] for page in pages for metric in page["Metrics"]]
        return sorted(
            {item["Value"] for each in found for item in each if item["Name"] == "VariantName"}
        )


@dataclass(frozen=True, slots=True)
class LogEvent:
    """A line that a container printed; `time` in epoch milliseconds, `id` unlike any other's."""

    time: int
    stream: str
    message: str
    id: str = ""


class Logs:
    """What the containers of one endpoint print."""

    def __init__(self, aws: Account, endpoint: str) -> None:
        self._client, self._group = aws.client("logs"), GROUP + endpoint

    def streams(self, most: int = 10 * STREAMS) -> list[str] | None:
        """Streams, that which was written last first; None where there is no log of it."""
        found: list[str] = []
        token: Mapping[str, str] = {}
        try:
            while len(found) < most:
                with translated(f"logs:DescribeLogStreams {self._group}"):
                    page = self._client.describe_log_streams(
                        logGroupName=self._group,
                        orderBy="LastEventTime",
                        descending=True,
                        limit=STREAMS,
                        **token,
                    )
                found += [stream["logStreamName"] for stream in page["logStreams"]]
                if not page.get("nextToken"):
                    break
                token = {"nextToken": page["nextToken"]}
        except ServiceError as error:
            if error.code != "aws_ResourceNotFoundException":
                raise
            return None
        return found

    def last(self, stream: str, count: int) -> list[LogEvent]:
        """The last lines of a stream, oldest first."""
        found: list[Mapping[str, Any]] = []
        token: dict[str, str] = {}
        while len(found) < count:
            with translated(f"logs:GetLogEvents {self._group}"):
                page = self._client.get_log_events(
                    logGroupName=self._group,
                    logStreamName=stream,
                    limit=min(count - len(found), EVENTS),
                    startFromHead=False,
                    **token,
                )
            found = [*page["events"], *found]
            before = {"nextToken": page.get("nextBackwardToken", "")}
            if before in (token, {"nextToken": ""}):  # the same again: the beginning
                break
            token = before
        return [LogEvent(item["timestamp"], stream, item["message"].rstrip()) for item in found]

    def since(
        self, start: int, pattern: str = "", streams: Sequence[str] = ()
    ) -> Iterator[LogEvent]:
        """Lines since that millisecond that match; of all streams if none is named.

        Raises ServiceError; one with code ``aws_ResourceNotFoundException`` where there is no log.
        """
        optional: dict[str, Any] = {}
        if pattern:
            optional["filterPattern"] = pattern
        if streams:
            optional["logStreamNames"] = list(streams)
        with translated(f"logs:FilterLogEvents {self._group}"):
            pages = self._client.get_paginator("filter_log_events").paginate(
                logGroupName=self._group, startTime=start, **optional
            )
            for page in pages:
                for item in page["events"]:
                    yield LogEvent(
                        item["timestamp"],
                        item["logStreamName"],
                        item["message"].rstrip(),
                        item["eventId"],
                    )

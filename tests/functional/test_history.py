"""What happened to an endpoint before anybody looked, over stubbed clients."""

from __future__ import annotations

import io
from datetime import datetime, timezone

import pytest

from mmectl.app import App
from mmectl.aws import history as aws_history
from mmectl.base.errors import ArtifactError
from mmectl.base.values import Location
from mmectl.commands.history import history
from mmectl.console.output import Mode, Output
from mmectl.registry.inventory import Model
from mmectl.registry.versions import Alias, Change

ARN = "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/demo"
GROUP = "/aws/sagemaker/Endpoints/demo"


def at(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc)


class Promoted:
    """An inventory with one model that was promoted."""

    def __init__(self, error=None):
        self._error = error

    def aliased(self, most):
        if self._error:
            raise self._error
        changes = (
            Change("promote", 2, 1, "1970-01-01T00:01:40Z", "me"),
            Change("rollback", 1, 2, "1970-01-01T00:05:00Z", "<b>"),
        )
        return (Model("shapes", (), Alias("shapes", 1, None, changes)),), most + 1


def app_of(aws, inventory):
    class Asks(App):
        untouched = False
        endpoint_name = "demo"
        location = Location("b", "demo/")

        def __init__(self):
            super().__init__(Output(Mode(quiet=True), io.StringIO(), io.StringIO()))

        aws = None
        inventory = None

    Asks.aws, Asks.inventory = aws, inventory
    return Asks()


@pytest.fixture
def known(stub, project):
    (project / "config.yaml").write_text(
        "platform: aws\nendpoint: {name: demo}\nupdate: {alarms: [errors]}\n"
    )
    sagemaker, watch, logs = stub("sagemaker"), stub("cloudwatch"), stub("logs")
    endpoint = {
        "EndpointName": "demo",
        "EndpointArn": ARN,
        "EndpointStatus": "Failed",
        "FailureReason": "no room",
        "CreationTime": at(50),
        "LastModifiedTime": at(400),
    }
    sagemaker.add_response("describe_endpoint", endpoint, {"EndpointName": "demo"})
    configs = [
        {"EndpointConfigName": name, "EndpointConfigArn": ARN, "CreationTime": at(390)}
        for name in ("demo-0123abcd", "demo-two-0123abcd", "demo-x")
    ]
    sagemaker.add_response("list_endpoint_configs", {"EndpointConfigs": configs})
    alarm = {"AlarmName": "errors", "StateValue": "ALARM"}
    watch.add_response("describe_alarms", {"MetricAlarms": [alarm]})
    items = [
        {"AlarmName": "errors", "Timestamp": at(200 + n), "HistorySummary": summary}
        for n, summary in enumerate(("Alarm updated from OK to ALARM", "something else"))
    ]
    wanted = {
        "AlarmName": "errors",
        "AlarmTypes": ["MetricAlarm", "CompositeAlarm"],
        "HistoryItemType": "StateUpdate",
        "StartDate": at(100),
        "ScanBy": "TimestampDescending",
    }
    watch.add_response("describe_alarm_history", {"AlarmHistoryItems": items}, wanted)
    streams = [
        {"logStreamName": "v/i-1", "firstEventTimestamp": 150_000},
        {"logStreamName": "v/i-1/data-log", "firstEventTimestamp": 150_000},
        {"logStreamName": "v/i-2"},
    ]
    logs.add_response("describe_log_streams", {"logStreams": streams})
    lines = [
        {"message": text, "timestamp": 160_000, "logStreamName": "v/i-1", "eventId": text[:9]}
        for text in ("INFO loaded shapes from /opt/x in 0.1 s", "loaded nothing from")
    ]
    logs.add_response("filter_log_events", {"events": lines})


def test_all_that_is_known_is_one_story(aws, known):
    found = history(app_of(aws, Promoted()), 100.0)
    keys = ("time", "what", "about", "instance")
    assert [tuple(row[key] for key in keys) for row in found["events"]] == [
        (400, "status", "Failed: no room", ""),
        (390, "configured", "demo-0123abcd", ""),
        (300, "undone", "shapes v1, by <b>", ""),
        (201, "alarm", "errors: something else", ""),
        (200, "alarm", "errors: OK -> ALARM", ""),
        (160, "loaded", "shapes", "v/i-1"),
        (150, "log begins", "", "v/i-1"),
        (100, "promoted", "shapes v2, by me", ""),
    ]
    assert found["notes"] == ["promotions of 1 models are shown; 301 have some"]


def test_what_cannot_be_read_takes_nothing_else_away(aws, known):
    found = history(app_of(aws, Promoted(ArtifactError("a document is damaged"))), 100.0)
    assert found["notes"] == ["a document is damaged"]
    whats = {row["what"] for row in found["events"]}
    assert whats == {"status", "configured", "alarm", "log begins", "loaded"}


def test_without_a_log_there_is_no_line(aws, stub):
    stub("logs").add_client_error("describe_log_streams", "ResourceNotFoundException")
    assert aws_history.first_lines(aws, "demo") == []

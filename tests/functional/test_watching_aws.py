"""What watches an endpoint, as boto3 is asked for it."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from mmectl.aws.watching import Watching
from mmectl.base.errors import ServiceError

GROUP = "/aws/sagemaker/Endpoints/demo"


class Account:
    """Clients that answer what they were told."""

    def __init__(self) -> None:
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        self.clients = {
            name: boto3.client(name, region_name="us-east-1", **keys)
            for name in ("cloudwatch", "logs")
        }
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        for stub in self.stubs.values():
            stub.activate()

    def client(self, service: str, **_: Any) -> Any:
        return self.clients[service]


@pytest.fixture
def account():
    made = Account()
    yield made
    for stub in made.stubs.values():
        stub.assert_no_pending_responses()


def test_alarms_of_all_pages(account):
    alarm = {"AlarmName": "demo-a", "AlarmArn": "arn"}
    asked = {"AlarmNamePrefix": "demo-", "AlarmTypes": ["MetricAlarm"]}
    stub = account.stubs["cloudwatch"]
    stub.add_response("describe_alarms", {"MetricAlarms": [alarm], "NextToken": "t"}, asked)
    more = {"MetricAlarms": [{**alarm, "AlarmName": "demo-b"}]}
    stub.add_response("describe_alarms", more, {**asked, "NextToken": "t"})
    assert list(Watching(account).alarms("demo-")) == ["demo-a", "demo-b"]


def test_tags_and_what_is_gone(account):
    stub = account.stubs["cloudwatch"]
    stub.add_response("list_tags_for_resource", {"Tags": [{"Key": "k", "Value": "v"}]})
    stub.add_client_error("list_tags_for_resource", "ResourceNotFoundException")
    watching = Watching(account)
    assert watching.alarm_tags("arn") == {"k": "v"}
    assert watching.alarm_tags("arn") == {}
    stub.add_client_error("get_dashboard", "ResourceNotFound")
    assert watching.dashboard("x") is None
    stub.add_response("get_dashboard", {"DashboardBody": "{}"}, {"DashboardName": "x"})
    assert watching.dashboard("x") == "{}"
    stub.add_client_error("get_dashboard", "AccessDenied")
    with pytest.raises(ServiceError):
        watching.dashboard("x")


def test_a_log_group_that_is_there_or_not(account):
    stub = account.stubs["logs"]
    asked = {"logGroupNamePrefix": GROUP}
    other = {"logGroupName": f"{GROUP}-2", "retentionInDays": 3}
    stub.add_response("describe_log_groups", {"logGroups": [other]}, asked)
    watching = Watching(account)
    assert watching.log("demo") is None
    found = {"logGroupName": GROUP, "retentionInDays": 7}
    stub.add_response("describe_log_groups", {"logGroups": [found, other]}, asked)
    assert watching.log("demo") == found
    days = {"logGroupName": GROUP, "retentionInDays": 14}
    stub.add_client_error("create_log_group", "ResourceAlreadyExistsException")
    stub.add_response("put_retention_policy", {}, days)
    watching.keep_log("demo", 14)
    stub.add_client_error("create_log_group", "AccessDeniedException")
    with pytest.raises(ServiceError, match="logs:CreateLogGroup"):
        watching.keep_log("demo", 14)
    stub.add_client_error("delete_log_group", "ResourceNotFoundException")
    watching.delete_log("demo")


def test_many_alarms_are_deleted_a_hundred_at_once(account):
    stub = account.stubs["cloudwatch"]
    names = [f"a{number}" for number in range(101)]
    stub.add_response("delete_alarms", {}, {"AlarmNames": names[:100]})
    stub.add_response("delete_alarms", {}, {"AlarmNames": names[100:]})
    Watching(account).delete_alarms(names)

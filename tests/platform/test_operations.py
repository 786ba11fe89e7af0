"""Every operation that AWS's services have is carried out or refused by name, never a fault.

The requests are botocore's own, with the smallest parameters that its service models allow.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from in_process import MINE, serving

from mmectl.local.control.patterns import matches
from mmectl.local.control.validate import service_model
from mmectl.local.record import Record
from mmectl.local.server.compose import compose
from mmectl.local.server.moto_services import SmallServices

SERVICES = (
    "application-autoscaling",
    "cloudwatch",
    "ecr",
    "iam",
    "logs",
    "s3",
    "sagemaker",
    "sagemaker-runtime",
    "sts",
)
REFUSED = {"UnknownOperationException", "InvalidAction", "NotImplemented", "AccessDenied"}
TEXTS = (
    "a",
    "abc",
    "name-1",
    "123456789012",
    "arn:aws:iam::123456789012:role/name-role",
    "arn:aws:sagemaker:us-east-1:123456789012:endpoint/name",
    "arn:aws:logs:us-east-1:123456789012:log-group:name:*",
    "s3://bucket/key",
    "https://bucket.s3.amazonaws.com/key",
    "https://example.com/a.git",
    "ml.m5.large",
    "1.0",
    "1.0.0",
    "us-east-1",
    "us-east-1a",
    "subnet-0123456789abcdef0",
    "sg-0123456789abcdef0",
    "0123456789abcdef",
    "0" * 40,
    "0" * 64,
    "sha256:" + "0" * 64,
    "123456789012.dkr.ecr.us-east-1.amazonaws.com/a:1",
    "/a",
    "{}",
    "a@example.com",
    "2026-01-01T00:00:00Z",
)


def text(shape):
    """A string that the shape allows; the first candidate where none is found."""
    rules = shape.metadata
    if rules.get("enum"):
        return rules["enum"][0]
    low, high = rules.get("min", 0), rules.get("max", 1 << 20)
    padded = [t + "a" * (low - len(t)) for t in TEXTS]
    fitting = [t for t in padded if low <= len(t) <= high]
    pattern = rules.get("pattern")
    return next((t for t in fitting if not pattern or matches(pattern, t)), fitting[0])


def smallest(shape, depth=0):
    """The smallest value of a shape; recursive shapes end after a few levels."""
    kind, low = shape.type_name, shape.metadata.get("min", 0)
    if kind == "structure":
        needed = shape.required_members
        if not needed and depth and shape.members:  # a union, or all optional
            needed = list(shape.members)[:1] if depth < 6 else []
        return {name: smallest(shape.members[name], depth + 1) for name in needed}
    if kind == "list":
        return [smallest(shape.member, depth + 1) for _ in range(max(low, 1))]
    if kind == "map":
        return {text(shape.key): smallest(shape.value, depth + 1)}
    if kind in ("integer", "long"):
        return int(max(low, min(1, shape.metadata.get("max", 1))))
    if kind in ("float", "double"):
        return float(max(low, 0))
    if kind == "string":
        return text(shape)
    return {"boolean": False, "timestamp": 1_700_000_000, "blob": b"a"}[kind]


class Faults(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.found = []

    def emit(self, record):
        if record.exc_info or record.levelno >= logging.ERROR:
            self.found.append(record.getMessage())


@pytest.fixture(scope="module")
def platform() -> Iterator[tuple]:
    """The real parts in a thread of this process, and what they log as faults."""
    folder = Path(tempfile.mkdtemp(prefix="mme"))
    (folder / "local").mkdir()
    known = Record(0, "us-east-1", MINE.access_key_id, MINE.secret_access_key, runtime="process")
    parts, faults = compose(folder, known), Faults()
    logging.getLogger().addHandler(faults)
    with serving(parts.services, opening=parts.open, closing=parts.close) as connection:
        yield connection, faults
    logging.getLogger().removeHandler(faults)
    shutil.rmtree(folder)


def asked(client, name, params):
    """Status, code and message of an answer."""
    try:
        found = client._make_api_call(name, params)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return status, error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    return found["ResponseMetadata"]["HTTPStatusCode"], "", ""


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_is_carried_out_or_refused_by_name(platform, client_for, service):
    connection, faults = platform
    faults.found.clear()
    config = Config(inject_host_prefix=False, parameter_validation=False)
    client = client_for(connection, service, config=config)
    model = service_model(service)
    wrong = []
    for name in model.operation_names:
        shape = model.operation_model(name).input_shape
        status, code, message = asked(client, name, smallest(shape) if shape else {})
        refused = code in REFUSED and (name in message or service == "s3")
        own = code not in {*REFUSED, "", "Unknown"} and 300 <= status < 500
        done = code == "" and status < 300
        if not (refused or own or done):
            wrong.append((name, status, code, message))
    assert wrong == []
    assert faults.found == []


def refused(client, name, **params):
    """Code, message and status of a refusal."""
    with pytest.raises(ClientError) as caught:
        client._make_api_call(name, params)
    response = caught.value.response
    error = response["Error"]
    return error["Code"], error["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


LAX = Config(parameter_validation=False, inject_host_prefix=False)


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({}, "ValidationException", "null at 'serviceNamespace'"),
        ({"ServiceNamespace": "x"}, "ValidationException", "enum value set"),
        ({"ServiceNamespace": "ecs", "MaxResults": 51}, "ValidationException", "'maxResults'"),
        ({"ServiceNamespace": "ecs", "MaxResults": 0}, "ValidationException", "'maxResults'"),
        ({"ServiceNamespace": "ecs", "MaxResults": "many"}, "SerializationException", "Integer"),
        ({"ServiceNamespace": "ecs", "NextToken": "x"}, "InvalidNextTokenException", "token"),
        (
            {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"},
            "ValidationException",
            "resource ID",
        ),
    ],
)
def test_scaling_activities_that_cannot_be_described(platform, client_for, params, code, text):
    client = client_for(platform[0], "application-autoscaling", config=LAX)
    found = refused(client, "DescribeScalingActivities", **params)
    assert (found[0], found[2]) == (code, 400)
    assert text in found[1]


def test_nothing_was_scaled(platform, client_for):
    client = client_for(platform[0], "application-autoscaling")
    place = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/demo/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    for given in (place, {**place, "IncludeNotScaledActivities": True, "MaxResults": 50}):
        assert client.describe_scaling_activities(**given)["ScalingActivities"] == []


@pytest.mark.parametrize(
    ("service", "name", "params", "code"),
    [
        ("iam", "SimulateCustomPolicy", {"PolicyInputList": ["a"], "ActionNames": ["a"]}, 403),
        ("iam", "GenerateServiceLastAccessedDetails", {"Arn": "a"}, 400),
        ("ecr", "DescribePullThroughCacheRules", {}, 400),
        ("application-autoscaling", "GetPredictiveScalingForecast", None, 400),
        ("cloudwatch", "PutMetricStream", None, 400),
        ("logs", "CreateLogStream", {"logGroupName": "a", "logStreamName": "b"}, 400),
        ("sagemaker", "CreateTrainingJob", None, 400),
    ],
)
def test_what_is_not_there_is_refused_by_its_name(
    platform, client_for, service, name, params, code
):
    shape = service_model(service).operation_model(name).input_shape
    found = refused(
        client_for(platform[0], service, config=LAX),
        name,
        **(smallest(shape) if params is None else params),
    )
    assert name in found[1]
    assert found[2] == code


def test_messages_that_nobody_encoded(platform, client_for):
    found = refused(
        client_for(platform[0], "sts"), "DecodeAuthorizationMessage", EncodedMessage="a"
    )
    assert found[0] == "InvalidAuthorizationMessageException"


@pytest.mark.parametrize(
    ("service", "name"),
    [("dynamodb", "ListTables"), ("ec2", "DescribeInstances"), ("sns", "ListTopics")],
)
def test_services_that_are_not_there(platform, client_for, service, name):
    found = refused(client_for(platform[0], service), name)
    assert (found[0], found[2]) == ("UnknownServiceException", 404)
    assert f"no service '{service}'" in found[1]


def test_metrics_that_boto3_compresses(platform, client_for):
    client = client_for(platform[0], "cloudwatch")
    data = [{"MetricName": f"a-long-name-{n}", "Value": 1.0} for n in range(900)]
    client.put_metric_data(Namespace="Many", MetricData=data)
    pages = client.get_paginator("list_metrics").paginate(Namespace="Many")
    assert sum(len(page["Metrics"]) for page in pages) == 900


def broken(environment, start):
    """A stand-in for moto that fails in the ways that moto does."""
    body = environment["wsgi.input"].read()
    if b"GetUser" in body:
        raise KeyError("UserName")
    if b"ListUsers" in body:
        raise NotImplementedError("The list_users action has not been implemented")
    if b"ListRoles" in body:
        raise NotImplementedError("Filtering is not implemented")
    start("500 INTERNAL SERVER ERROR", [("Content-Type", "text/html")])
    return [b"<h1>oops</h1>"]


@pytest.mark.parametrize(
    ("name", "code", "status", "text"),
    [
        ("GetUser", "NotImplemented", 501, "GetUser with these parameters (KeyError: 'UserName')"),
        ("ListUsers", "InvalidAction", 400, "'ListUsers' is not known"),
        ("ListRoles", "NotImplemented", 501, "ListRoles with these parameters (Filtering is not"),
        ("ListGroups", "NotImplemented", 501, "ListGroups with these parameters (status 500)"),
    ],
)
def test_what_moto_cannot_do_is_no_fault(client_for, platform, name, code, status, text):
    _, faults = platform
    faults.found.clear()
    with serving({"iam": SmallServices(lambda _: broken)}) as connection:
        found = refused(client_for(connection, "iam"), name)
    assert (found[0], found[2]) == (code, status)
    assert text in found[1]
    assert faults.found == []


def test_fields_of_the_wrong_kind(platform, client_for):
    client = client_for(platform[0], "iam", config=LAX)
    assert refused(client, "ListRoles", MaxItems="many")[0] == "MalformedInput"
    found = refused(client, "CreateRole", RoleName="s")
    assert found[0] == "ValidationError"
    assert "null at 'assumeRolePolicyDocument'" in found[1]


def test_the_door_to_motos_own_state_is_shut(platform, client_for):
    connection, _ = platform
    client = client_for(connection, "iam")
    client.create_user(UserName="kept")

    def elsewhere(request, **_):
        request.url += "moto-api/reset"

    client.meta.events.register("before-sign.iam.ListUsers", elsewhere)
    assert refused(client, "ListUsers")[2] == 404
    assert client.get_user(UserName="kept")["User"]["UserName"] == "kept"

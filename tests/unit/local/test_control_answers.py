"""Every answer of the control plane and of the logs, read by botocore's own JSON parser."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from botocore.parsers import JSONParser
from fakes.control import HeldFleets, arn, config, control, endpoint, model

from mmectl.local.control.validate import prune, service_model
from mmectl.local.logs.service import GROUP, Logs

NAMES = {
    "CreateModel": model("second"),
    "DescribeModel": {"ModelName": "model"},
    "ListModels": {"MaxResults": 1},
    "CreateEndpointConfig": config("second"),
    "DescribeEndpointConfig": {"EndpointConfigName": "config"},
    "ListEndpointConfigs": {},
    "CreateEndpoint": endpoint("second"),
    "DescribeEndpoint": {"EndpointName": "endpoint"},
    "ListEndpoints": {},
    "UpdateEndpoint": endpoint("endpoint"),
    "UpdateEndpointWeightsAndCapacities": {
        "EndpointName": "endpoint",
        "DesiredWeightsAndCapacities": [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}],
    },
    "AddTags": {"ResourceArn": arn("model", "model"), "Tags": [{"Key": "a", "Value": "b"}]},
    "ListTags": {"ResourceArn": arn("model", "model")},
    "DeleteTags": {"ResourceArn": arn("model", "model"), "TagKeys": ["a"]},
    "DeleteEndpoint": {"EndpointName": "endpoint"},
    "DeleteEndpointConfig": {"EndpointConfigName": "config"},
    "DeleteModel": {"ModelName": "model"},
}


def parsed(service: str, operation: str, answer: dict) -> dict:
    """What boto3 makes of an answer; every required member must be there."""
    shape = service_model(service).operation_model(operation).output_shape
    response = {"status_code": 200, "headers": {}, "body": json.dumps(answer).encode()}
    result = JSONParser().parse(response, shape)
    result.pop("ResponseMetadata")
    missing(shape, answer)
    return result


def missing(shape, value) -> None:
    if shape is None or value is None:
        return
    if shape.type_name == "structure":
        assert set(shape.required_members) <= set(value), shape.name
        assert set(value) <= set(shape.members), shape.name
        for name, item in value.items():
            missing(shape.members[name], item)
    if shape.type_name == "list":
        for item in value:
            missing(shape.member, item)


@pytest.mark.parametrize("state", ["InService", "Updating"])
@pytest.mark.parametrize("operation", NAMES)
async def test_botocore_reads_every_answer(tmp_path, operation, state):
    if state == "Updating" and operation.startswith("UpdateEndpoint"):
        state = "InService"
    fleets = HeldFleets(hold=False)
    plane = control(tmp_path, fleets)
    await plane.open()
    await plane.call("CreateModel", {**model(), "Tags": [{"Key": "k", "Value": "v"}]})
    await plane.call("CreateEndpointConfig", config())
    await plane.call("CreateEndpoint", endpoint())
    await plane.settled()
    if state == "Updating":
        fleets.hold = True
        await plane.call("UpdateEndpoint", endpoint())
        await fleets.quiet()

    answer = await plane.call(operation, NAMES[operation])
    result = parsed("sagemaker", operation, answer)
    await plane.close()

    assert set(result) == set(answer)
    if operation.startswith("Describe"):
        assert isinstance(result["CreationTime"], datetime)
    if operation == "DescribeEndpoint":
        assert result["EndpointStatus"] == state
        assert ("PendingDeploymentSummary" in result) == (state == "Updating")


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("DescribeLogGroups", {}),
        ("DescribeLogStreams", {"logGroupName": GROUP + "demo"}),
        ("GetLogEvents", {"logGroupName": GROUP + "demo", "logStreamName": "AllTraffic/i-1"}),
        ("FilterLogEvents", {"logGroupName": GROUP + "demo", "limit": 1}),
    ],
)
async def test_botocore_reads_the_logs(tmp_path, operation, params):
    folder = tmp_path / "demo" / "AllTraffic"
    folder.mkdir(parents=True)
    (folder / "i-1.log").write_text("1700000000000 one\n1700000001000 two\n")

    answer = await Logs(tmp_path, region="us-east-2").call(operation, params)

    assert set(parsed("logs", operation, answer)) == set(answer)
    assert any(answer.values())


def test_what_the_model_does_not_have_is_left_out():
    answer = {"ModelArn": "arn:aws:sagemaker:us-east-2:123456789012:model/m", "Extra": 1}

    assert prune("sagemaker", "CreateModel", answer) == {"ModelArn": answer["ModelArn"]}
    assert prune("sagemaker", "DeleteModel", {"Extra": 1}) == {}

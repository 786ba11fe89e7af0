"""The front door with fakes behind it: SageMaker's protocols over real HTTP and boto3."""

from __future__ import annotations

import http.client
import json
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from in_process import serving

from mmectl.local.server.handlers import JsonService, SageMaker, Status
from mmectl.local.values import MAX_INVOKE, AwsError, InvokeResponse


class FakeControl:
    """Endpoints ``many`` (multi-model) and ``one``; remembers what was asked."""

    def __init__(self):
        self.calls = []

    async def call(self, operation, params):
        self.calls.append((operation, params))
        if operation == "ListEndpoints":
            return {"Endpoints": [{"EndpointName": "many"}, {"EndpointName": "gone"}]}
        if params.get("EndpointName") != "many":
            raise AwsError("ValidationException", "Could not find endpoint.")
        return {"EndpointName": "many", "EndpointStatus": "InService", "EndpointConfigName": "c"}

    async def serving(self, name, variant=None):
        if name not in ("many", "one"):
            raise AwsError("ValidationError", f"Endpoint {name} of account 1 not found.")
        return SimpleNamespace(
            endpoint=name, config="c", multi_model=name == "many", others=(), capture=None
        )


class FakeFleets:
    """Answers with what it was asked; target ``boom`` is a bug, ``bad`` a model's error."""

    async def invoke(self, endpoint, config, request):
        if request.target_model == "boom":
            raise ZeroDivisionError
        if request.target_model == "bad":
            members = {"OriginalStatusCode": 500, "OriginalMessage": "no", "LogStreamArn": "arn"}
            raise AwsError("ModelError", "Received server error (500)", 424, members)
        if request.target_model == "cold":
            raise AwsError("ModelNotReadyException", "not ready", 429)
        told = [endpoint, config, len(request.body), request.content_type, request.target_model]
        return InvokeResponse(
            json.dumps(told).encode(), "application/json", "AllTraffic", request.custom_attributes
        )

    def describe(self, endpoint, config):
        return [{"id": "i-1", "state": "InService"}]


@pytest.fixture(scope="module")
def connection():
    """The gateway in a thread of this process."""
    control, fleets = FakeControl(), FakeFleets()
    services = {
        "sagemaker": SageMaker(control, fleets),
        "logs": JsonService("Logs_20140328", control),
        "mmectl": Status(control, fleets, {}),
    }
    with serving(services) as found:
        yield found


@pytest.fixture
def runtime(connection, client_for):
    return client_for(connection, "sagemaker-runtime")


def invoke(runtime, target="m.tar.gz", endpoint="many", **more):
    target = {"TargetModel": target} if target else {}
    return runtime.invoke_endpoint(EndpointName=endpoint, **target, **{"Body": b"x", **more})


def refused(runtime, code, **params):
    with pytest.raises(ClientError) as caught:
        invoke(runtime, **params)
    assert caught.value.response["Error"]["Code"] == code
    return caught.value.response


def test_an_invocation_reaches_the_fleet_and_comes_back(runtime):
    answer = invoke(runtime, ContentType="application/x-image", CustomAttributes="trace=1")
    told = json.loads(answer["Body"].read())
    assert told == ["many", "c", 1, "application/x-image", "m.tar.gz"]
    assert (answer["InvokedProductionVariant"], answer["ContentType"]) == (
        "AllTraffic",
        "application/json",
    )
    assert answer["CustomAttributes"] == "trace=1"
    assert answer["ResponseMetadata"]["RequestId"]


FORMS = [
    "multipart/form-data; boundary=X",
    'Multipart/Form-Data; boundary="X"',
    "application/x-www-form-urlencoded",
    "APPLICATION/X-WWW-FORM-URLENCODED; charset=utf-8",
    "application/x-amz-json-1.1",
    "application/cbor",
    "aws-chunked",
    "nonsense",
    "text/plain; charset=",
]


@pytest.mark.parametrize("kind", FORMS)
def test_the_content_type_is_the_containers_business(runtime, kind):
    answer = runtime.invoke_endpoint(
        EndpointName="many", TargetModel="a.tar.gz", ContentType=kind, Body=b"--X--"
    )
    assert json.loads(answer["Body"].read()) == ["many", "c", 5, kind, "a.tar.gz"]


@pytest.mark.parametrize("kind", FORMS)
def test_errors_are_the_runtimes_whatever_the_content_type(runtime, kind):
    answer = refused(runtime, "ModelError", target="bad", ContentType=kind)
    assert answer["OriginalStatusCode"] == 500


def test_a_form_that_is_not_signed_is_no_upload_where_models_are_asked(connection):
    host = connection.endpoint_url.removeprefix("http://")
    asked = http.client.HTTPConnection(host, timeout=10)
    asked.request("POST", "/endpoints/many/invocations", b"--X--", {"Content-Type": FORMS[0]})
    answer = asked.getresponse()
    assert (answer.status, b"POST policy" in answer.read()) == (403, False)
    asked.close()


def test_the_largest_body_passes_and_one_byte_more_does_not(runtime):
    assert json.loads(invoke(runtime, Body=bytes(MAX_INVOKE))["Body"].read())[2] == MAX_INVOKE
    answer = refused(runtime, "413", Body=bytes(MAX_INVOKE + 1))
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_errors_of_the_runtime_have_their_members(runtime):
    answer = refused(runtime, "ModelError", target="bad")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (answer["OriginalStatusCode"], answer["OriginalMessage"]) == (500, "no")
    assert answer["Error"]["Message"] == "Received server error (500)"
    answer = refused(runtime, "ModelNotReadyException", target="cold")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429


def test_the_target_must_fit_the_endpoint(runtime):
    refused(runtime, "ValidationError", endpoint="one")
    refused(runtime, "ValidationError", endpoint="many", target=None)
    refused(runtime, "ValidationError", endpoint="missing")
    assert invoke(runtime, endpoint="one", target=None)["Body"].read()


def test_a_bug_is_an_internal_failure_with_the_requests_id(runtime):
    answer = refused(runtime, "InternalFailure", target="boom")
    assert answer["ResponseMetadata"]["RequestId"] in answer["Error"]["Message"]


def test_the_control_plane_speaks_json(connection, client_for):
    sagemaker = client_for(connection, "sagemaker")
    assert sagemaker.describe_endpoint(EndpointName="many")["EndpointStatus"] == "InService"
    with pytest.raises(ClientError) as caught:
        sagemaker.describe_endpoint(EndpointName="x")
    assert caught.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "Could not find endpoint.",
    }


def test_other_runtime_operations_are_refused(runtime):
    with pytest.raises(ClientError) as caught:
        runtime.invoke_endpoint_async(EndpointName="many", InputLocation="s3://b/k")
    assert caught.value.response["Error"]["Code"] == "ValidationError"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("InferenceComponentName", "component"),
        ("TargetContainerHostname", "host"),
        ("EnableExplanations", "`true`"),
        ("SessionId", "NEW_SESSION"),
        ("PrefixAwareId", "prefix"),
    ],
)
def test_what_no_endpoint_here_can_do_is_refused(runtime, member, value):
    answer = refused(runtime, "ValidationError", **{member: value})
    assert "Endpoint many" in answer["Error"]["Message"]


def test_members_that_are_too_long(runtime):
    answer = refused(runtime, "ValidationError", CustomAttributes="a" * 1025)
    assert "'customAttributes'" in answer["Error"]["Message"]
    assert invoke(runtime, CustomAttributes="a" * 1024)["CustomAttributes"] == "a" * 1024

"""The control plane and the runtime over stubbed clients."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Iterator

import pytest
from botocore.response import StreamingBody

from mmectl.aws.sagemaker import Runtime, Sagemaker
from mmectl.aws.session import Aws
from mmectl.base.errors import InvokeError, ModelNotReady, ServiceError, TryAgain
from mmectl.base.values import Credentials
from mmectl.invoke import Request

ARN = "arn:aws:sagemaker:eu-central-1:123456789012:model/demo-1"


def test_missing_things_are_none(aws, stub):
    stub("sagemaker").add_client_error(
        "describe_endpoint", "ValidationException", 'Could not find endpoint "arn:..."', 400
    )
    assert Sagemaker(aws).describe_endpoint("demo") is None


def test_other_refusals_are_errors(aws, stub):
    stub("sagemaker").add_client_error("describe_endpoint", "ThrottlingException", "Rate exceeded")
    with pytest.raises(ServiceError) as caught:
        Sagemaker(aws).describe_endpoint("demo")
    assert caught.value.code == "aws_ThrottlingException"


def test_deleting_what_is_gone_is_fine(aws, stub):
    stub("sagemaker").add_client_error(
        "delete_model", "ValidationException", 'Could not find model "arn:..."', 400
    )
    Sagemaker(aws).delete_model("demo-1")


def test_only_what_carries_the_tag_is_ours(aws, stub):
    sagemaker = stub("sagemaker")
    models = [
        {"ModelName": f"demo-{i}", "ModelArn": f"{ARN}{i}", "CreationTime": 1.0}
        for i in (1, 2, 3, 44)
    ]
    sagemaker.add_response("list_models", {"Models": models}, {"NameContains": "demo"})
    tags = {"Tags": [{"Key": "mmectl:endpoint", "Value": "demo"}]}
    sagemaker.add_response("list_tags", tags, {"ResourceArn": f"{ARN}1"})
    sagemaker.add_response("list_tags", {"Tags": []}, {"ResourceArn": f"{ARN}2"})
    sagemaker.add_client_error("list_tags", "ValidationException", "Could not find model")
    found = Sagemaker(aws).tagged("model", "demo", r"demo-\d", ("mmectl:endpoint", "demo"))
    assert found == ("demo-1",)


def five_models(sagemaker) -> None:
    models = [
        {"ModelName": f"demo-{i}", "ModelArn": f"{ARN}{i}", "CreationTime": 1.0} for i in range(5)
    ]
    sagemaker.add_response("list_models", {"Models": models}, {"NameContains": "demo"})


TAG = {"Tags": [{"Key": "mmectl:endpoint", "Value": "demo"}]}


def test_the_tags_of_many_things_are_asked_for_at_once(aws, stub):
    sagemaker = stub("sagemaker")
    five_models(sagemaker)
    known = [{"ResourceARN": f"{ARN}{i}", **TAG} for i in range(4)]
    stub("resourcegroupstaggingapi").add_response(
        "get_resources",
        {"ResourceTagMappingList": known},
        {
            "TagFilters": [{"Key": "mmectl:endpoint", "Values": ["demo"]}],
            "ResourceTypeFilters": ["sagemaker:model"],
            "ResourcesPerPage": 100,
        },
    )
    sagemaker.add_response("list_tags", TAG, {"ResourceArn": f"{ARN}4"})  # made just now
    found = Sagemaker(aws).tagged("model", "demo", r"demo-\d", ("mmectl:endpoint", "demo"))
    assert found == tuple(f"demo-{i}" for i in range(5))


def test_who_may_not_ask_for_tags_at_once_asks_one_by_one(aws, stub):
    sagemaker = stub("sagemaker")
    five_models(sagemaker)
    stub("resourcegroupstaggingapi").add_client_error("get_resources", "AccessDeniedException")
    for number in range(5):
        sagemaker.add_response("list_tags", TAG, {"ResourceArn": f"{ARN}{number}"})
    found = Sagemaker(aws).tagged("model", "demo", r"demo-\d", ("mmectl:endpoint", "demo"))
    assert len(found) == 5


def test_last_words_come_from_the_stream_that_wrote_last(aws, stub):
    logs = stub("logs")
    group = "/aws/sagemaker/Endpoints/demo"
    logs.add_response(
        "describe_log_streams",
        {
            "logStreams": [
                {"logStreamName": "AllTraffic/i-old", "creationTime": 1_000},
                {"logStreamName": "AllTraffic/i-1", "creationTime": 900_000},
            ]
        },
        {"logGroupName": group, "orderBy": "LastEventTime", "descending": True, "limit": 50},
    )
    logs.add_response(
        "get_log_events",
        {"events": [{"message": "one\n"}, {"message": "two"}]},
        {
            "logGroupName": group,
            "logStreamName": "AllTraffic/i-1",
            "limit": 5,
            "startFromHead": False,
        },
    )
    assert Sagemaker(aws).log_tail("demo", 5, since=800.0) == ("one", "two")


REQUEST = Request("demo", "a.tar.gz", b"x", "image/png")
SENT = {"EndpointName": "demo", "Body": b"x", "ContentType": "image/png", "TargetModel": "a.tar.gz"}


def test_answers_are_values(aws, stub):
    stub("sagemaker-runtime").add_response(
        "invoke_endpoint",
        {
            "Body": StreamingBody(io.BytesIO(b"[]"), 2),
            "ContentType": "application/json",
            "InvokedProductionVariant": "AllTraffic",
            "CustomAttributes": "mmectl-cold=true",
        },
        SENT,
    )
    answer = Runtime(aws).invoke(REQUEST)
    assert (answer.body, answer.variant, answer.attributes) == (
        b"[]",
        "AllTraffic",
        "mmectl-cold=true",
    )


@pytest.mark.parametrize(
    ("code", "members", "kind", "said"),
    [
        ("ModelNotReadyException", {}, ModelNotReady, "a.tar.gz: text"),
        (
            "ModelError",
            {"OriginalStatusCode": 400, "OriginalMessage": '{"code":400,"message":"bad image"}'},
            InvokeError,
            "a.tar.gz answered 400: bad image",
        ),
        ("ModelError", {"OriginalStatusCode": 500}, InvokeError, "a.tar.gz answered 500: text"),
        ("ValidationError", {}, InvokeError, "a.tar.gz: text"),
        ("ThrottlingException", {}, TryAgain, "a.tar.gz: text"),
    ],
)
def test_refusals_are_told_apart(aws, stub, code, members, kind, said):
    stub("sagemaker-runtime").add_client_error(
        "invoke_endpoint", code, "text", 400, modeled_fields=members or None, expected_params=SENT
    )
    with pytest.raises(kind) as caught:
        Runtime(aws).invoke(REQUEST)
    assert caught.value.message == said


@pytest.mark.parametrize("status", [500, 503])
def test_what_may_pass_is_told_by_its_status(aws, stub, status):
    stub("sagemaker-runtime").add_client_error(
        "invoke_endpoint", "ServiceUnavailable", "full", status, expected_params=SENT
    )
    with pytest.raises(TryAgain, match="full") as caught:
        Runtime(aws).invoke(REQUEST)
    assert caught.value.code == "aws_ServiceUnavailable"


@pytest.mark.parametrize(
    ("code", "status", "kind", "said"),
    [
        ("ThrottlingException", 400, TryAgain, "a.tar.gz: ThrottlingException"),
        ("InternalDependencyException", 530, TryAgain, "a.tar.gz: InternalDependencyException"),
        ("ValidationError", 400, InvokeError, "a.tar.gz: ValidationError"),
    ],
)
def test_a_message_may_be_null(aws, stub, code, status, kind, said):
    """As SageMaker Runtime answers throttles."""
    stub("sagemaker-runtime").add_client_error(
        "invoke_endpoint", code, None, status, expected_params=SENT
    )
    with pytest.raises(kind) as caught:
        Runtime(aws).invoke(REQUEST)
    assert caught.value.message == said
    stub("sagemaker").add_client_error("describe_endpoint", code, None, status)
    with pytest.raises(ServiceError, match=code):
        Sagemaker(aws).describe_endpoint("demo")


@pytest.fixture
def hanging_up() -> Iterator[str]:
    """The URL of a server that closes each connection once it has the request."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65536)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.allow_sockets
def test_a_connection_that_is_closed_is_asked_again(hanging_up):
    aws = Aws(
        region="eu-central-1", endpoint_url=hanging_up, credentials=Credentials("AKID", "secret")
    )
    with pytest.raises(TryAgain, match="closed the connection"):
        Runtime(aws).invoke(REQUEST)


def test_unreachable_endpoint_is_named(aws):
    with pytest.raises(InvokeError, match="cannot be reached"):
        Runtime(aws).invoke(REQUEST)


DESCRIBED = {"ModelName": "demo-1", "ModelArn": ARN, "CreationTime": 1.0}


def test_tags_of_what_exists_are_read_set_and_removed(aws, stub):
    client = stub("sagemaker")
    client.add_response("describe_model", DESCRIBED, {"ModelName": "demo-1"})
    tags = [{"Key": "team", "Value": "a"}]
    client.add_response("list_tags", {"Tags": tags}, {"ResourceArn": ARN})
    client.add_response("add_tags", {"Tags": tags}, {"ResourceArn": ARN, "Tags": tags})
    client.add_response("delete_tags", {}, {"ResourceArn": ARN, "TagKeys": ["team"]})
    sagemaker = Sagemaker(aws)

    assert sagemaker.tags("model", "demo-1") == {"team": "a"}
    sagemaker.add_tags("model", "demo-1", {"team": "a"})
    sagemaker.delete_tags("model", "demo-1", ["team"])
    client.assert_no_pending_responses()


def test_what_was_deleted_has_no_tags(aws, stub):
    stub("sagemaker").add_client_error(
        "describe_model", "ValidationException", 'Could not find model "arn:..."', 400
    )
    assert Sagemaker(aws).tags("model", "demo-1") == {}


def test_an_update_takes_its_policy_along(aws, stub):
    client = stub("sagemaker")
    request = {
        "EndpointName": "demo",
        "EndpointConfigName": "demo-2",
        "DeploymentConfig": {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}},
    }
    client.add_response("update_endpoint", {"EndpointArn": ARN}, request)
    Sagemaker(aws).update_endpoint(request)
    client.assert_no_pending_responses()

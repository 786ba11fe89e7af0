"""Every error of the runtime API over HTTP with boto3: code, status, header, members, text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from scripted import Account, archive, platform

from mmectl.local.fleet.data_plane import RouterSettings
from mmectl.local.values import MAX_INVOKE

SHORT = RouterSettings(
    wait=1.0, invoke=1.0, load=2.5, unload=1.0, grace=0.05, memory=4 << 30, drain=5.0
)
FAILED = {"code": 503, "type": "InternalServerException", "message": "Prediction failed"}
DIED = {"code": 500, "type": "InternalServerException", "message": "Worker died."}
NO_WORKERS = {"code": 500, "type": "InternalServerException", "message": "Failed to start workers"}
LOST = "The primary container for production variant AllTraffic did not pass the ping health check"


@pytest.fixture(scope="module")
def account(client_for: Any) -> Iterator[Account]:
    with platform(SHORT) as connection:
        account = Account(connection, client_for)
        fill(account)
        account.model("model")
        account.model("broken", BROKEN="yes")
        account.model("slow", NEVER_READY="yes")
        account.config("demo")
        account.config("broken", {"ModelName": "broken"})
        account.config("slow", {"ModelName": "slow"})
        account.endpoint("demo", "demo")
        account.endpoint("failed", "broken", wait=False)
        account.endpoint("creating", "slow", wait=False)
        yield account


def fill(account: Account) -> None:
    account.put("good.tar.gz")
    account.put("echo.tar.gz", invoke=["echo"])
    account.put("bad.tar.gz", b"this is no archive")
    account.put("empty.tar.gz", b"")
    account.put("outside.tar.gz", archive()[:-20])
    said = "ValueError: model-symbol.json: expected one, found none"
    account.put("unloadable.tar.gz", load=[{"status": 500, "body": NO_WORKERS, "say": said}])
    account.put("raises.tar.gz", invoke=[{"status": 503, "body": FAILED}])
    account.put("refuses.tar.gz", invoke=[{"status": 400, "body": "no image"}])
    account.put("dies.tar.gz", invoke=[{"status": 500, "body": DIED}])
    account.put("wide.tar.gz", load=[{"status": 507, "body": "no memory"}])
    account.put("large.tar.gz", invoke=[{"status": 413, "body": ""}])
    account.put("hangs.tar.gz", invoke=[{"sleep": 1.5}])
    account.put("cold.tar.gz", load=[{"sleep": 1.4}])
    account.put("frozen.tar.gz", load=[{"sleep": 3.0}])


CONSOLE = (
    r"See https://us-east-1\.console\.aws\.amazon\.com/cloudwatch/home\?region=us-east-1"
    r"#logEventViewer:group=/aws/sagemaker/Endpoints/demo in account 123456789012 "
    r"for more information\."
)
STREAM = (
    r"arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/demo"
    r":log-stream:AllTraffic/i-0[0-9a-f]{16}"
)

REFUSED: dict[str, tuple[Any, ...]] = {
    "unknown endpoint": (
        {"endpoint": "gone", "target": "good.tar.gz"},
        400,
        "ValidationError",
        "Endpoint gone of account 123456789012 not found.",
        "NO_SUCH_ENDPOINT",
    ),
    "endpoint that is being created": (
        {"endpoint": "creating", "target": "good.tar.gz"},
        400,
        "ValidationError",
        "Endpoint creating of account 123456789012 not found.",
        "NO_SUCH_ENDPOINT",
    ),
    "endpoint that failed": (
        {"endpoint": "failed", "target": "good.tar.gz"},
        400,
        "ValidationError",
        "Endpoint failed of account 123456789012 not found.",
        "NO_SUCH_ENDPOINT",
    ),
    "no target": (
        {"target": None},
        400,
        "ValidationError",
        r"Request [0-9a-f]{32} is missing a target model header, which the multi-model "
        r"endpoint demo requires\.",
        None,
    ),
    "target that climbs": (
        {"target": "../good.tar.gz"},
        400,
        "ValidationError",
        r"1 validation error detected: Value at 'targetModel' failed to satisfy constraint: "
        r"Member must not have the segments .*",
        None,
    ),
    "target that is too long": (
        {"target": "x" * 1025},
        400,
        "ValidationError",
        r"1 validation error detected: Value at 'targetModel' .* Member must have length at most "
        "1024",
        None,
    ),
    "no such object": (
        {"target": "none.tar.gz"},
        400,
        "ValidationError",
        r"Failed to download model data for TargetModel none\.tar\.gz: no object "
        r"s3://models/demo/none\.tar\.gz\..*",
        None,
    ),
    "no such variant": (
        {"target": "good.tar.gz", "TargetVariant": "Other"},
        400,
        "ValidationError",
        r"Variant Other not found for Request\.",
        None,
    ),
    "too large": (
        {"target": "good.tar.gz", "Body": bytes(MAX_INVOKE + 1)},
        413,
        "413",
        r"HTTP content length exceeded 6291456 bytes\.",
        None,
    ),
    "a load that goes on": (
        {"target": "cold.tar.gz"},
        429,
        "ModelNotReadyException",
        r"Model cold\.tar\.gz for variant AllTraffic is not ready for inference yet.*",
        None,
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(account: Account, case: str) -> None:
    params, status, code, text, error_code = REFUSED[case]
    answer = refused(account, **params)

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
    assert answer["Error"]["Code"] == code
    assert re.fullmatch(text, answer["Error"]["Message"]), answer["Error"]["Message"]
    assert answer["ResponseMetadata"]["HTTPHeaders"].get("x-amzn-errortype", "413") == code
    assert json.loads(account.body).get("ErrorCode") == error_code


def refused(account: Account, **params: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        account.invoke(**params)
    answer: dict[str, Any] = caught.value.response
    return answer


# by target: whose error it is, OriginalStatusCode, OriginalMessage
MODEL_ERRORS = {
    "bad.tar.gz": ("client", 400, r"Failed to unpack model bad\.tar\.gz: .*not gzip.*"),
    "empty.tar.gz": ("client", 400, r"Failed to unpack model empty\.tar\.gz: .*"),
    "outside.tar.gz": ("client", 400, r"Failed to unpack model outside\.tar\.gz: .*"),
    "unloadable.tar.gz": (
        "server",
        500,
        r"Failed to load model unloadable\.tar\.gz: "
        r"ValueError: model-symbol\.json: expected one, found none",
    ),
    "wide.tar.gz": ("server", 507, r"Failed to load model wide\.tar\.gz: .*memory.*"),
    "raises.tar.gz": ("server", 503, r'.*"Prediction failed".*'),
    "refuses.tar.gz": ("client", 400, "no image"),
    "dies.tar.gz": ("server", 500, r"Worker died\..*"),
    "large.tar.gz": ("client", 413, r"Payload too large for the model server\."),
    "hangs.tar.gz": (
        "server",
        0,
        r"Your invocation timed out while waiting for a response from container primary\. "
        r"Review the latency metrics for each container in Amazon CloudWatch, resolve the "
        r"issue, and try again\.",
    ),
}


@pytest.mark.parametrize("target", MODEL_ERRORS)
def test_errors_of_the_model(account: Account, target: str) -> None:
    side, original, text = MODEL_ERRORS[target]
    answer = refused(account, target=target)
    message = answer["OriginalMessage"]

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-errortype"] == "ModelError"
    assert answer["Error"]["Code"] == "ModelError"
    assert re.fullmatch(text, message, re.DOTALL), message
    assert answer["OriginalStatusCode"] == original
    assert re.fullmatch(STREAM, answer["LogStreamArn"])
    whole = f'Received {side} error ({original}) from primary with message "{message}". '
    assert re.fullmatch(re.escape(whole) + CONSOLE, answer["Error"]["Message"])
    codes = {"client": "CLIENT_ERROR_FROM_MODEL", "server": "INTERNAL_FAILURE_FROM_MODEL"}
    assert json.loads(account.body)["ErrorCode"] == codes[side]


@pytest.mark.alone
def test_a_load_that_goes_on_ends_in_an_answer(account: Account) -> None:
    account.put("later.tar.gz", load=[{"sleep": 1.4}])
    assert refused(account, target="later.tar.gz")["Error"]["Code"] == "ModelNotReadyException"
    assert account.invoke("later.tar.gz")["Body"] == b"ok"


@pytest.mark.alone
def test_a_load_that_takes_too_long_is_given_up(account: Account) -> None:
    codes = [refused(account, target="frozen.tar.gz") for _ in range(3)]
    assert [answer["Error"]["Code"] for answer in codes][:2] == ["ModelNotReadyException"] * 2
    assert codes[2]["OriginalMessage"] == ("Failed to load model frozen.tar.gz: it took over 2.5 s")


def test_what_the_container_gets(account: Account) -> None:
    answer = account.invoke(
        "echo.tar.gz",
        ContentType="application/x-image",
        Accept="text/csv",
        CustomAttributes="trace=1",
        InferenceId="id-1",
        TargetVariant="AllTraffic",
    )
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    told = answer["Body"].decode()
    for text in ("application/x-image", "text/csv", "trace=1", "id-1", "echo.tar.gz"):
        assert f'"{text}"' in told


def test_failure_reason_names_the_cause(account: Account) -> None:
    found = account.describe("failed")
    assert found["EndpointStatus"] == "Failed"
    assert found["FailureReason"].startswith(LOST)
    assert "RuntimeError: no licence found" in found["FailureReason"]


def test_deletion_while_creating(account: Account) -> None:
    account.endpoint("short-lived", "slow", wait=False)
    account.sagemaker.delete_endpoint(EndpointName="short-lived")
    waiter = account.sagemaker.get_waiter("endpoint_deleted")
    waiter.config.delay = 0.05
    waiter.wait(EndpointName="short-lived")
    account.endpoint("short-lived", "demo")
    assert account.invoke("good.tar.gz", "short-lived")["Body"] == b"ok"
    account.sagemaker.delete_endpoint(EndpointName="short-lived")

"""`mmectl invoke --inference-id`."""

from __future__ import annotations

import io

import pytest
from botocore.response import StreamingBody
from fakes.cli import call, world

from mmectl.aws.sagemaker import Runtime
from mmectl.invoke import Request

__all__ = ["call", "world"]


def test_the_id_goes_with_the_request(aws, stub):
    body = StreamingBody(io.BytesIO(b"1"), 1)
    wanted = {"EndpointName": "demo", "Body": b"x", "TargetModel": "m", "InferenceId": "order-1"}
    stub("sagemaker-runtime").add_response("invoke_endpoint", {"Body": body}, wanted)
    answer = Runtime(aws).invoke(Request("demo", "m", b"x", inference_id="order-1"))
    assert answer.body == b"1"


@pytest.mark.parametrize("wrong", ["", " x", "a" * 65, "\u00fc", "a\nb"])
def test_what_sagemaker_would_refuse_is_refused(call, wrong):
    code, _, err = call("invoke", "-m", "shapes", "--inference-id", wrong, "star.png")
    assert code == 2
    assert "must be 1 to 64 printable ASCII characters" in err


@pytest.mark.parametrize("several", [("--random", "2"), ("-m", "shapes", "-m", "resnet_18")])
def test_an_id_is_for_one_request(call, several):
    code, _, err = call("invoke", *several, "--inference-id", "a", "star.png")
    assert (code, "--inference-id is for one request" in err) == (2, True)


def test_one_request_may_have_one(call):
    assert call("invoke", "-m", "shapes", "--inference-id", "a", "star.png")[0] == 0

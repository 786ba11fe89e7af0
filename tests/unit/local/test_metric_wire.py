"""CloudWatch's protocols, spoken by botocore's own serializers and parsers."""

from __future__ import annotations

import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from mmectl.local.control.validate import service_model
from mmectl.local.metrics.wire import decode, encode, refused
from mmectl.local.values import AwsError

NAMES = {"json": "json", "cbor": "smithy-rpc-v2-cbor", "query": "query"}
ASKED = {
    "Namespace": "Mine",
    "MetricData": [
        {"MetricName": "Size", "Value": 1.5, "Timestamp": "2026-01-02T03:04:05Z", "Unit": "Bytes"},
        {"MetricName": "Size", "Values": [1.0, 2.0], "Counts": [3.0, 1.0]},
    ],
}
ANSWER = {
    "MetricDataResults": [
        {
            "Id": "m1",
            "Label": "Sizeé",
            "Timestamps": [1_767_323_045],
            "Values": [2.5],
            "StatusCode": "Complete",
        }
    ]
}


def operation(name):
    return service_model("cloudwatch").operation_model(name)


@pytest.mark.parametrize("protocol", NAMES)
def test_requests_are_understood(protocol):
    request = create_serializer(NAMES[protocol]).serialize_to_request(
        ASKED, operation("PutMetricData")
    )
    body = request["body"]
    if isinstance(body, dict):
        from urllib.parse import urlencode

        body = urlencode(body).encode()
    asked = decode(protocol, "PutMetricData", bytes(body))
    assert asked.params["Namespace"] == "Mine"
    first, second = asked.params["MetricData"]
    assert (first["Value"], first["Timestamp"], first["Unit"]) == (1.5, 1_767_323_045, "Bytes")
    assert (second["Values"], second["Counts"]) == ([1.0, 2.0], [3.0, 1.0])


@pytest.mark.parametrize("protocol", NAMES)
def test_answers_are_understood(protocol):
    asked = decode(protocol, "GetMetricData", b"")
    body = encode(asked, ANSWER, "id")
    shape = operation("GetMetricData").output_shape
    parser = create_parser(NAMES[protocol])
    found = parser.parse({"status_code": 200, "headers": {}, "body": body}, shape)
    result = found["MetricDataResults"][0]
    assert (result["Label"], result["Values"]) == ("Sizeé", [2.5])
    assert result["Timestamps"][0].timestamp() == 1_767_323_045


@pytest.mark.parametrize("protocol", NAMES)
def test_an_empty_answer(protocol):
    asked = decode(protocol, "PutMetricData", b"")
    parser = create_parser(NAMES[protocol])
    body = encode(asked, {}, "id")
    assert parser.parse({"status_code": 200, "headers": {}, "body": body}, None)


@pytest.mark.parametrize("protocol", NAMES)
def test_errors_are_understood(protocol):
    error = AwsError("InvalidParameterValueException", "The é is wrong.")
    answer = refused(protocol, error, "id")
    headers = {name.lower(): value for name, value in answer.headers.items()}
    parser = create_parser(NAMES[protocol])
    body = answer.body
    response = {"status_code": answer.status, "headers": headers, "body": body}
    found = parser.parse(response, operation("GetMetricData").output_shape)
    assert found["Error"]["Code"] == "InvalidParameterValue"
    assert found["Error"]["Message"] == "The é is wrong."


@pytest.mark.parametrize("protocol", ["json", "cbor"])
@pytest.mark.parametrize("body", [b"\xff\xfe{", b"[]", b"\x9f"])
def test_nonsense_is_refused(protocol, body):
    with pytest.raises(AwsError, match="body") as caught:
        decode(protocol, "GetMetricData", body)
    assert caught.value.code == "SerializationException"

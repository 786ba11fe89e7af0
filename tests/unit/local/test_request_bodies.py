"""Bodies of requests as values, and what is no such body."""

from __future__ import annotations

import gzip
from urllib.parse import urlencode

import pytest
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from mmectl.local.control.validate import service_model
from mmectl.local.payloads import inflated, json_object, query_fields, query_params
from mmectl.local.values import AwsError


def refused(code, call, *arguments):
    with pytest.raises(AwsError) as caught:
        call(*arguments)
    assert (caught.value.code, caught.value.status) == (code, 413 if "Entity" in code else 400)
    return caught.value.message


def test_a_body_that_came_compressed():
    assert inflated(b"plain", None, 10) == b"plain"
    assert inflated(b"plain", "identity", 10) == b"plain"
    assert inflated(gzip.compress(b"x" * 1000, mtime=0), "GZIP", 1000) == b"x" * 1000


def test_a_bomb_is_not_unpacked():
    bomb = gzip.compress(bytes(50_000_000), mtime=0)
    assert "larger than 1000" in refused("RequestEntityTooLarge", inflated, bomb, "gzip", 1000)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"plain", "gzip"),
        (gzip.compress(b"x" * 100, mtime=0)[:-4], "gzip"),
        (gzip.compress(b"x", mtime=0) * 2, "gzip"),
        (b"plain", "br"),
        (b"plain", "gzip, gzip"),
    ],
)
def test_what_is_not_compressed_well(body, encoding):
    refused("SerializationException", inflated, body, encoding, 1000)


def test_objects():
    assert json_object(b"") == {}
    assert json_object(b'{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"1",
        b"null",
        b"{",
        b"\xff\xfe\xfd",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' + b"[" * 100_000,
        b'{"a": ' * 100_000,
    ],
    ids=range(10),
)
def test_what_is_no_object(body):
    refused("SerializationException", json_object, body)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_object_or_refused(body):
    try:
        assert isinstance(json_object(body), dict)
    except AwsError as error:
        assert error.status == 400  # noqa: PT017


def shape(service, operation):
    return service_model(service).operation_model(operation).input_shape


def by_botocore(service, operation, params):
    model = service_model(service).operation_model(operation)
    body = create_serializer("query").serialize_to_request(params, model)["body"]
    return query_params(model.input_shape, query_fields(urlencode(body).encode()))


def test_what_botocore_sends_is_read():
    sent = {
        "RoleName": "r",
        "AssumeRolePolicyDocument": '{"a": "b&c=d é"}',
        "MaxSessionDuration": 3600,
        "Tags": [{"Key": "a", "Value": ""}, {"Key": "b", "Value": "2"}],
    }
    assert by_botocore("iam", "CreateRole", sent) == sent
    sent = {"PolicyDocument": "{}", "PolicyName": "p", "Tags": []}
    assert by_botocore("iam", "CreatePolicy", sent) == sent
    sent = {"UserName": "u", "Marker": "m", "MaxItems": 7}
    assert by_botocore("iam", "ListAccessKeys", sent) == sent
    found = by_botocore(
        "cloudwatch",
        "GetMetricStatistics",
        {
            "Namespace": "N",
            "MetricName": "M",
            "StartTime": "2026-01-02T03:04:05Z",
            "EndTime": "2026-01-02T03:04:05.500Z",
            "Period": 60,
            "Dimensions": [{"Name": str(n), "Value": "v"} for n in range(12)],
        },
    )
    assert (found["StartTime"], found["EndTime"]) == (1_767_323_045, 1_767_323_045.5)
    assert [item["Name"] for item in found["Dimensions"]] == [str(n) for n in range(12)]


@pytest.mark.parametrize(
    "fields",
    [
        {"Period": "many"},
        {"Period": "1" * 5000},
        {"Period": ""},
        {"StartTime": "tomorrow"},
        {"StartTime": "9" * 5000},
        {"StartTime": "2026-13-01T00:00:00Z"},
        {"MetricName.x": "a"},
        {"Dimensions.member.1.Name.x": "a"},
        {"a." * 100: "a"},
    ],
)
def test_fields_that_cannot_be_read(fields):
    refused("MalformedInput", query_params, shape("cloudwatch", "GetMetricStatistics"), fields)


def test_odd_numbers_of_items_and_names():
    fields = {
        "Dimensions.member.7.Name": "b",
        "Dimensions.member.2.Name": "a",
        "Dimensions.member.x.Name": "no number",
        "Dimensions.member.99999999999999999999999.Name": "no number either",
        "Nothing.of.that": "name",
        "..": "dots",
    }
    found = query_params(shape("cloudwatch", "GetMetricStatistics"), fields)
    assert found == {"Dimensions": [{"Name": "a"}, {"Name": "b"}]}


def test_forms():
    assert query_fields(b"Action=A&b=%C3%A9&c") == {"Action": "A", "b": "é", "c": ""}
    refused("MalformedQueryString", query_fields, b"a=%ff")
    refused("MalformedQueryString", query_fields, b"a=\xff")
    refused("MalformedQueryString", query_fields, b"a=1&" * 60_000)


@given(st.dictionaries(st.text("abMember.1x", max_size=12), st.text(max_size=8), max_size=6))
def test_any_fields_are_read_or_refused(fields):
    for service, operation in (("iam", "CreateRole"), ("cloudwatch", "PutMetricData")):
        try:
            assert isinstance(query_params(shape(service, operation), fields), dict)
        except AwsError as error:
            assert error.status == 400  # noqa: PT017


def test_a_long_list_takes_no_square_of_time():
    fields = {f"MetricData.member.{n}.MetricName": "m" for n in range(40_000)}
    found = query_params(shape("cloudwatch", "PutMetricData"), fields)
    assert len(found["MetricData"]) == 40_000

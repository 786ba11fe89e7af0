"""Requests against the service model: types, limits and patterns, in AWS's words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmectl.local.control.patterns import category_ranges, matches, translate
from mmectl.local.control.validate import SHOWN, check, service_model
from mmectl.local.values import AwsError

TAGS = r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)"
VARIANT = {"VariantName": "A", "InitialInstanceCount": 1}


def config(**variant):
    return {"EndpointConfigName": "c", "ProductionVariants": [{**VARIANT, **variant}]}


def test_what_is_known_is_handed_on_and_the_rest_is_dropped():
    params = {
        **config(InitialVariantWeight=1, Colour="blue", InitialInstanceCount=2.0),
        "Tags": None,
        "Nothing": {"of": "ours"},
    }

    assert check("sagemaker", "CreateEndpointConfig", params) == config(
        InitialVariantWeight=1, InitialInstanceCount=2
    )


WRONG_TYPES = [
    ("CreateModel", [], "The request body must be a JSON object."),
    (
        "CreateModel",
        {"ModelName": 3},
        "NUMBER_VALUE cannot be converted to String (at 'modelName')",
    ),
    (
        "CreateModel",
        {"ModelName": True},
        "TRUE_VALUE cannot be converted to String (at 'modelName')",
    ),
    (
        "CreateModel",
        {"ModelName": ["m"]},
        "Start of list found where not expected (at 'modelName')",
    ),
    (
        "CreateModel",
        {"ModelName": {}},
        "Start of structure or map found where not expected (at 'modelName')",
    ),
    ("CreateModel", {"Tags": {}}, "Unexpected field type (at 'tags')"),
    ("CreateModel", {"PrimaryContainer": "image"}, "Unexpected field type (at 'primaryContainer')"),
    (
        "CreateModel",
        {"PrimaryContainer": {"Environment": {"A": 1}}},
        "NUMBER_VALUE cannot be converted to String (at 'primaryContainer.environment')",
    ),
    (
        "CreateEndpointConfig",
        config(InitialInstanceCount="1"),
        "STRING_VALUE cannot be converted to Integer "
        "(at 'productionVariants.1.member.initialInstanceCount')",
    ),
    (
        "CreateEndpointConfig",
        config(InitialInstanceCount=1.5),
        "NUMBER_VALUE cannot be converted to Integer "
        "(at 'productionVariants.1.member.initialInstanceCount')",
    ),
    (
        "CreateEndpointConfig",
        config(InitialInstanceCount=2**31),
        "NUMBER_VALUE cannot be converted to Integer "
        "(at 'productionVariants.1.member.initialInstanceCount')",
    ),
    (
        "CreateEndpointConfig",
        config(InitialVariantWeight=float("nan")),
        "NUMBER_VALUE cannot be converted to Float "
        "(at 'productionVariants.1.member.initialVariantWeight')",
    ),
    (
        "CreateModel",
        {"EnableNetworkIsolation": 1},
        "NUMBER_VALUE cannot be converted to Boolean (at 'enableNetworkIsolation')",
    ),
    (
        "ListModels",
        {"CreationTimeAfter": "yesterday"},
        "STRING_VALUE cannot be converted to Timestamp (at 'creationTimeAfter')",
    ),
]


@pytest.mark.parametrize(("operation", "params", "message"), WRONG_TYPES)
def test_wrong_types(operation, params, message):
    with pytest.raises(AwsError) as caught:
        check("sagemaker", operation, params)

    assert (caught.value.code, caught.value.message) == ("SerializationException", message)


CONSTRAINTS = [
    (
        "CreateModel",
        {"ModelName": "a_b", "ExecutionRoleArn": "me"},
        "3 validation errors detected: Value 'a_b' at 'modelName' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: [a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?; "
        "Value 'me' at 'executionRoleArn' failed to satisfy constraint: Member must have length "
        "greater than or equal to 20; Value 'me' at 'executionRoleArn' failed to satisfy "
        "constraint: Member must satisfy regular expression pattern: "
        r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+",
    ),
    (
        "CreateModel",
        {"ModelName": "m", "PrimaryContainer": {"Environment": {"1A": "x", "B": "y"}}},
        "1 validation error detected: Value '{1A=x, B=y}' at 'primaryContainer.environment' failed "
        "to satisfy constraint: Map keys must satisfy constraint: [Member must have length less "
        "than or equal to 1024, Member must have length greater than or equal to 0, Member must "
        "satisfy regular expression pattern: [a-zA-Z_][a-zA-Z0-9_]*]",
    ),
    (
        "CreateModel",
        {"ModelName": "m", "VpcConfig": {"SecurityGroupIds": ["sg_1"], "Subnets": ["s"] * 17}},
        "2 validation errors detected: Value '[sg_1]' at 'vpcConfig.securityGroupIds' failed to "
        "satisfy constraint: Member must satisfy constraint: [Member must have length less than or "
        "equal to 32, Member must have length greater than or equal to 0, Member must satisfy "
        "regular expression pattern: [-0-9a-zA-Z]+]; Value at 'vpcConfig.subnets' failed to "
        "satisfy constraint: Member must have length less than or equal to 16",
    ),
    (
        "CreateModel",
        {"ModelName": "m", "Tags": [{"Key": "a!", "Value": "b"}]},
        "1 validation error detected: Value 'a!' at 'tags.1.member.key' failed to satisfy "
        f"constraint: Member must satisfy regular expression pattern: {TAGS}",
    ),
]


@pytest.mark.parametrize(("operation", "params", "message"), CONSTRAINTS)
def test_constraints(operation, params, message):
    with pytest.raises(AwsError) as caught:
        check("sagemaker", operation, params)

    assert (caught.value.code, caught.value.message) == ("ValidationException", message)


def test_a_long_value_is_not_repeated_whole():
    with pytest.raises(AwsError) as caught:
        check("sagemaker", "CreateModel", {"ModelName": "m" * 1_000_000})

    assert len(caught.value.message) < SHOWN + 200


def test_an_operation_that_does_not_exist():
    with pytest.raises(AwsError, match="'Nonsense'") as caught:
        check("sagemaker", "Nonsense", {})

    assert caught.value.code == "UnknownOperationException"


def test_the_service_model_is_read_once():
    assert service_model("sagemaker") is service_model("sagemaker")


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (TAGS, "Größe: 10 km/h @home", True),
        (TAGS, "日本語 \U00020000", True),
        (TAGS, "50%", False),
        (TAGS, "tab\t", False),
        (r"\A\S[\p{Print}]*\z", "resnet_18.tar.gz", True),
        (r"\A\S[\p{Print}]*\z", "bell\x07", False),
        (r"\A\S[\p{Print}]*\z", " leading", False),
        (r"\p{Alnum}+", "aZ9", True),
        (r"\p{Alnum}+", "a-b", False),
        (r"[\[\]\p{L}]*", "[a]", True),
        (r"\d+", "٣", False),
        ("[a-z", "cannot be compiled, so nothing is asked", True),
    ],
)
def test_javas_patterns(pattern, text, expected):
    assert matches(pattern, text) is expected


@given(st.characters(exclude_categories=["Cs"]))
def test_categories_are_those_of_unicode(character):
    import unicodedata

    expected = unicodedata.category(character)[0] in "LZN"
    assert bool(re.fullmatch(translate(r"[\p{L}\p{Z}\p{N}]"), character)) is expected


def test_a_category_that_does_not_exist_matches_nothing():
    assert matches(f"[{category_ranges('Xx', 0x7F)}a]", "a")
    assert not matches(f"[{category_ranges('Xx', 0x7F)}a]", "b")

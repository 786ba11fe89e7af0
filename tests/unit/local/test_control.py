"""Models, endpoint configurations, tags and listings; what is refused, in AWS's words."""

from __future__ import annotations

import asyncio
import re

import pytest
from fakes.control import (
    ACCOUNT,
    IMAGE,
    REGION,
    ROLE,
    HeldFleets,
    Images,
    Objects,
    arn,
    config,
    control,
    endpoint,
    model,
)

from mmectl.base.errors import PlatformError
from mmectl.local.control.models import model_data
from mmectl.local.values import AwsError


@pytest.fixture
async def plane(tmp_path):
    """A control plane with a model, a configuration and an endpoint in service."""
    made = control(tmp_path, HeldFleets(hold=False))
    await made.open()
    await made.call("CreateModel", model())
    await made.call("CreateEndpointConfig", config())
    await made.call("CreateEndpoint", endpoint())
    await made.settled()
    yield made
    await made.close()


NULL = "failed to satisfy constraint: Member must not be null"
ONE = "1 validation error detected: "
PIPELINE = [{"Image": IMAGE}, {"Image": IMAGE}]


def without(params: dict, *names: str) -> dict:
    return {key: value for key, value in params.items() if key not in names}


REFUSED = [
    # names and values, checked against the service model
    ("CreateModel", {}, f"{ONE}Value null at 'modelName' {NULL}"),
    (
        "CreateModel",
        model("under_score"),
        f"{ONE}Value 'under_score' at 'modelName' failed to satisfy constraint: Member must "
        r"satisfy regular expression pattern: [a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?",
    ),
    (
        "CreateModel",
        model("m" * 64),
        f"{ONE}Value '{'m' * 64}' at 'modelName' failed to satisfy constraint: "
        "Member must have length less than or equal to 63",
    ),
    (
        "CreateModel",
        model(Mode="Multi"),
        f"{ONE}Value 'Multi' at 'primaryContainer.mode' failed to satisfy constraint: "
        "Member must satisfy enum value set: [SingleModel, MultiModel]",
    ),
    (
        "CreateModel",
        {**model(), "VpcConfig": {}},
        f"2 validation errors detected: Value null at 'vpcConfig.securityGroupIds' {NULL}; "
        f"Value null at 'vpcConfig.subnets' {NULL}",
    ),
    (
        "CreateEndpointConfig",
        config(InitialVariantWeight=-1),
        f"{ONE}Value '-1' at 'productionVariants.1.member.initialVariantWeight' failed to "
        "satisfy constraint: Member must have value greater than or equal to 0",
    ),
    (
        "CreateEndpointConfig",
        config(count=0),
        f"{ONE}Value '0' at 'productionVariants.1.member.initialInstanceCount' failed to "
        "satisfy constraint: Member must have value greater than or equal to 1",
    ),
    (
        "CreateEndpointConfig",
        {"EndpointConfigName": "none", "ProductionVariants": []},
        f"{ONE}Value '[]' at 'productionVariants' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1",
    ),
    (
        "CreateEndpointConfig",
        config("new", InstanceType=None),
        f"{ONE}Value null at 'productionVariants.1.member.instanceType' {NULL}",
    ),
    (
        "ListModels",
        {"MaxResults": 101},
        f"{ONE}Value '101' at 'maxResults' failed to satisfy constraint: "
        "Member must have value less than or equal to 100",
    ),
    # models
    (
        "CreateModel",
        without(model("a"), "ExecutionRoleArn"),
        f"{ONE}Value null at 'executionRoleArn' {NULL}",
    ),
    (
        "CreateModel",
        {**model("a"), "ExecutionRoleArn": ROLE.replace(ACCOUNT, "999999999999")},
        "Cross-account pass role is not allowed.",
    ),
    (
        "CreateModel",
        without(model("a"), "PrimaryContainer"),
        "One of PrimaryContainer or Containers must be specified.",
    ),
    (
        "CreateModel",
        {**model("a"), "Containers": PIPELINE},
        "PrimaryContainer and Containers cannot both be specified.",
    ),
    ("CreateModel", model("a", Image=None), "Image must be specified for every container."),
    ("CreateModel", model("a", Image="other:1"), "Requested image other:1 not found."),
    (
        "CreateModel",
        model("a", ModelDataUrl=None),
        "ModelDataUrl must be specified for a container with Mode MultiModel.",
    ),
    (
        "CreateModel",
        model("a", ModelDataUrl="s3://bucket/nothing/"),
        "Could not find model data at s3://bucket/nothing/.",
    ),
    (
        "CreateModel",
        model("a", ModelDataUrl="s3://no-such-bucket/models/"),
        "Could not find model data at s3://no-such-bucket/models/.",
    ),
    (
        "CreateModel",
        model("a", ModelDataUrl="https://example.com/bucket/models/"),
        "Invalid ModelDataUrl https://example.com/bucket/models/: an https URL must be on S3, "
        "such as https://s3.us-east-1.amazonaws.com/bucket/prefix/.",
    ),
    (
        "CreateModel",
        model(
            "a",
            ModelDataSource={
                "S3DataSource": {
                    "S3Uri": "s3://bucket/models/",
                    "S3DataType": "S3Prefix",
                    "CompressionType": "None",
                }
            },
        ),
        "ModelDataSource is not supported with Mode MultiModel: use ModelDataUrl.",
    ),
    (
        "CreateModel",
        model("a", Mode="SingleModel", MultiModelConfig={"ModelCacheSetting": "Enabled"}),
        "MultiModelConfig requires Mode MultiModel.",
    ),
    ("CreateModel", model(), f'Cannot create already existing model "{arn("model", "model")}".'),
    (
        "CreateModel",
        model("MODEL"),
        f'Cannot create already existing model "{arn("model", "model")}".',
    ),
    ("DescribeModel", {"ModelName": "gone"}, f'Could not find model "{arn("model", "gone")}".'),
    ("DeleteModel", {"ModelName": "gone"}, f'Could not find model "{arn("model", "gone")}".'),
    # endpoint configurations
    (
        "CreateEndpointConfig",
        config("new", ModelName="gone"),
        f'Could not find model "{arn("model", "gone")}".',
    ),
    (
        "CreateEndpointConfig",
        {"EndpointConfigName": "two", "ProductionVariants": config()["ProductionVariants"] * 2},
        "Variant names must be unique: AllTraffic is used more than once.",
    ),
    (
        "CreateEndpointConfig",
        config(),
        "Cannot create already existing endpoint configuration "
        f'"{arn("endpoint-config", "config")}".',
    ),
    (
        "DescribeEndpointConfig",
        {"EndpointConfigName": "gone"},
        f'Could not find endpoint configuration "{arn("endpoint-config", "gone")}".',
    ),
    # endpoints
    (
        "CreateEndpoint",
        endpoint("other", "gone"),
        f'Could not find endpoint configuration "{arn("endpoint-config", "gone")}".',
    ),
    (
        "CreateEndpoint",
        endpoint(),
        f'Cannot create already existing endpoint "{arn("endpoint", "endpoint")}".',
    ),
    *(
        (operation, params, f'Could not find endpoint "{arn("endpoint", "gone")}".')
        for operation, params in [
            ("DescribeEndpoint", {"EndpointName": "gone"}),
            ("DeleteEndpoint", {"EndpointName": "gone"}),
            ("UpdateEndpoint", endpoint("gone")),
        ]
    ),
    (
        "UpdateEndpointWeightsAndCapacities",
        {"EndpointName": "endpoint", "DesiredWeightsAndCapacities": [{"VariantName": "B"}]},
        'The variant name(s) "B" is/are not present within endpoint configuration "config".',
    ),
    # tags and pages
    (
        "ListTags",
        {"ResourceArn": arn("model", "gone")},
        f'Could not find resource "{arn("model", "gone")}".',
    ),
    (
        "AddTags",
        {"ResourceArn": arn("model", "model"), "Tags": [{"Key": "aws:x", "Value": ""}]},
        "aws: prefixed tag key names are not allowed for external use.",
    ),
    (
        "AddTags",
        {"ResourceArn": arn("model", "model"), "Tags": [{"Key": "k", "Value": ""}] * 2},
        "Duplicate tag keys found: k.",
    ),
    (
        "ListEndpoints",
        {"NextToken": "garbage"},
        'Invalid pagination token because "NextToken belongs to another listing".',
    ),
]


@pytest.mark.parametrize(("operation", "params", "message"), REFUSED)
async def test_refused_in_awss_words(plane, operation, params, message):
    with pytest.raises(AwsError) as caught:
        await plane.call(operation, params)

    assert (caught.value.code, caught.value.message) == ("ValidationException", message)
    assert caught.value.status == 400


async def test_an_instance_type_that_does_not_exist(plane):
    with pytest.raises(
        AwsError,
        match=re.escape(
            "1 validation error detected: Value 'ml.banana' at "
            "'productionVariants.1.member.instanceType' failed to satisfy constraint: "
            "Member must satisfy enum value set: [ml.t2.medium, ml.t2.large, "
        ),
    ):
        await plane.call("CreateEndpointConfig", config("new", InstanceType="ml.banana"))


@pytest.mark.parametrize("operation", ["CreateTrainingJob", "Nonsense"])
async def test_other_operations_are_named(plane, operation):
    with pytest.raises(AwsError) as caught:
        await plane.call(operation, {})

    assert caught.value.code == "UnknownOperationException"
    assert operation in caught.value.message


async def test_a_refused_request_leaves_nothing_behind(plane):
    with pytest.raises(AwsError):
        await plane.call("CreateModel", model("a", Image="other:1"))

    assert [m["ModelName"] for m in (await plane.call("ListModels", {}))["Models"]] == ["model"]


async def test_a_model_is_described_as_it_was_made(plane):
    made = {
        **model("Full", Environment={"A": "1"}, MultiModelConfig={"ModelCacheSetting": "Disabled"}),
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        "Tags": [{"Key": "owner", "Value": "me"}],
        "Unknown": {"ignored": True},
    }

    assert await plane.call("CreateModel", made) == {"ModelArn": arn("model", "full")}
    described = await plane.call("DescribeModel", {"ModelName": "Full"})

    assert isinstance(described.pop("CreationTime"), float)
    assert described == {
        "ModelName": "Full",
        "ModelArn": arn("model", "full"),
        "PrimaryContainer": made["PrimaryContainer"],
        "ExecutionRoleArn": ROLE,
        "VpcConfig": made["VpcConfig"],
        "EnableNetworkIsolation": False,
    }


async def test_empty_optionals_are_left_out(plane):
    await plane.call("CreateModel", {**model("plain", Environment={}), "Tags": []})

    described = await plane.call("DescribeModel", {"ModelName": "plain"})

    assert "VpcConfig" not in described
    assert "Environment" not in described["PrimaryContainer"]


async def test_empty_lists_of_an_answer_stay(plane):
    where = {"ResourceArn": arn("model", "model")}

    assert await plane.call("ListEndpoints", {"NameContains": "none"}) == {"Endpoints": []}
    assert await plane.call("ListTags", where) == {"Tags": []}


async def test_an_endpoint_configuration_has_awss_defaults(plane):
    described = await plane.call("DescribeEndpointConfig", {"EndpointConfigName": "config"})

    assert described["ProductionVariants"] == [
        {**config()["ProductionVariants"][0], "InitialVariantWeight": 1.0}
    ]


async def test_what_is_deleted_can_be_made_again(plane):
    for kind, made in (("Model", model()), ("EndpointConfig", config())):
        assert await plane.call(f"Delete{kind}", {f"{kind}Name": made[f"{kind}Name"]}) == {}
        with pytest.raises(AwsError, match="Could not find"):
            await plane.call(f"Describe{kind}", {f"{kind}Name": made[f"{kind}Name"]})
        if kind == "Model":
            await plane.call("CreateModel", made)
    await plane.call("CreateEndpointConfig", config())


async def test_the_same_name_asked_for_at_once_is_made_once(plane):
    results = await asyncio.gather(
        *(plane.call("CreateModel", model("twice")) for _ in range(5)), return_exceptions=True
    )

    assert sum(isinstance(result, dict) for result in results) == 1
    assert all(isinstance(r, (dict, AwsError)) for r in results)


async def test_a_call_given_up_on_is_finished(plane):
    task = asyncio.create_task(plane.call("CreateModel", model("left")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(AwsError, match="already existing"):
        await plane.call("CreateModel", model("left"))


async def test_tags_are_added_replaced_and_removed(plane):
    where = {"ResourceArn": arn("endpoint", "endpoint")}
    await plane.call("AddTags", {**where, "Tags": [{"Key": "a", "Value": "1"}]})

    added = await plane.call(
        "AddTags", {**where, "Tags": [{"Key": "a", "Value": "2"}, {"Key": "ü b", "Value": ""}]}
    )
    await plane.call("DeleteTags", {**where, "TagKeys": ["a", "never"]})

    assert added == {"Tags": [{"Key": "a", "Value": "2"}, {"Key": "ü b", "Value": ""}]}
    assert await plane.call("ListTags", where) == {"Tags": [{"Key": "ü b", "Value": ""}]}


async def test_no_more_than_fifty_tags(plane):
    where = {"ResourceArn": arn("model", "model")}
    await plane.call(
        "AddTags", {**where, "Tags": [{"Key": f"{n}", "Value": ""} for n in range(50)]}
    )

    with pytest.raises(AwsError, match="exceeds the limit of 50: 51"):
        await plane.call("AddTags", {**where, "Tags": [{"Key": "one more", "Value": ""}]})


class TestListings:
    async def make(self, plane, *names):
        for name in names:
            await plane.call("CreateModel", model(name))

    async def names(self, plane, **params):
        answer = await plane.call("ListModels", params)
        return [row["ModelName"] for row in answer["Models"]], answer.get("NextToken")

    async def test_newest_first_ten_a_page(self, plane):
        await self.make(plane, *(f"m{n:02}" for n in range(12)))

        first, token = await self.names(plane)
        second, end = await self.names(plane, NextToken=token)

        assert first == [f"m{n:02}" for n in range(11, 1, -1)]
        assert (second, end) == (["m01", "m00", "model"], None)

    async def test_rows_made_meanwhile_lose_and_repeat_none(self, plane):
        await self.make(plane, "b", "d", "f")
        by = {"SortBy": "Name", "SortOrder": "Ascending", "MaxResults": 2}

        first, token = await self.names(plane, **by)
        await self.make(plane, "a", "e")
        await plane.call("DeleteModel", {"ModelName": "d"})
        second, _ = await self.names(plane, **by, NextToken=token)

        assert (first, second) == (["b", "d"], ["e", "f"])

    async def test_filters(self, plane):
        await self.make(plane, "alpha", "beta")
        times = {
            row["ModelName"]: row["CreationTime"]
            for row in (await plane.call("ListModels", {}))["Models"]
        }

        assert (await self.names(plane, NameContains="LPH"))[0] == ["alpha"]
        assert (await self.names(plane, CreationTimeAfter=times["alpha"]))[0] == ["beta"]
        assert (await self.names(plane, CreationTimeBefore=times["alpha"]))[0] == ["model"]

    async def test_endpoints_by_status(self, plane):
        for status, found in (("InService", 1), ("Failed", 0)):
            answer = await plane.call("ListEndpoints", {"StatusEquals": status, "SortBy": "Status"})
            assert len(answer["Endpoints"]) == found

    async def test_a_token_of_another_order_is_refused(self, plane):
        await self.make(plane, "a", "b")
        _, token = await self.names(plane, MaxResults=1)

        with pytest.raises(AwsError, match="Invalid pagination token"):
            await self.names(plane, SortBy="Name", NextToken=token)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket/prefix/", ("bucket", "prefix/")),
        ("s3://bucket/a/b", ("bucket", "a/b/")),
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("https://s3-us-east-2.amazonaws.com/bucket/DEMO/", ("bucket", "DEMO/")),
        ("https://s3.us-east-2.amazonaws.com/bucket/a/b/", ("bucket", "a/b/")),
        ("https://s3.dualstack.us-east-2.amazonaws.com/bucket/a", ("bucket", "a/")),
        ("https://s3.amazonaws.com/bucket/a/", ("bucket", "a/")),
        ("https://bucket.s3.us-east-2.amazonaws.com/a/", ("bucket", "a/")),
        ("https://my.bucket.s3.amazonaws.com/a/", ("my.bucket", "a/")),
        ("https://s3.cn-north-1.amazonaws.com.cn/bucket/a/", ("bucket", "a/")),
    ],
)
def test_model_data_urls(url, expected):
    assert model_data(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///key",
        "s3://UPPER/x/",
        "s3://../x/",
        "https://s3.us-east-2.amazonaws.com/",
        "https://example.com/bucket/x/",
        "https://bucket.s3.amazonaws.com.evil.org/x/",
        "https://s3.amazonaws.com/bucket/x/?versionId=1",
        "http://bucket/x/",
        "bucket/x/",
    ],
)
def test_other_urls_are_refused(url):
    with pytest.raises(AwsError, match="Invalid ModelDataUrl"):
        model_data(url)


async def test_the_account_has_a_quota(tmp_path):
    plane = control(tmp_path, HeldFleets(hold=False), quota=3)
    await plane.open()
    await plane.call("CreateModel", model())
    await plane.call("CreateEndpointConfig", config(count=2))
    await plane.call("CreateEndpoint", endpoint())
    await plane.settled()

    with pytest.raises(AwsError) as caught:
        await plane.call("CreateEndpoint", endpoint("second"))

    await plane.close()
    assert caught.value.code == "ResourceLimitExceeded"
    assert caught.value.message == (
        "The account-level service limit 'ml.m5.xlarge for endpoint usage' is 3 Instances, "
        "with current utilization of 2 Instances and a request delta of 2 Instances."
    )


async def test_the_quota_counts_the_instances_that_an_update_retains(tmp_path):
    plane = control(tmp_path, HeldFleets(hold=False), quota=5)
    await plane.open()
    await plane.call("CreateModel", model())
    await plane.call("CreateEndpointConfig", config())
    await plane.call("CreateEndpointConfig", config("other"))
    await plane.call("CreateEndpoint", endpoint())
    await plane.settled()
    more = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 3}]
    wanted = {"EndpointName": "endpoint", "DesiredWeightsAndCapacities": more}
    await plane.call("UpdateEndpointWeightsAndCapacities", wanted)
    await plane.settled()

    update = {"EndpointName": "endpoint", "EndpointConfigName": "other"}
    with pytest.raises(AwsError, match="request delta of 3 Instances"):
        await plane.call("UpdateEndpoint", {**update, "RetainAllVariantProperties": True})
    await plane.call("UpdateEndpoint", update)

    await plane.close()


async def test_a_database_of_another_kind_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "control.db").write_bytes(b"not a database, but long enough to be looked at " * 99)
    plane = control(tmp_path, HeldFleets())

    with pytest.raises(PlatformError, match=r"control\.db cannot be used") as caught:
        await plane.open()

    assert "mmectl local down" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
async def test_other_partitions(tmp_path, region, partition):
    plane = control(tmp_path, HeldFleets(), region=region, images=Images(), objects=Objects())
    await plane.open()
    answer = await plane.call("CreateModel", model())
    await plane.close()

    assert answer == {"ModelArn": f"arn:{partition}:sagemaker:{region}:{ACCOUNT}:model/model"}
    assert REGION not in answer["ModelArn"]

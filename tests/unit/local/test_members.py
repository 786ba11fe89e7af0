"""Every member of what makes an endpoint is carried out, kept for a reason, or refused by name.

The tables are compared with botocore's models: a member that AWS adds fails here until somebody
has decided what becomes of it.
"""

from __future__ import annotations

from typing import Any

import pytest
from fakes.control import HeldFleets, config, control, endpoint, model

from mmectl.local.control import unsupported
from mmectl.local.control.validate import service_model
from mmectl.local.server.handlers import _ELSEWHERE, RUNTIME
from mmectl.local.values import AwsError

DONE = "carried out"
NO_NETWORK = "kept: there is no network of its own here"
NO_KEYS = "kept: nothing is encrypted here"
NO_ROLES = "kept: nobody else's permissions are judged here"
NO_PULL = "kept: the image is on this machine"
FAILS = "the endpoint fails with the reason"
REFUSED = "refused"

SAGEMAKER = {
    "CreateModel": {
        "ModelName": DONE,
        "PrimaryContainer": DONE,
        "Containers": FAILS,
        "InferenceExecutionConfig": FAILS,
        "ExecutionRoleArn": NO_ROLES,
        "Tags": DONE,
        "VpcConfig": NO_NETWORK,
        "EnableNetworkIsolation": NO_NETWORK,
    },
    "ContainerDefinition": {
        "ContainerHostname": "kept: it matters to pipelines alone",
        "Image": DONE,
        "ImageConfig": NO_PULL,
        "Mode": DONE,
        "ModelDataUrl": DONE,
        "ModelDataSource": REFUSED,
        "AdditionalModelDataSources": REFUSED,
        "Environment": DONE,
        "ModelPackageName": REFUSED,
        "InferenceSpecificationName": REFUSED,
        "MultiModelConfig": DONE,
        "ContainerMetricsConfig": DONE,
    },
    "CreateEndpointConfig": {
        "EndpointConfigName": DONE,
        "ProductionVariants": DONE,
        "DataCaptureConfig": DONE,
        "Tags": DONE,
        "KmsKeyId": NO_KEYS,
        "AsyncInferenceConfig": FAILS,
        "ExplainerConfig": REFUSED,
        "ShadowProductionVariants": FAILS,
        "ExecutionRoleArn": NO_ROLES,
        "VpcConfig": NO_NETWORK,
        "EnableNetworkIsolation": NO_NETWORK,
        "MetricsConfig": DONE,
        "CrossRegionTrafficConfig": REFUSED,
    },
    "ProductionVariant": {
        "VariantName": DONE,
        "ModelName": DONE,
        "InitialInstanceCount": DONE,
        "InstanceType": DONE,
        "InstancePools": REFUSED,
        "VariantInstanceProvisionTimeoutInSeconds": "kept: instances are there at once",
        "InitialVariantWeight": DONE,
        "AcceleratorType": REFUSED,
        "CoreDumpConfig": REFUSED,
        "ServerlessConfig": FAILS,
        "VolumeSizeInGB": DONE,
        "ModelDataDownloadTimeoutInSeconds": DONE,
        "ContainerStartupHealthCheckTimeoutInSeconds": DONE,
        "EnableSSMAccess": REFUSED,
        "ManagedInstanceScaling": REFUSED,
        "RoutingConfig": DONE,
        "InferenceAmiVersion": "kept: instances have no image of a machine here",
        "CapacityReservationConfig": REFUSED,
        "AcceleratorPartitionLayouts": REFUSED,
    },
    "CreateEndpoint": dict.fromkeys(
        ("EndpointName", "EndpointConfigName", "DeploymentConfig", "Tags"), DONE
    ),
    "UpdateEndpoint": dict.fromkeys(
        (
            "EndpointName",
            "EndpointConfigName",
            "RetainAllVariantProperties",
            "ExcludeRetainedVariantProperties",
            "DeploymentConfig",
            "RetainDeploymentConfig",
        ),
        DONE,
    ),
}
INVOKE = {
    "EndpointName": DONE,
    "Body": DONE,
    "ContentType": DONE,
    "Accept": DONE,
    "CustomAttributes": DONE,
    "TargetModel": DONE,
    "TargetVariant": DONE,
    "TargetContainerHostname": REFUSED,
    "InferenceId": DONE,
    "EnableExplanations": REFUSED,
    "InferenceComponentName": REFUSED,
    "SessionId": REFUSED,
    "PrefixAwareId": REFUSED,
}


def shape_of(name):
    found = service_model("sagemaker")
    is_operation = name in found.operation_names
    return found.operation_model(name).input_shape if is_operation else found.shape_for(name)


@pytest.mark.parametrize("name", SAGEMAKER)
def test_the_tables_are_whole(name):
    assert set(SAGEMAKER[name]) == set(shape_of(name).members)


def test_the_table_of_the_runtime_is_whole():
    members = service_model("sagemaker-runtime").operation_model("InvokeEndpoint").input_shape
    assert set(INVOKE) == set(members.members)
    refused = {
        shape.serialization["name"]
        for name, shape in members.members.items()
        if INVOKE[name] == REFUSED
    }
    assert refused == {RUNTIME + name for name in _ELSEWHERE}


S3 = {"S3Uri": "s3://bucket/m/", "S3DataType": "S3Prefix", "CompressionType": "None"}
CONTAINERS = {
    "ModelDataSource": {"S3DataSource": S3},
    "AdditionalModelDataSources": [{"ChannelName": "a", "S3DataSource": S3}],
    "ModelPackageName": "package",
    "InferenceSpecificationName": "name",
}
CAPTURE: dict[str, Any] = {
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://bucket/captured",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}
CONFIGS: dict[str, Any] = {
    "ExplainerConfig": {
        "ClarifyExplainerConfig": {
            "ShapConfig": {"ShapBaselineConfig": {"ShapBaseline": "1"}},
        }
    },
    "CrossRegionTrafficConfig": None,
}
VARIANTS = {
    "AcceleratorType": "ml.eia2.medium",
    "CoreDumpConfig": {"DestinationS3Uri": "s3://bucket/cores"},
    "EnableSSMAccess": True,
    "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 2},
    "CapacityReservationConfig": {
        "CapacityReservationPreference": "capacity-reservations-only",
        "MlReservationArn": "arn:aws:sagemaker:us-east-2:123456789012:training-plan/p",
    },
    "InstancePools": None,
    "AcceleratorPartitionLayouts": None,
}


def least(shape):
    """The smallest value of a shape without patterns."""
    if shape.type_name == "structure":
        return {name: least(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [least(shape.member)]
    if shape.metadata.get("enum"):
        return shape.metadata["enum"][0]
    return {"integer": max(1, shape.metadata.get("min", 1)), "boolean": True}.get(
        shape.type_name, "us-west-2"
    )


def refused_members():
    for name, examples in (
        ("ContainerDefinition", CONTAINERS),
        ("CreateEndpointConfig", CONFIGS),
        ("ProductionVariant", VARIANTS),
    ):
        table = SAGEMAKER[name]
        assert {member for member in table if table[member] == REFUSED} == set(examples)
        for member, example in examples.items():
            given = least(shape_of(name).members[member]) if example is None else example
            yield pytest.param(name, {member: given}, id=member)


@pytest.fixture
async def plane(tmp_path):
    made = control(tmp_path, HeldFleets(hold=False))
    await made.open()
    await made.call("CreateModel", model())
    yield made
    await made.close()


async def make(plane, name, more):
    """Make a model or a configuration with these members."""
    if name == "ContainerDefinition":
        return await plane.call("CreateModel", model("other", **more))
    variant = more if name == "ProductionVariant" else {}
    others = more if name == "CreateEndpointConfig" else {}
    return await plane.call("CreateEndpointConfig", {**config(**variant), **others})


@pytest.mark.parametrize(("name", "more"), list(refused_members()))
async def test_what_is_not_carried_out_is_refused_by_name(plane, name, more):
    (member,) = more
    with pytest.raises(AwsError, match=member) as caught:
        await make(plane, name, more)
    assert caught.value.code == "ValidationException"
    assert "support" in caught.value.message
    assert (await plane.call("ListEndpointConfigs", {}))["EndpointConfigs"] == []


OFTEN = {"MetricPublishFrequencyInSeconds": 15}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("CreateEndpointConfig", {"MetricsConfig": OFTEN}),
        (
            "ContainerDefinition",
            {
                "ContainerMetricsConfig": {
                    "MetricsEndpoints": [{"MetricsEndpointPath": "/m", **OFTEN}]
                }
            },
        ),
    ],
)
async def test_a_frequency_that_sagemaker_does_not_have(plane, name, more):
    (member,) = more
    with pytest.raises(AwsError, match=f"InSeconds of {member} is 15: it must be one of 10, 30"):
        await make(plane, name, more)


async def test_a_configuration_is_measured_in_detail_unless_it_says_otherwise(plane):
    await plane.call("CreateEndpointConfig", config())
    found = await plane.call("DescribeEndpointConfig", {"EndpointConfigName": "config"})
    assert found["MetricsConfig"] == {
        "EnableEnhancedMetrics": False,
        "EnableDetailedObservability": True,
        "MetricPublishFrequencyInSeconds": 60,
    }


VPC = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
PLACE = {"MetricsEndpointPath": "/server/metrics", "MetricPublishFrequencyInSeconds": 10}
MEASURED = {
    "EnableEnhancedMetrics": True,
    "EnableDetailedObservability": False,
    "MetricPublishFrequencyInSeconds": 300,
}
KEPT: list[tuple[str, dict[str, Any]]] = [
    ("ContainerDefinition", {"ContainerHostname": "host"}),
    ("ContainerDefinition", {"ImageConfig": {"RepositoryAccessMode": "Vpc"}}),
    ("ContainerDefinition", {"ContainerMetricsConfig": {"MetricsEndpoints": [PLACE]}}),
    ("CreateEndpointConfig", {"MetricsConfig": MEASURED}),
    ("CreateEndpointConfig", {"KmsKeyId": "key"}),
    ("CreateEndpointConfig", {"ExecutionRoleArn": "arn:aws:iam::123456789012:role/r"}),
    ("CreateEndpointConfig", {"VpcConfig": VPC}),
    ("CreateEndpointConfig", {"EnableNetworkIsolation": True}),
    ("CreateEndpointConfig", {"DataCaptureConfig": {**CAPTURE, "EnableCapture": False}}),
    ("CreateEndpointConfig", {"DataCaptureConfig": {**CAPTURE, "EnableCapture": True}}),
    ("ProductionVariant", {"VariantInstanceProvisionTimeoutInSeconds": 300}),
    ("ProductionVariant", {"InferenceAmiVersion": "al2-ami-sagemaker-inference-gpu-2"}),
    ("ProductionVariant", {"EnableSSMAccess": False}),
]


@pytest.mark.parametrize(("name", "more"), KEPT, ids=lambda value: next(iter(value), None))
async def test_what_is_kept_is_described(plane, name, more):
    ((member, value),) = more.items()
    await make(plane, name, more)
    if name == "ContainerDefinition":
        found = (await plane.call("DescribeModel", {"ModelName": "other"}))["PrimaryContainer"]
    else:
        found = await plane.call("DescribeEndpointConfig", {"EndpointConfigName": "config"})
        found = found["ProductionVariants"][0] if name == "ProductionVariant" else found
    assert found[member] == value


@pytest.mark.parametrize("member", ["VpcConfig", "EnableNetworkIsolation"])
async def test_what_is_kept_of_a_model_is_described(plane, member):
    value = VPC if member == "VpcConfig" else True
    await plane.call("CreateModel", {**model("other"), member: value})
    assert (await plane.call("DescribeModel", {"ModelName": "other"}))[member] == value


async def test_members_that_aws_does_not_have_are_left_out(plane):
    await plane.call("CreateEndpointConfig", {**config(Unheard=1), "Unknown": {"A": 1}})
    found = await plane.call("DescribeEndpointConfig", {"EndpointConfigName": "config"})
    assert "Unknown" not in found
    assert "Unheard" not in found["ProductionVariants"][0]


SERVERLESS = {"InstanceType": None, "InitialInstanceCount": None}


@pytest.mark.parametrize(
    ("given", "more", "says"),
    [
        ((1111, 1), {}, "Value '1111' at 'productionVariants.1.member.serverlessConfig.memory"),
        ((1023, 1), {}, "memorySizeInMB"),
        ((7168, 1), {}, "memorySizeInMB"),
        ((2048, 201), {}, "maxConcurrency"),
        ((2048, 0), {}, "maxConcurrency"),
        ((2048, 5, 6), {}, "ProvisionedConcurrency of variant AllTraffic must not exceed"),
        ((2048, 5), {"InstanceType": "ml.m5.xlarge"}, "InstanceType and ServerlessConfig"),
        ((2048, 5), {"VolumeSizeInGB": 5}, "VolumeSizeInGB and ServerlessConfig"),
    ],
)
async def test_serverless_variants_are_checked(plane, given, more, says):
    names = ("MemorySizeInMB", "MaxConcurrency", "ProvisionedConcurrency")
    variant = {**SERVERLESS, "ServerlessConfig": dict(zip(names, given, strict=False)), **more}
    with pytest.raises(AwsError, match=says):
        await plane.call("CreateEndpointConfig", config(**variant))


@pytest.mark.parametrize("name", ["ml.g5.12xlarge", "ml.p4d.24xlarge", "ml.inf2.xlarge"])
async def test_accelerators_but_a_single_gpu_serve_no_multi_model_endpoint(plane, name):
    with pytest.raises(AwsError) as caught:
        await plane.call("CreateEndpointConfig", config(InstanceType=name))
    assert caught.value.message == f"MultiModel mode is not supported for instance type {name}."


@pytest.mark.parametrize("name", ["ml.g5.xlarge", "ml.g4dn.16xlarge", "ml.g6.xlarge"])
async def test_a_single_gpu_does(plane, name):
    await plane.call("CreateEndpointConfig", config(InstanceType=name))


@pytest.mark.parametrize("operation", ["CreateInferenceComponent", "ListInferenceComponents"])
async def test_why_there_are_no_inference_components_is_said(plane, operation):
    with pytest.raises(AwsError, match="not for multi-model endpoints") as caught:
        await plane.call(operation, {})
    assert caught.value.code == "UnknownOperationException"
    assert operation in caught.value.message


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("async-invocations", "InvokeEndpointAsync takes no TargetModel"),
        ("invocations-response-stream", "InvokeEndpointWithResponseStream takes no TargetModel"),
        ("elsewhere", "Only InvokeEndpoint is implemented"),
    ],
)
def test_why_there_is_no_other_way_to_invoke_is_said(path, says):
    assert says in unsupported.invocation(path).message


async def test_containers_by_host_name_are_not_served(tmp_path):
    fleets = HeldFleets()
    plane = control(tmp_path, fleets)
    await plane.open()
    direct = {**model(), "InferenceExecutionConfig": {"Mode": "Direct"}}
    await plane.call("CreateModel", direct)
    await plane.call("CreateEndpointConfig", config())
    await plane.call("CreateEndpoint", endpoint())
    await fleets.quiet()
    found = await plane.call("DescribeEndpoint", {"EndpointName": "endpoint"})
    await plane.close()
    assert found["EndpointStatus"] == "Failed"
    assert "InferenceExecutionConfig Direct" in found["FailureReason"]
    assert not found["FailureReason"].endswith(".")

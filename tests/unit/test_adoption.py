"""What of an endpoint can be adopted, what config.yaml then says, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from mmectl.base.errors import DeployError
from mmectl.config.sections.settings import Settings
from mmectl.config.specification import specification
from mmectl.deploy import adoption
from mmectl.spec.desired import counted_name, desired
from mmectl.spec.scaling import Autoscaling, Scheduled, Target, actions_of, policy_of

ROLE = "arn:aws:iam::123456789012:role/mme"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/mme:1"
ENDPOINT = {
    "EndpointName": "legacy",
    "EndpointStatus": "InService",
    "EndpointConfigName": "legacy-config",
    "ProductionVariants": [
        {"VariantName": "v1", "CurrentInstanceCount": 3, "DesiredInstanceCount": 3}
    ],
}
CONFIG = {
    "EndpointConfigName": "legacy-config",
    "EndpointConfigArn": "arn:aws:sagemaker:us-east-1:1:endpoint-config/legacy-config",
    "CreationTime": 1.0,
    "EnableNetworkIsolation": False,
    "ProductionVariants": [
        {
            "VariantName": "v1",
            "ModelName": "legacy-model",
            "InstanceType": "ml.c5.xlarge",
            "InitialInstanceCount": 2,
            "InitialVariantWeight": 1.0,
            "VolumeSizeInGB": 50,
        }
    ],
}
MODEL = {
    "ModelName": "legacy-model",
    "ModelArn": "arn:aws:sagemaker:us-east-1:1:model/legacy-model",
    "ExecutionRoleArn": ROLE,
    "EnableNetworkIsolation": False,
    "PrimaryContainer": {
        "Image": IMAGE,
        "Mode": "MultiModel",
        "ModelDataUrl": "s3://models/legacy/",
        "Environment": {"A": "1"},
    },
}
TAGS = {"team": "vision", "mmectl:endpoint": "legacy", "aws:cloudformation:stack-name": "s"}


def changed(found, **members):
    made = copy.deepcopy(found)
    for path, value in members.items():
        *way, last = path.split("__")
        inner = made
        for step in way:
            inner = inner[int(step)] if step.isdigit() else inner[step]
        inner[last] = value
    return made


def wanted_of(endpoint=ENDPOINT, config=CONFIG, model=MODEL):
    content = adoption.settings("legacy", endpoint, config, model, TAGS)
    settings = Settings.model_validate({"platform": "aws", **content})
    url = f"s3://{settings.bucket.name}/{settings.bucket.prefix}"
    spec = specification(settings, image=settings.image.uri, models=url, role=settings.aws.role)
    return settings, desired(spec)


def test_the_configuration_says_all_that_the_endpoint_is():
    settings, wanted = wanted_of()
    assert list(adoption.refusals(ENDPOINT, CONFIG, MODEL)) == []
    assert adoption.differences(wanted, CONFIG, MODEL) == []
    assert settings.endpoint.instance_count == 3  # as it runs now
    assert dict(settings.aws.tags) == {"team": "vision"}
    assert settings.endpoint.environment == {"A": "1"}
    assert counted_name(wanted, CONFIG).startswith("legacy-")


@pytest.mark.parametrize(
    ("endpoint", "config", "model", "text"),
    [
        ({"EndpointStatus": "Updating"}, {}, {}, "it is Updating"),
        ({}, {"AsyncInferenceConfig": {"OutputConfig": {}}}, {}, "asynchronous"),
        ({}, {"ShadowProductionVariants": [{}]}, {}, "shadow variants"),
        ({}, {"ProductionVariants": [{"ModelName": "a"}, {"ModelName": "b"}]}, {}, "of their own"),
        ({}, {"ProductionVariants": []}, {}, "no production variant"),
        ({}, {"ProductionVariants__0__ServerlessConfig": {"MaxConcurrency": 1}}, {}, "serverless"),
        ({}, {"ProductionVariants__0__ModelName": None}, {}, "inference components"),
        ({}, {}, {"Containers": [{}, {}]}, "pipeline"),
        ({}, {}, {"PrimaryContainer__Mode": "SingleModel"}, "no multi-model endpoint"),
        ({}, {}, {"PrimaryContainer__Image": None}, "has no Image"),
        ({}, {}, {"PrimaryContainer__ModelDataUrl": None}, "has no ModelDataUrl"),
    ],
)
def test_what_cannot_be_adopted_is_refused_with_the_reason(endpoint, config, model, text):
    found = list(
        adoption.refusals(
            changed(ENDPOINT, **endpoint), changed(CONFIG, **config), changed(MODEL, **model)
        )
    )
    assert any(text in one for one in found), found
    with pytest.raises(DeployError, match="legacy cannot be adopted") as caught:
        adoption.require(found, "legacy")
    assert caught.value.code == "cannot_adopt"


@pytest.mark.parametrize(
    ("config", "model", "text"),
    [
        ({"KmsKeyId": "k"}, {}, "KmsKeyId is 'k'"),
        ({"DataCaptureConfig": {"EnableCapture": True}}, {}, "DataCaptureConfig"),
        ({"ProductionVariants__0__EnableSSMAccess": True}, {}, "EnableSSMAccess is True"),
        ({}, {"EnableNetworkIsolation": True}, "EnableNetworkIsolation is True"),
        ({}, {"VpcConfig": {"Subnets": ["s"]}}, "VpcConfig"),
        ({}, {"PrimaryContainer__ImageConfig": {"RepositoryAccessMode": "Vpc"}}, "ImageConfig"),
    ],
)
def test_what_the_file_cannot_say_is_named(config, model, text):
    config, model = changed(CONFIG, **config), changed(MODEL, **model)
    found = adoption.differences(wanted_of()[1], config, model)
    assert len(found) == 1
    assert text in found[0]


def test_network_keys_capture_and_metrics_are_adopted_too():
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 20,
        "DestinationS3Uri": "s3://captured/here",
        "CaptureOptions": [{"CaptureMode": "Input"}],
        "CaptureContentTypeHeader": {"JsonContentTypes": ["b/json", "a/json"]},
    }
    config = changed(
        CONFIG,
        KmsKeyId="key-1",
        DataCaptureConfig=capture,
        MetricsConfig={"EnableEnhancedMetrics": True},
    )
    vpc = {"SecurityGroupIds": ["sg-2", "sg-1"], "Subnets": ["subnet-b", "subnet-a"]}
    model = changed(MODEL, VpcConfig=vpc, EnableNetworkIsolation=True)
    settings, wanted = wanted_of(config=config, model=model)
    assert settings.network.subnets == ("subnet-b", "subnet-a")
    assert settings.capture.part == "input"
    assert adoption.differences(wanted, config, model) == []


def test_defaults_that_aws_spells_out_are_no_choice():
    spelled = {
        "EnableDetailedObservability": True,
        "EnableEnhancedMetrics": False,
        "MetricPublishFrequencyInSeconds": 60,
    }
    config = changed(CONFIG, MetricsConfig=spelled)
    settings, wanted = wanted_of(config=config)
    assert settings.endpoint.metrics.frequency is None
    assert adoption.differences(wanted, config, MODEL) == []
    faster = changed(config, MetricsConfig={**spelled, "MetricPublishFrequencyInSeconds": 10})
    assert adoption.differences(wanted_of(config=faster)[1], faster, MODEL) == [
        "PrimaryContainer.ContainerMetricsConfig is not set"
    ]


def test_the_same_image_pinned_is_the_same():
    _, wanted = wanted_of()
    pinned = changed(MODEL, PrimaryContainer__Image=f"{IMAGE}@sha256:{'0' * 64}")
    assert adoption.differences(wanted, CONFIG, pinned) == []
    other = changed(MODEL, PrimaryContainer__Image=f"{IMAGE}2")
    assert adoption.differences(wanted, CONFIG, other) == [f"PrimaryContainer.Image is '{IMAGE}2'"]


def test_several_variants_are_adopted_as_they_run_now():
    variants: Any = CONFIG["ProductionVariants"]
    (one,) = variants
    other = {**one, "VariantName": "v2", "InstanceType": "ml.c5.2xlarge", "InitialVariantWeight": 0}
    del other["VolumeSizeInGB"]
    config = changed(CONFIG, ProductionVariants=[one, other])
    now = {"VariantName": "v2", "DesiredInstanceCount": 1, "DesiredWeight": 0.25}
    endpoint = changed(ENDPOINT, ProductionVariants=[*ENDPOINT["ProductionVariants"], now])
    assert list(adoption.refusals(endpoint, config, MODEL)) == []
    settings, wanted = wanted_of(endpoint, config)
    assert adoption.differences(wanted, config, MODEL) == []
    assert [(v.name, v.weight, v.instance_count) for v in settings.endpoint.variants] == [
        ("v1", 1.0, 3),
        ("v2", 0.25, 1),
    ]


OURS = Autoscaling(
    1, 4, 120.0, 200, 60, (Scheduled("cron(0 8 * * ? *)", 2, None, "Europe/Berlin"),)
)
POLICIES = (policy_of(OURS),)


def test_autoscaling_of_ours_is_written_so_that_it_is_wanted_again():
    target = Target("v1", 1, 4, POLICIES, tuple(actions_of(OURS)))
    section = adoption.scaled([target], ["v1"])
    assert Settings.model_validate({"autoscaling": section}).autoscaling.as_values() == OURS


@pytest.mark.parametrize(
    ("targets", "variants"),
    [
        ([], ["v1"]),
        ([Target("v1", 1, 4, ({"PolicyName": "theirs"},))], ["v1"]),
        ([Target("v1", 1, 4, POLICIES)], ["v1", "v2"]),
        ([Target("v1", 1, 4, POLICIES), Target("v2", 1, 5, POLICIES)], ["v1", "v2"]),
    ],
)
def test_other_autoscaling_is_no_part_of_the_file(targets, variants):
    assert adoption.scaled(targets, variants) is None

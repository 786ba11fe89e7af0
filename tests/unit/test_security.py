"""Networks and keys: near misses of config.yaml, and what they make of requests and plans."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mmectl.base.errors import ConfigError
from mmectl.config.advice import advice
from mmectl.config.loading import load
from mmectl.config.sections.settings import Settings
from mmectl.config.specification import specification
from mmectl.endpoint import plan
from mmectl.local.s3 import denials
from mmectl.local.values import AwsError
from mmectl.planning.observed import Observed
from mmectl.spec.container import Container
from mmectl.spec.desired import Spec, desired
from mmectl.spec.network import Network
from mmectl.spec.variant import Variant

SPEC = Spec(
    endpoint="demo",
    role_arn="arn:aws:iam::123456789012:role/r",
    container=Container("123456789012.dkr.ecr.us-east-1.amazonaws.com/x:1", "s3://bucket/demo/"),
    variant=Variant("ml.m5.xlarge", 2),
)
WANTED = desired(SPEC)
SUBNET, GROUP = "subnet-0123456789abcdef0", "sg-0123456789abcdef0"
ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
ARN = f"arn:aws:kms:us-east-1:123456789012:key/{ID}"

NEAR = [
    (f"network: {{subnet: [{SUBNET}]}}", "network.subnet: unknown key; did you mean 'subnets'?"),
    (
        f"network: {{subnets: [{SUBNET}], securitygroups: [{GROUP}]}}",
        "network.securitygroups: unknown key; did you mean 'security_groups'?",
    ),
    (f"network: {{subnets: {SUBNET}}}", f"network.subnets: is '{SUBNET}', must be a list"),
    (
        f"network: {{subnets: [{SUBNET}]}}",
        "network.security_groups: is empty, network.subnets is not: a VPC needs both",
    ),
    (f"network: {{security_groups: [{GROUP}]}}", "network.subnets: is empty"),
    (
        f"network: {{subnets: [{GROUP}], security_groups: [{GROUP}]}}",
        f"network.subnets.0: is '{GROUP}', must be the id of a subnet such as "
        "subnet-0123456789abcdef0; did you mean network.security_groups?",
    ),
    (
        f"network: {{subnets: [{SUBNET}], security_groups: [{SUBNET}]}}",
        "network.security_groups.0: is 'subnet-0123456789abcdef0', must be the id of a security "
        "group such as sg-0123456789abcdef0; did you mean network.subnets?",
    ),
    (
        f"network: {{subnets: [subent-0123456789abcdef0], security_groups: [{GROUP}]}}",
        "did you mean 'subnet-'?",
    ),
    (
        f"network: {{subnets: [subnet-0123456789ABCDEF0], security_groups: [{GROUP}]}}",
        "network.subnets.0: is 'subnet-0123456789ABCDEF0', must be the id of a subnet",
    ),
    (
        f"network: {{subnets: [{SUBNET}, {SUBNET}], security_groups: [{GROUP}]}}",
        f"network.subnets.1: {SUBNET} appears twice",
    ),
    (
        f"network: {{subnets: [{', '.join(f'subnet-{i:08x}' for i in range(17))}]}}",
        "network.subnets: ",
    ),
    (
        f"network: {{security_groups: [{', '.join(f'sg-{i:08x}' for i in range(6))}]}}",
        "network.security_groups: ",
    ),
    ("network: {isolated: 'yes'}", "network.isolated: is 'yes', must be true or false"),
    ("network: {isolate: true}", "network.isolate: unknown key; did you mean 'isolated'?"),
    ("bucket: {kms: x}", "bucket.kms: unknown key; did you mean 'kms_key'?"),
    ("bucket: {kms_key: models}", "must be a KMS key: its id, its ARN, alias/NAME"),
    ("bucket: {kms_key: models}", "did you mean 'alias/models'?"),
    (f"endpoint: {{kms_key: key/{ID}}}", f"endpoint.kms_key: is 'key/{ID}', must be a KMS key"),
    (f"endpoint: {{kms_key: key/{ID}}}", f"did you mean '{ID}'?"),
    (f"image: {{kms_key: {ID.upper()}}}", f"did you mean '{ID}'?"),
    ("image: {kms_key: 'arn:aws:iam::123456789012:role/x'}", "image.kms_key: is 'arn:aws:iam"),
    (f"bucket: {{kms_key: '{ARN[:-1]}'}}", "bucket.kms_key: is 'arn:aws:kms"),
    (
        f"aws: {{region: eu-west-1}}\nbucket: {{kms_key: '{ARN}'}}",
        "bucket.kms_key: is a key of us-east-1, aws.region is eu-west-1",
    ),
    ("bucket: {kms_key: ''}", "bucket.kms_key: is '', must be a KMS key"),
]


@pytest.mark.parametrize(("text", "said"), NEAR)
def test_a_near_miss_names_the_key_and_the_right_form(tmp_path, text, said):
    path = tmp_path / "config.yaml"
    path.write_text(text + "\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environment={})
    assert said in caught.value.message


@pytest.mark.parametrize(
    "key",
    [
        ID,
        ARN,
        "mrk-" + "0" * 32,
        "alias/models",
        "alias/aws/s3",
        "arn:aws:kms:us-east-1:123456789012:alias/a",
        f"arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/{ID}",
    ],
)
def test_every_form_of_a_key_is_taken(tmp_path, key):
    path = tmp_path / "config.yaml"
    path.write_text(
        "".join(f"{s}: {{kms_key: '{key}'}}\n" for s in ("bucket", "image", "endpoint"))
    )
    assert load(path, environment={}).settings.endpoint.kms_key == key


def test_ids_of_8_digits_are_taken(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("network: {subnets: [subnet-0a1b2c3d], security_groups: [sg-0a1b2c3d]}\n")
    assert load(path, environment={}).settings.network.subnets == ("subnet-0a1b2c3d",)


def test_without_the_keys_names_and_requests_stay_what_they_were():
    assert WANTED.model == "demo-f583959f"
    assert set(WANTED.model_request) == {
        *("ModelName", "PrimaryContainer", "ExecutionRoleArn", "Tags")
    }
    assert set(WANTED.config_request) == {"EndpointConfigName", "ProductionVariants", "Tags"}
    spec = specification(Settings(), image="i", models="s3://b/p/", role="r")
    assert (spec.network, spec.kms_key) == (Network(), None)


def test_a_network_is_part_of_the_model_in_any_order():
    two = ("subnet-0b0b0b0b", "subnet-0a0a0a0a")
    inside = desired(replace(SPEC, network=Network(two, (GROUP,), isolated=True)))
    assert inside.model != WANTED.model
    assert inside.model_request["VpcConfig"] == {
        "SecurityGroupIds": [GROUP],
        "Subnets": ["subnet-0a0a0a0a", "subnet-0b0b0b0b"],
    }
    assert inside.model_request["EnableNetworkIsolation"] is True
    turned = replace(SPEC, network=Network(two[::-1], (GROUP,), isolated=True))
    assert desired(turned).model == inside.model


def test_the_plan_tells_network_and_key():
    isolated = replace(SPEC, network=Network((SUBNET,), (GROUP,), isolated=True), kms_key="alias/v")
    model, config, _ = plan(desired(isolated), Observed())
    assert model.why == f"new content, in {SUBNET}, isolated"
    assert config.why == "new content, volumes encrypted with alias/v"
    assert config.request["KmsKeyId"] == "alias/v"
    assert plan(desired(SPEC), Observed())[0].why == "new content"


def test_what_goes_wrong_for_many_is_told():
    kind = {"instance_type": "ml.m5d.xlarge", "kms_key": "alias/v"}
    some = Settings.model_validate(
        {"network": {"subnets": [SUBNET], "security_groups": [GROUP]}, "endpoint": kind}
    )
    one, two = advice(some)
    assert one.startswith("network.subnets: names one subnet; SageMaker wants two")
    assert two.startswith("endpoint.kms_key: models lie on the disks of ml.m5d.xlarge")
    assert advice(Settings()) == []


# bucket policies of the embedded platform

SSE = "x-amz-server-side-encryption"
KMS = {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": ARN}
ABSENT = {"Null": {f"s3:{SSE}": "true"}}
OTHER = {"StringNotEquals": {f"s3:{SSE}": ["aws:kms", "aws:kms:dsse"]}}


def denied(condition, headers, **changes) -> bool:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::b/*",
        "Condition": condition,
        **changes,
    }
    policy = json.dumps({"Statement": statement})
    try:
        denials.refuse_write(policy, "b", "k", headers)
    except AwsError as error:
        return (error.code, error.status) == ("AccessDenied", 403)
    return False


@pytest.mark.parametrize(
    ("condition", "headers", "is_denied"),
    [
        (ABSENT, {}, True),
        (ABSENT, KMS, False),
        ({"Null": {f"s3:{SSE}": "false"}}, {}, False),
        (OTHER, {}, True),
        (OTHER, {SSE: "AES256"}, True),
        (OTHER, KMS, False),
        ({"StringNotEqualsIfExists": {f"s3:{SSE}": "aws:kms"}}, {}, True),
        ({"StringEquals": {f"s3:{SSE}": "AES256"}}, {}, False),
        ({"StringEquals": {f"s3:{SSE}": "AES256"}}, {SSE: "AES256"}, True),
        ({"StringNotLike": {f"s3:{SSE}-aws-kms-key-id": "arn:aws:kms:*:key/1234*"}}, KMS, False),
        ({"StringNotLike": {f"s3:{SSE}-aws-kms-key-id": "*/5678*"}}, KMS, True),
        ({**ABSENT, "StringEquals": {f"s3:{SSE}": "AES256"}}, {}, False),
        # what is not judged
        ({"Bool": {"aws:SecureTransport": "false"}}, {}, False),
        ({**OTHER, "Bool": {"aws:SecureTransport": "false"}}, {}, False),
        ({"StringNotEquals": {"aws:PrincipalTag/x": "y"}}, {}, False),
        ({"StringNotEquals": "x"}, {}, False),
        ({}, {}, False),
    ],
)
def test_a_policy_denies_writes_by_their_encryption(condition, headers, is_denied):
    assert denied(condition, headers) is is_denied


@pytest.mark.parametrize(
    "changes",
    [
        {"Effect": "Allow"},
        {"Action": "s3:GetObject"},
        {"Resource": "arn:aws:s3:::b/other/*"},
        {"Principal": {"AWS": "arn:aws:iam::999999999999:root"}},
    ],
)
def test_other_statements_deny_nothing(changes):
    assert denied(ABSENT, {}) is True
    assert denied(ABSENT, {}, **changes) is False
    assert denied(ABSENT, {}, Principal={"AWS": "*"}, Action=["s3:Put*"]) is True
    assert denied(ABSENT, {}, Resource="arn:aws-cn:s3:::b/*") is True

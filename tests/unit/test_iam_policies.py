"""Policies of least privilege: narrowed to what the configuration names, and enough for it."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import pytest

from mmectl.base.policies import Asked, decide
from mmectl.base.values import Location
from mmectl.iam.grants import GRANTS, WHO
from mmectl.iam.policy import LARGEST, Names, document, parts, size

ALL = frozenset(grant.feature for grant in GRANTS) - {""}
NAMES = Names(
    region="eu-central-1",
    account="123456789012",
    endpoint="demo",
    location=Location("models", "demo/"),
    repository=("123456789012", "eu-central-1", "mmectl-mxnet"),
    role="arn:aws:iam::123456789012:role/mme",
)
HERE = "arn:aws:sagemaker:eu-central-1:123456789012"


def may(who, action, resource, names=NAMES, **context):
    given = {key.replace("__", ":").lower(): [value] for key, value in context.items()}
    return decide([document(who, names)], Asked(action, resource, given)) == "allowed"


@pytest.mark.parametrize(
    ("who", "action", "resource", "allowed"),
    [
        ("deployer", "sagemaker:DeleteEndpoint", f"{HERE}:endpoint/demo", True),
        ("deployer", "sagemaker:DeleteEndpoint", f"{HERE}:endpoint/other", False),
        ("deployer", "sagemaker:DeleteModel", f"{HERE}:model/demo-0a1b2c3d", True),
        ("deployer", "sagemaker:DeleteModel", f"{HERE}:model/demo-favourite", False),
        ("deployer", "s3:PutObject", "arn:aws:s3:::models/demo/a.tar.gz", True),
        ("deployer", "s3:PutObject", "arn:aws:s3:::models/demo.mmectl/current/a.json", True),
        ("deployer", "s3:PutObject", "arn:aws:s3:::models/others/a.tar.gz", False),
        ("deployer", "sagemaker:InvokeEndpoint", f"{HERE}:endpoint/demo", False),
        ("execution", "s3:GetObject", "arn:aws:s3:::models/demo/a.tar.gz", True),
        ("execution", "s3:PutObject", "arn:aws:s3:::models/demo/a.tar.gz", False),
        ("execution", "s3:GetObject", "arn:aws:s3:::models/demo.mmectl/current/a.json", False),
        ("invoker", "sagemaker:InvokeEndpoint", f"{HERE}:endpoint/demo", True),
        ("invoker", "sagemaker:InvokeEndpoint", f"{HERE}:endpoint/other", False),
        ("invoker", "sagemaker:DescribeEndpoint", f"{HERE}:endpoint/demo", False),
    ],
)
def test_what_each_may_do(who, action, resource, allowed):
    assert may(who, action, resource) is allowed


def test_a_role_is_passed_to_sagemaker_alone():
    passed = "iam:PassRole", NAMES.role
    assert may("deployer", *passed, iam__PassedToService="sagemaker.amazonaws.com")
    assert not may("deployer", *passed, iam__PassedToService="ec2.amazonaws.com")
    assert not may("deployer", *passed)
    other = "arn:aws:iam::123456789012:role/admin"
    assert not may(
        "deployer", "iam:PassRole", other, iam__PassedToService="sagemaker.amazonaws.com"
    )


def test_a_folder_narrows_clients_to_its_models():
    names = dataclasses.replace(NAMES, folder="tenant-a/")
    ask = "invoker", "sagemaker:InvokeEndpoint", f"{HERE}:endpoint/demo", names
    assert may(*ask, sagemaker__TargetModel="tenant-a/m.tar.gz")
    assert not may(*ask, sagemaker__TargetModel="tenant-b/m.tar.gz")
    assert not may(*ask, sagemaker__TargetModel="tenant-a")
    assert not may(*ask)


def test_the_listing_of_models_is_narrowed_to_their_prefix():
    ask = "execution", "s3:ListBucket", "arn:aws:s3:::models"
    assert may(*ask, s3__prefix="demo/")
    assert not may(*ask, s3__prefix="secret/")
    whole = dataclasses.replace(NAMES, location=Location("models", ""))
    assert may(*ask, whole)


def test_a_star_in_a_prefix_stands_for_itself():
    names = dataclasses.replace(
        NAMES,
        location=Location("models", "de*mo/"),
        features=ALL,
        capture="s3://captured/a*b",
        build_role=NAMES.role,
    )
    for allowed, key in ((True, "de*mo/a.tar.gz"), (False, "deXmo/a.tar.gz")):
        assert may("execution", "s3:GetObject", f"arn:aws:s3:::models/{key}", names) is allowed
        asked = "execution", "s3:ListBucket", "arn:aws:s3:::models", names
        assert may(*asked, s3__prefix=key) is allowed
    assert may("execution", "s3:PutObject", "arn:aws:s3:::captured/a*b/x", names)
    assert not may("execution", "s3:PutObject", "arn:aws:s3:::captured/aXb/x", names)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("features", [frozenset(), ALL])
def test_documents_are_well_formed_and_small_enough(who, features):
    names = dataclasses.replace(
        NAMES,
        features=features,
        build_role="arn:aws:iam::123456789012:role/build",
        keys=("arn:aws:kms:eu-central-1:123456789012:key/1",),
        aliases=(("arn:aws:kms:eu-central-1:123456789012:key/*", "alias/models"),),
        capture="s3://captured/here",
    )
    made = document(who, names)
    statements = made["Statement"]
    assert {s["Effect"] for s in statements} == {"Allow"}
    assert max(Counter(s["Sid"] for s in statements).values()) == 1
    assert all(s["Sid"].isalnum() and s["Action"] and s["Resource"] for s in statements)
    split = parts(made)
    assert all(size(one) <= LARGEST for one in split)
    assert [one for each in split for one in each["Statement"]] == statements
    assert {each["Version"] for each in split} == {made["Version"]}
    assert len(split) == (2 if (who, features) == ("deployer", ALL) else 1)
    granted = {action for s in statements for action in s["Action"]}
    wanted = {g.action for g in GRANTS if g.who == who and g.feature in {"", *features}}
    assert granted == wanted


def test_partitions_and_capital_letters():
    names = dataclasses.replace(NAMES, region="cn-north-1", endpoint="Demo")
    text = json.dumps(document("deployer", names))
    assert "arn:aws-cn:sagemaker:cn-north-1:123456789012:endpoint/Demo" in text
    assert "arn:aws-cn:sagemaker:cn-north-1:123456789012:endpoint/demo" in text
    assert '"arn:aws:' not in text.replace('"arn:aws:iam::123456789012:role/mme"', "").replace(
        '"arn:aws:ecr', ""
    )


def test_the_log_group_that_a_retention_is_set_on_may_be_made():
    group = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/sagemaker/Endpoints/"
    assert may("deployer", "logs:CreateLogGroup", f"{group}demo")
    assert not may("deployer", "logs:CreateLogGroup", f"{group}other")


def test_captured_requests_are_encrypted_by_the_execution_role():
    key = "arn:aws:kms:eu-central-1:123456789012:key/1"
    ask = "execution", "kms:GenerateDataKey", key
    read = dataclasses.replace(NAMES, keys=(key,), features=frozenset({"kms"}))
    assert not may(*ask, read)
    assert may(*ask, dataclasses.replace(read, features=frozenset({"kms", "capture_kms"})))


@pytest.mark.parametrize("who", WHO)
def test_the_longest_names_fit_into_parts(who):
    names = dataclasses.replace(
        NAMES,
        endpoint="E" + "x" * 62,
        location=Location("b" * 63, "p" * 700 + "/"),
        repository=("123456789012", "eu-central-1", "r" * 255),
        role="arn:aws:iam::123456789012:role/" + "r" * 64,
        features=ALL,
        keys=tuple(f"arn:aws:kms:eu-central-1:123456789012:key/{n}" for n in range(4)),
    )
    split = parts(document(who, names))
    assert all(size(one) <= LARGEST for one in split)
    assert len(split) <= 10  # managed policies of a user or role


def test_a_key_that_is_named_by_its_alias_is_no_other_key():
    there = "arn:aws:kms:eu-central-1:123456789012:key/"
    names = dataclasses.replace(
        NAMES, features=frozenset({"kms"}), aliases=((f"{there}*", "alias/models"),)
    )
    (found,) = (
        one for one in document("execution", names)["Statement"] if "kms:Decrypt" in one["Action"]
    )
    assert found["Resource"] == f"{there}*"
    assert found["Condition"] == {
        "ForAnyValue:StringEquals": {"kms:ResourceAliases": ["alias/models"]}
    }

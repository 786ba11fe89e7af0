"""What `mmectl iam` and `mmectl doctor` take of the configuration."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from fakes.cli import call, result, world

from mmectl.base.errors import ServiceError
from mmectl.commands.subject import subject_of
from mmectl.console.output import Mode, Output

__all__ = ["call", "world"]

ACCOUNT = "123456789012"


@pytest.fixture
def statements(call: Any) -> Any:
    """The resources of an action in a policy under settings."""

    def made(who: str, *settings: str) -> dict[str, list[Any]]:
        given = [word for one in settings for word in ("--set", one)]
        code, out, err = call("iam", who, "--json", *given)
        assert code == 0, err
        found = result(out)["data"]["document"]["Statement"]
        assert all(one["Resource"] for one in found)
        by_action: dict[str, list[Any]] = {}
        for one in found:
            for action in one["Action"]:
                by_action.setdefault(action, []).append(one["Resource"])
        return by_action

    return made


def test_roles_that_nobody_lets_us_look_at_are_named_all_the_same(statements, world):
    def refused(_: str | None) -> str:
        raise ServiceError("iam:GetRole: no", code="aws_AccessDenied")

    world.aws.role = refused
    roles = ("aws.role=mme", "build.codebuild_role=builder")
    found = statements("deployer", "image.uri=null", *roles)
    arns = [f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("mme", "builder")]
    assert (found["iam:GetRole"], found["iam:PassRole"]) == (arns, arns)
    (any_of_sagemaker,) = statements("deployer")["iam:PassRole"]
    assert any_of_sagemaker.endswith(":role/*AmazonSageMaker-ExecutionRole-*")


def test_an_alias_is_of_its_own_account_and_region(statements):
    there = "arn:aws:kms:us-east-1:999999999999:"
    found = statements("execution", f"bucket.kms_key={there}alias/models")
    assert found["kms:Decrypt"] == [f"{there}key/*"]
    here = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/*"
    assert statements("execution", "bucket.kms_key=alias/x")["kms:Decrypt"] == [here]


def test_captured_requests_need_the_right_to_encrypt_them(statements):
    key = ("bucket.kms_key=alias/x", "capture.enabled=true")
    assert "kms:GenerateDataKey" in statements("execution", *key)
    assert "kms:GenerateDataKey" not in statements("execution", key[0])
    assert "kms:GenerateDataKey" not in statements("execution", key[1])


def test_the_doctor_looks_for_the_alarms_that_defaults_stands_for(world):
    with Path("config.yaml").open("a") as file:
        file.write("alarms: {defaults: true}\nupdate: {policy: canary, alarms: defaults}\n")
    wanted = subject_of(world(Output(Mode(), io.StringIO(), io.StringIO()), None)).wanted
    assert wanted.policy.alarms == ("demo-AllTraffic-errors", "demo-AllTraffic-latency")
    assert set(wanted.policy.alarms) < set(wanted.made)


EVERYTHING = (
    "image.uri=null",
    "build.codebuild_role=builder",
    "update.alarms=[a]",
    "network.subnets=[subnet-0123456789abcdef0]",
    "network.security_groups=[sg-0123456789abcdef0]",
    "bucket.kms_key=alias/models",
    "capture.enabled=true",
    "endpoint.name=a-name-of-an-endpoint-of-usual-length",
)


def test_a_policy_that_is_too_long_comes_in_parts(call):
    given = [word for one in EVERYTHING for word in ("--set", one)]
    code, out, err = call("iam", "deployer", "--json", *given)
    whole = result(out)["data"]
    assert (code, whole["parts"]) == (0, 2)
    assert "attach 2: mmectl iam deployer --part 1, mmectl iam deployer --part 2" in err
    found = []
    for part in ("1", "2"):
        code, out, err = call("iam", "deployer", "--part", part, *given)
        assert (code, err) == (0, "")
        assert len("".join(out.split())) <= 6144
        found += json.loads(out)["Statement"]
    assert found == whole["document"]["Statement"]
    code, _, err = call("iam", "deployer", "--part", "3", *given)
    assert (code, "--part 3: the policy has 2 parts" in err) == (2, True)


def test_a_policy_that_fits_has_one_part(call):
    assert call("iam", "deployer", "--part", "1")[1] == call("iam", "deployer")[1]
    assert call("iam", "deployer", "--part", "2")[0] == 2

"""What a deploy refuses before anything is made."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mmectl.base.errors import DeployError, ServiceError
from mmectl.base.values import Location
from mmectl.deploy import preflight
from mmectl.endpoint import Desired, Step
from mmectl.spec.policy import Policy

UPDATE = (Step("UpdateEndpoint", "demo", "changed"),)
CREATE = (Step("CreateEndpoint", "demo", "it does not exist"),)
WATCHED = Desired("demo", "m", "c", {}, {}, policy=Policy(alarms=("errors", "slow")))


class Account:
    def __init__(self, *buckets: str) -> None:
        self.buckets = buckets

    def bucket_exists(self, name: str) -> bool:
        return name in self.buckets


class Bucket:
    def __init__(self, *keys: str) -> None:
        self.keys = keys

    def holds(self, prefix: str) -> bool:
        return any(key.startswith(prefix) for key in self.keys)


@pytest.mark.parametrize(
    ("account", "bucket"),
    [(Account(), Bucket("demo/m.tar.gz")), (Account("b"), Bucket("other/m.tar.gz"))],
)
def test_an_endpoint_without_models_is_refused(account, bucket):
    with pytest.raises(DeployError, match="under s3://b/demo/") as refused:
        preflight.require_models(account, bucket, Location("b", "demo/"), print)
    assert refused.value.code == "no_models"


def test_one_model_is_enough():
    preflight.require_models(Account("b"), Bucket("demo/m.tar.gz"), Location("b", "demo/"), print)


def test_alarms_that_the_plan_makes_need_not_be_there():
    asked: list[Sequence[str]] = []

    def missing(names: Sequence[str]) -> list[str]:
        asked.append(names)
        return []

    made = tuple(Step("PutMetricAlarm", name, "") for name in ("errors", "slow"))
    preflight.require_alarms(missing, WATCHED, (*made[:1], *UPDATE))
    assert asked == [("slow",)]
    preflight.require_alarms(missing, WATCHED, (*made, *UPDATE))
    assert asked == [("slow",)]


def test_alarms_that_an_update_watches_must_exist():
    asked: list[Sequence[str]] = []

    def missing(names: Sequence[str]) -> list[str]:
        asked.append(names)
        return ["slow"]

    preflight.require_alarms(missing, WATCHED, CREATE)
    assert asked == []  # no alarm is watched by the first deployment
    with pytest.raises(DeployError, match="no such CloudWatch alarm: slow"):
        preflight.require_alarms(missing, WATCHED, UPDATE)
    assert asked == [("errors", "slow")]


def test_who_may_not_look_at_alarms_leaves_them_to_sagemaker():
    def refused(_names: Sequence[str]) -> list[str]:
        raise ServiceError("AccessDenied")

    preflight.require_alarms(refused, WATCHED, UPDATE)


class Closed(Account):
    """An account that refuses every look, with that code."""

    def __init__(self, code: str) -> None:
        super().__init__("b")
        self.code = code

    def bucket_exists(self, name: str) -> bool:
        raise ServiceError("may not be looked at", code=self.code)


@pytest.mark.parametrize("code", ["bucket_forbidden", "aws_AccessDenied"])
def test_who_may_not_look_at_the_models_deploys_with_a_warning(code):
    said: list[str] = []
    preflight.require_models(Closed(code), Bucket(), Location("b", "demo/"), said.append)
    assert said == ["the models under s3://b/demo/ are not looked at: may not be looked at"]


def test_a_bucket_that_cannot_be_reached_ends_a_deploy():
    with pytest.raises(ServiceError):
        preflight.require_models(Closed("unreachable"), Bucket(), Location("b", "demo/"), print)


@pytest.mark.parametrize(
    ("policy", "count", "steps", "warned"),
    [
        (Policy("canary", wait=60), 1, UPDATE, True),
        (Policy("rolling"), 1, UPDATE, True),
        (Policy("canary", wait=60), 2, UPDATE, False),
        (Policy("canary", wait=60), 1, CREATE, False),
        (Policy(alarms=("errors",)), 1, UPDATE, False),
    ],
)
def test_a_policy_that_shifts_a_part_of_one_instance_is_warned_of(policy, count, steps, warned):
    config = {"ProductionVariants": [{"VariantName": "A", "InitialInstanceCount": count}]}
    said: list[str] = []
    preflight.warn_of_one_instance(
        Desired("demo", "m", "c", {}, config, policy=policy), steps, said.append
    )
    assert bool(said) is warned

"""Planning is pure; executing is tried against an in-memory control plane."""

from __future__ import annotations

import dataclasses

import pytest
from fakes.sagemaker import Sagemaker as Aws

from mmectl import endpoint, rollout
from mmectl.endpoint import Observed, Spec, desired, plan
from mmectl.errors import DeployError, ServiceError
from mmectl.rollout import Timing

SPEC = Spec(
    endpoint="demo",
    image="123456789012.dkr.ecr.us-east-1.amazonaws.com/x:1",
    model_data_url="s3://bucket/demo/",
    role_arn="arn:aws:iam::123456789012:role/r",
    instance_type="ml.m5.xlarge",
    instance_count=2,
)
WANTED = desired(SPEC)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def timing(timeout: float = 100.0) -> Timing:
    clock = Clock()
    return Timing(timeout=timeout, clock=clock, sleep=clock.sleep, jitter=lambda: 0.5)


def deployed(aws: Aws, spec: Spec = SPEC) -> list[str]:
    aws.calls.clear()
    list(rollout.deploy(aws, desired(spec), timing=timing()))
    return aws.calls


def test_first_deploy_makes_all_three_in_order():
    aws = Aws()
    assert deployed(aws) == ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    assert aws.endpoint["EndpointStatus"] == "InService"


def test_second_deploy_does_nothing():
    aws = Aws()
    deployed(aws)
    assert deployed(aws) == []


@pytest.mark.parametrize(
    ("change", "calls"),
    [
        ({"instance_count": 3}, ["CreateEndpointConfig", "UpdateEndpoint"]),
        ({"instance_type": "ml.c5.large"}, ["CreateEndpointConfig", "UpdateEndpoint"]),
        ({"image": "x:2"}, ["CreateModel", "CreateEndpointConfig", "UpdateEndpoint"]),
        (
            {"environment": (("A", "1"),)},
            ["CreateModel", "CreateEndpointConfig", "UpdateEndpoint"],
        ),
        ({"tags": (("team", "a"),)}, []),
    ],
)
def test_a_change_makes_what_it_changes(change, calls):
    aws = Aws()
    deployed(aws)
    assert deployed(aws, dataclasses.replace(SPEC, **change)) == calls


def test_going_back_is_an_update_to_the_previous_configuration():
    aws = Aws()
    deployed(aws)
    first = aws.endpoint["EndpointConfigName"]
    deployed(aws, dataclasses.replace(SPEC, instance_count=3))
    assert aws.endpoint["EndpointConfigName"] != first
    assert deployed(aws) == ["UpdateEndpoint"]
    assert aws.endpoint["EndpointConfigName"] == first


def test_names_are_content_and_fit():
    assert desired(SPEC) == desired(SPEC)
    reordered = dataclasses.replace(SPEC, environment=(("B", "2"), ("A", "1")))
    ordered = dataclasses.replace(SPEC, environment=(("A", "1"), ("B", "2")))
    assert desired(reordered).model == desired(ordered).model
    long = desired(dataclasses.replace(SPEC, endpoint="e" * 63))
    assert len(long.config) <= 63


def test_failure_says_reason_and_last_words():
    aws = Aws(fails="did not pass the ping health check")
    with pytest.raises(DeployError) as caught:
        deployed(aws)
    text = caught.value.message
    assert "endpoint demo is Failed: did not pass the ping health check" in text
    assert "serving: nothing" in text
    assert "  ImportError: no mxnet" in text


def test_rolled_back_update_is_no_success():
    aws = Aws()
    deployed(aws)
    old = aws.endpoint["EndpointConfigName"]
    aws.fails = "no capacity"
    with pytest.raises(DeployError) as caught:
        deployed(aws, dataclasses.replace(SPEC, instance_count=3))
    assert "was rolled back: no capacity" in caught.value.message
    assert f"still serving: {old}" in caught.value.message


def test_broken_endpoint_is_made_anew():
    aws = Aws(fails="x")
    with pytest.raises(DeployError):
        deployed(aws)
    aws.fails = None
    assert deployed(aws) == ["DeleteEndpoint", "CreateEndpoint"]


def test_somebody_elses_change_is_waited_for():
    aws = Aws(looks=3)
    list(rollout.deploy(aws, WANTED, timing=timing(), wait=False))
    assert aws.endpoint["EndpointStatus"] == "Creating"
    assert deployed(aws) == []
    assert aws.endpoint["EndpointStatus"] == "InService"


def test_deadline_is_kept_and_said():
    aws = Aws(looks=10**6)
    with pytest.raises(DeployError) as caught:
        list(rollout.deploy(aws, WANTED, timing=timing(20.0)))
    assert caught.value.code == "deploy_timeout"
    assert "not InService after 20 s; SageMaker goes on" in caught.value.message


def test_destroy_removes_in_order_and_again_is_fine():
    aws = Aws()
    deployed(aws)
    deployed(aws, dataclasses.replace(SPEC, image="x:2"))
    aws.calls.clear()
    list(rollout.destroy(aws, "demo", timing=timing()))
    assert aws.calls == [
        "DeleteEndpoint",
        "DeleteEndpointConfig",
        "DeleteEndpointConfig",
        "DeleteModel",
        "DeleteModel",
    ]
    assert (aws.endpoint, aws.configs, aws.models) == (None, {}, {})
    aws.calls.clear()
    list(rollout.destroy(aws, "demo", timing=timing()))
    assert aws.calls == []


def test_destroy_leaves_what_is_not_ours():
    aws = Aws()
    aws.models["demo-deadbeef"] = {"Tags": []}
    aws.models["demo-other-12345678"] = {"Tags": [{"Key": endpoint.TAG, "Value": "demo"}]}
    deployed(aws)
    list(rollout.destroy(aws, "demo", timing=timing()))
    assert set(aws.models) == {"demo-deadbeef", "demo-other-12345678"}


def test_destroy_waits_where_aws_refuses_during_a_change():
    aws = Aws()
    list(rollout.deploy(aws, WANTED, timing=timing(), wait=False))
    aws.refuse_delete = 1
    list(rollout.destroy(aws, "demo", timing=timing()))
    assert aws.endpoint is None


@pytest.mark.parametrize("status", sorted(endpoint.IN_PROGRESS))
def test_plan_waits_while_something_goes_on(status):
    steps = plan(WANTED, Observed(status=status))
    assert [step.action for step in steps] == ["Wait"]


def test_plan_and_execution_are_the_same_value():
    aws = Aws()
    steps = plan(WANTED, endpoint.observe(aws, WANTED))
    assert [step.action for step in steps] == deployed(aws)
    assert steps[0].request == aws.models[WANTED.model]


def test_what_aws_shows_may_lag_behind_what_it_accepted():
    aws = Aws()
    aws.stale = 3
    deployed(aws)
    aws.stale = 3
    deployed(aws, dataclasses.replace(SPEC, instance_count=3))
    assert aws.endpoint["EndpointStatus"] == "InService"


def test_blips_do_not_end_a_long_wait():
    aws = Aws(looks=4)
    list(rollout.deploy(aws, WANTED, timing=timing(), wait=False))
    aws.blips = 4
    list(rollout.await_serving(aws, WANTED, timing()))
    aws = Aws(looks=4)
    list(rollout.deploy(aws, WANTED, timing=timing(), wait=False))
    aws.blips = 99
    with pytest.raises(ServiceError, match="Rate exceeded"):
        list(rollout.await_serving(aws, WANTED, timing()))


def test_a_role_that_was_just_made_is_waited_for():
    aws, answers = Aws(), [ServiceError("Could not assume role arn:..."), None]
    create = aws.create_model

    def spreading(request):
        if answer := answers.pop(0):
            raise answer
        create(request)

    aws.create_model = spreading
    assert deployed(aws)[0] == "CreateModel"
    aws.create_model = lambda request: (_ for _ in ()).throw(ServiceError("quota"))
    with pytest.raises(ServiceError, match="quota"):
        deployed(aws, dataclasses.replace(SPEC, image="x:2"))


def test_somebody_elses_endpoint_is_left_alone():
    aws = Aws()
    deployed(aws)
    aws.endpoint_tags = []
    aws.calls.clear()
    with pytest.raises(DeployError, match="was not made by mmectl") as caught:
        deployed(aws)
    assert caught.value.code == "not_ours"
    with pytest.raises(DeployError, match="was not made by mmectl"):
        list(rollout.destroy(aws, "demo", timing=timing()))
    assert aws.calls == []


def test_a_failed_rollback_still_serves_and_is_updated():
    found = Observed("UpdateRollbackFailed", WANTED.config, model_exists=True, config_exists=True)
    assert [step.action for step in plan(WANTED, found)] == ["UpdateEndpoint"]


def test_long_names_with_the_same_beginning_share_nothing():
    one, two = (desired(dataclasses.replace(SPEC, endpoint="e" * 60 + end)) for end in "ab")
    assert one.model != two.model


def test_whom_somebody_else_overtook_is_told_so():
    aws = Aws()
    deployed(aws)
    other = desired(dataclasses.replace(SPEC, instance_count=5))
    aws.endpoint["EndpointConfigName"] = "demo-somebody"
    with pytest.raises(DeployError, match="somebody else deployed demo-somebody") as caught:
        list(rollout.await_serving(aws, other, timing(), previous=WANTED.config))
    assert "last words" not in caught.value.message
    aws.endpoint = None
    with pytest.raises(DeployError, match="was deleted meanwhile"):
        list(rollout.await_serving(aws, other, timing(), previous=WANTED.config))

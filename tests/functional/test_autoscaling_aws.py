"""Application Auto Scaling over a stubbed client: each call as AWS takes it."""

from __future__ import annotations

import pytest
from botocore.exceptions import EndpointConnectionError

from mmectl.aws.autoscaling import Autoscaling
from mmectl.aws.sagemaker import Sagemaker
from mmectl.base.errors import ServiceError
from mmectl.planning.scaling_calls import destruction
from mmectl.planning.scaling_changes import settings
from mmectl.spec import scaling
from mmectl.spec.scaling import Autoscaling as Wanted
from mmectl.spec.scaling import Scheduled, Target

LOOKED = {"ServiceNamespace": "sagemaker"}
PLACE = scaling.place("demo", "AllTraffic")
AUTO = Wanted(1, 4, 200, schedule=(Scheduled("cron(0 8 * * ? *)", 2, 8, "Europe/Berlin"),))


def row(endpoint: str) -> dict:
    place = scaling.place(endpoint, "AllTraffic")
    limits = {"MinCapacity": 1, "MaxCapacity": 4}
    return {**place, **limits, "RoleARN": "arn:aws:iam::123456789012:role/x", "CreationTime": 1.0}


def test_targets_with_what_is_set_on_them(aws, stub):
    client = stub("application-autoscaling")
    state = {"DynamicScalingInSuspended": True, "DynamicScalingOutSuspended": False}
    rows = [{**row("demo"), "SuspendedState": state}, row("demo-2"), row("other")]
    client.add_response("describe_scalable_targets", {"ScalableTargets": rows}, LOOKED)
    of = {"ServiceNamespace": "sagemaker", "ResourceId": "endpoint/demo/variant/AllTraffic"}
    policy = {**scaling.policy_of(AUTO), **PLACE, "PolicyARN": "arn", "CreationTime": 1.0}
    client.add_response("describe_scaling_policies", {"ScalingPolicies": [policy]}, of)
    action = {
        **scaling.actions_of(AUTO)[0],
        **PLACE,
        "ScheduledActionARN": "arn",
        "CreationTime": 1.0,
    }
    client.add_response("describe_scheduled_actions", {"ScheduledActions": [action]}, of)
    found = Sagemaker(aws).scalable_targets("demo")
    policies, actions = (scaling.policy_of(AUTO),), tuple(scaling.actions_of(AUTO))
    assert found == (Target("AllTraffic", 1, 4, policies, actions, ("DynamicScalingInSuspended",)),)
    assert list(settings("demo", ["AllTraffic"], AUTO, found)) == []


def test_who_may_not_look_and_who_cannot(aws, stub):
    client = stub("application-autoscaling")
    client.add_client_error("describe_scalable_targets", "AccessDeniedException", "no", 400)
    assert Sagemaker(aws).scalable_targets("demo") is None
    client.add_client_error("describe_scalable_targets", "InternalServiceException", "x", 500)
    with pytest.raises(ServiceError):
        Sagemaker(aws).scalable_targets("demo")


def test_every_change_is_a_call_that_aws_takes(aws, stub):
    client, plane = stub("application-autoscaling"), Sagemaker(aws)
    changes = [
        *settings("demo", ["AllTraffic"], AUTO, ()),
        *destruction(
            "demo",
            [
                Target(
                    "AllTraffic",
                    1,
                    4,
                    (scaling.policy_of(AUTO),),
                    tuple(scaling.actions_of(AUTO)),
                )
            ],
            "x",
        ),
    ]
    operations = {
        "RegisterScalableTarget": "register_scalable_target",
        "PutScalingPolicy": "put_scaling_policy",
        "PutScheduledAction": "put_scheduled_action",
        "DeleteScalingPolicy": "delete_scaling_policy",
        "DeleteScheduledAction": "delete_scheduled_action",
        "DeregisterScalableTarget": "deregister_scalable_target",
    }
    assert [change.action for change in changes] == list(operations)
    for change in changes:
        answer = {"PolicyARN": "arn"} if change.action == "PutScalingPolicy" else {}
        client.add_response(operations[change.action], answer, dict(change.request))
        plane.autoscale(change.action, change.request)


def test_what_is_gone_already_is_fine_to_remove_and_no_place_to_put(aws, stub):
    client, plane = stub("application-autoscaling"), Sagemaker(aws)
    for operation in ("delete_scaling_policy", "put_scaling_policy"):
        client.add_client_error(operation, "ObjectNotFoundException", "No scalable target", 400)
    plane.autoscale("DeleteScalingPolicy", {**PLACE, "PolicyName": "mmectl-invocations"})
    with pytest.raises(ServiceError, match="No scalable target"):
        plane.autoscale("PutScalingPolicy", {**PLACE, **scaling.policy_of(AUTO)})


def test_scaling_in_place(aws, stub):
    change = {"VariantName": "AllTraffic", "DesiredInstanceCount": 3}
    request = {"EndpointName": "demo", "DesiredWeightsAndCapacities": [change]}
    stub("sagemaker").add_response(
        "update_endpoint_weights_and_capacities",
        {"EndpointArn": "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/demo"},
        request,
    )
    Sagemaker(aws).update_capacities(request)


class Unreachable:
    """A client in a network that does not lead to the service."""

    def get_paginator(self, operation: str):
        raise EndpointConnectionError(endpoint_url="https://application-autoscaling.x")


def test_who_does_not_reach_the_service_cannot_look():
    assert Autoscaling(Unreachable).targets("demo") is None

"""Autoscaling as a part of plans, executed against an in-memory control plane."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from typing import Any

import pytest
from deploying import SPEC, changed_by, deployed, timing
from fakes.sagemaker import Sagemaker as Aws
from fakes.sagemaker import variant

from mmectl.base.errors import DeployError, MmectlError, ServiceError
from mmectl.deploy import rollout
from mmectl.deploy.destroy import destroy
from mmectl.endpoint import plan
from mmectl.planning.observe import observe
from mmectl.planning.parting import parting
from mmectl.planning.scaling_note import KEPT, note_of, noted
from mmectl.spec import scaling
from mmectl.spec.desired import desired
from mmectl.spec.scaling import Autoscaling, Scheduled, Target

AUTO = Autoscaling(1, 4, 200)
SCALED = dataclasses.replace(SPEC, autoscaling=AUTO)
PLACE = scaling.place("demo", "AllTraffic")
THEIRS: dict[str, Any] = {
    "PolicyName": "cpu",
    "PolicyType": "TargetTrackingScaling",
    "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 60.0},
}
STARTS = datetime(2026, 1, 1, tzinfo=timezone.utc)
NIGHT = {
    "ScheduledActionName": "night",
    "Schedule": "cron(0 20 * * ? *)",
    "StartTime": STARTS,
    "ScalableTargetAction": {"MaxCapacity": 2},
}


def of(spec: Any, **changes: Any) -> Any:
    return dataclasses.replace(spec, autoscaling=dataclasses.replace(AUTO, **changes))


def steps(aws: Aws, spec: Any) -> list[tuple[str, str]]:
    found = plan(desired(spec), observe(aws, desired(spec)))
    return [(step.action, step.why) for step in found]


def scaled_by(aws: Aws, count: int) -> None:
    """What autoscaling does."""
    aws.endpoint["ProductionVariants"] = [variant("AllTraffic", count, 1.0)]


def with_theirs(aws: Aws) -> None:
    deployed(aws)
    aws.targets["AllTraffic"] = Target("AllTraffic", 1, 8, (THEIRS,), (NIGHT,))
    scaled_by(aws, 6)


def test_it_is_registered_once_the_endpoint_serves_and_then_up_to_date():
    aws = Aws()
    calls = deployed(aws, SCALED)
    assert calls[-3:] == ["CreateEndpoint", "RegisterScalableTarget", "PutScalingPolicy"]
    (target,) = aws.targets.values()
    assert (target.variant, target.min, target.max) == ("AllTraffic", 1, 4)
    assert target.policies == (
        {
            "PolicyName": "mmectl-invocations",
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": 200.0,
                "PredefinedMetricSpecification": {
                    "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
                },
                "ScaleOutCooldown": 300,
                "ScaleInCooldown": 300,
            },
        },
    )
    assert deployed(aws, SCALED) == []


def test_what_autoscaling_does_is_no_drift():
    aws = Aws()
    deployed(aws, SCALED)
    scaled_by(aws, 4)
    assert deployed(aws, SCALED) == []
    # a deploy of something else keeps the count
    changed = dataclasses.replace(changed_by(container__image="x:2"), autoscaling=AUTO)
    assert "UpdateEndpoint" in deployed(aws, changed)
    assert aws.updates[-1]["RetainAllVariantProperties"] is True
    assert "ExcludeRetainedVariantProperties" not in aws.updates[-1]
    assert aws.endpoint["ProductionVariants"] == [variant("AllTraffic", 4, 1.0)]


def test_somebody_elses_autoscaling_owns_the_count_too():
    aws = Aws()
    with_theirs(aws)
    assert deployed(aws) == []
    assert "UpdateEndpoint" in deployed(aws, changed_by(container__image="x:2"))
    assert aws.endpoint["ProductionVariants"] == [variant("AllTraffic", 6, 1.0)]
    assert aws.targets["AllTraffic"].policies == (THEIRS,)


def test_weights_stay_those_of_the_configuration():
    aws = Aws()
    with_theirs(aws)
    aws.endpoint["ProductionVariants"] = [variant("AllTraffic", 6, 0.5)]
    deployed(aws, changed_by(container__image="x:2"))
    excluded = aws.updates[-1]["ExcludeRetainedVariantProperties"]
    assert excluded == [{"VariantPropertyType": "DesiredWeight"}]
    # the update alone has brought them
    assert aws.endpoint["ProductionVariants"] == [variant("AllTraffic", 6, 1.0)]
    assert aws.scales == []


def test_what_changes_is_set_anew_and_told():
    aws = Aws()
    deployed(aws, SCALED)
    changed = of(SPEC, max=6, target=150.5)
    assert steps(aws, changed) == [
        ("RegisterScalableTarget", "1 to 6 instances instead of 1 to 4"),
        (
            "PutScalingPolicy",
            "150.5 invocations per instance and minute instead of: 200 invocations per instance "
            "and minute",
        ),
    ]
    assert deployed(aws, changed) == ["RegisterScalableTarget", "PutScalingPolicy"]
    assert deployed(aws, changed) == []


def test_what_is_no_longer_wanted_goes_and_the_count_is_the_configurations_again():
    aws = Aws()
    deployed(aws, SCALED)
    scaled_by(aws, 4)
    assert [action for action, _ in steps(aws, SPEC)] == ["DeregisterScalableTarget", "Scale"]
    assert deployed(aws) == ["DeregisterScalableTarget", "UpdateEndpointWeightsAndCapacities"]
    assert aws.endpoint["ProductionVariants"] == [variant("AllTraffic", 2, 1.0)]
    assert aws.targets == {}


def test_somebody_elses_policy_beside_ours_stays_with_its_target():
    aws = Aws()
    with_theirs(aws)
    deployed(aws, SCALED)
    assert {one["PolicyName"] for one in aws.targets["AllTraffic"].policies} == {
        "cpu",
        "mmectl-invocations",
    }
    assert deployed(aws) == ["DeleteScalingPolicy"]
    assert aws.targets["AllTraffic"].policies == (THEIRS,)


def test_a_schedule_moves_the_limits_and_that_is_no_drift():
    day = Scheduled("cron(0 8 ? * MON-FRI *)", 3, 10, "Europe/Berlin")
    evening = Scheduled("cron(0 20 ? * MON-FRI *)", 1, 4, "Europe/Berlin")
    aws = Aws()
    spec = of(SPEC, schedule=(day, evening))
    calls = deployed(aws, spec)
    assert calls[-3:] == ["PutScalingPolicy", "PutScheduledAction", "PutScheduledAction"]
    old = aws.targets["AllTraffic"]
    aws.targets["AllTraffic"] = dataclasses.replace(old, min=3, max=10)  # at eight
    assert deployed(aws, spec) == []
    (first,) = steps(aws, of(SPEC, schedule=(dataclasses.replace(day, min=2), evening)))[1:]
    assert first == (
        "PutScheduledAction",
        "cron(0 8 ? * MON-FRI *) Europe/Berlin: min 2, max 10 instead of: "
        "cron(0 8 ? * MON-FRI *) Europe/Berlin: min 3, max 10",
    )
    assert [action for action, _ in steps(aws, of(SPEC, schedule=(day,)))] == [
        "DeleteScheduledAction"
    ]


def test_another_instance_type_takes_the_target_away_and_brings_it_back():
    aws = Aws()
    deployed(aws, SCALED)
    scaled_by(aws, 4)
    other = dataclasses.replace(
        changed_by(variant__instance_type="ml.m5.2xlarge"), autoscaling=AUTO
    )
    assert deployed(aws, other) == [
        "CreateEndpointConfig",
        "DeregisterScalableTarget",
        "AddTags",
        "UpdateEndpoint",
        "RegisterScalableTarget",
        "PutScalingPolicy",
    ]
    assert aws.endpoint["ProductionVariants"] == [variant("AllTraffic", 4, 1.0)]
    assert deployed(aws, other) == []


def test_somebody_elses_target_is_noted_on_the_endpoint_until_it_is_back():
    aws = Aws()
    with_theirs(aws)
    other = changed_by(variant__instance_type="ml.m5.2xlarge")
    calls = deployed(aws, other)
    noted = ["AddTags", "DeregisterScalableTarget", "AddTags", "UpdateEndpoint"]
    assert calls[1:5] == noted
    assert calls[-4:] == [
        "RegisterScalableTarget",
        "PutScalingPolicy",
        "PutScheduledAction",
        "DeleteTags",
    ]
    back = aws.targets["AllTraffic"]
    assert (back.min, back.max, back.policies) == (1, 8, (THEIRS,))
    assert back.actions == ({**NIGHT, "StartTime": STARTS.timestamp()},)
    assert not any(key.startswith(KEPT) for key in aws.tags("endpoint", "demo"))
    assert deployed(aws, other) == []


@pytest.mark.parametrize("after", range(1, 9))
def test_nothing_is_lost_where_it_is_interrupted(after):
    """After each event of the update; the next deploy puts autoscaling back."""
    aws = Aws()
    with_theirs(aws)
    other = changed_by(variant__instance_type="ml.m5.2xlarge")
    events: Any = rollout.deploy(aws, desired(other), timing=timing())
    for _ in range(2 * after):
        next(events, None)
    events.close()
    deployed(aws, other)
    back = aws.targets["AllTraffic"]
    assert (back.min, back.max, back.policies, len(back.actions)) == (1, 8, (THEIRS,), 1)
    assert aws.endpoint["ProductionVariants"] == [variant("AllTraffic", 6, 1.0)]
    assert not any(key.startswith(KEPT) for key in aws.tags("endpoint", "demo"))


def test_an_update_that_was_rolled_back_gets_its_autoscaling_back():
    aws = Aws()
    with_theirs(aws)
    aws.fails = "alarms entered ALARM"
    other = changed_by(variant__instance_type="ml.m5.2xlarge")
    with pytest.raises(DeployError, match="was rolled back"):
        deployed(aws, other)
    assert aws.targets["AllTraffic"].policies == (THEIRS,)
    # interrupted before that: the next deploy refuses the update, and puts it back
    aws.add_tags("endpoint", "demo", note_of([aws.targets.pop("AllTraffic")]))
    with pytest.raises(DeployError, match="was rolled back"):
        deployed(aws, other)
    assert aws.targets["AllTraffic"].policies == (THEIRS,)
    assert aws.calls.count("UpdateEndpoint") == 0


def test_step_scaling_cannot_be_put_back_and_is_left_alone():
    aws = Aws()
    deployed(aws)
    step = {"PolicyName": "steps", "PolicyType": "StepScaling"}
    aws.targets["AllTraffic"] = Target("AllTraffic", 1, 8, (step,))
    with pytest.raises(DeployError, match=r"cannot be put back .* its policy steps") as caught:
        deployed(aws, changed_by(variant__instance_type="ml.m5.2xlarge"))
    assert (caught.value.code, aws.calls) == ("autoscaled", [])


def test_a_variant_that_goes_takes_nobody_elses_autoscaling_along():
    aws = Aws()
    with_theirs(aws)
    with pytest.raises(DeployError, match="variant AllTraffic is no longer in") as caught:
        deployed(aws, changed_by(variant__name="main"))
    assert (caught.value.code, aws.calls) == ("autoscaled", [])
    # interrupted while it was away: the note stays until its variant is back
    note = note_of([aws.targets.pop("AllTraffic")])
    aws.add_tags("endpoint", "demo", note)
    deployed(aws, changed_by(variant__name="main"))
    assert note.items() <= aws.tags("endpoint", "demo").items()
    # ours follows the name
    aws = Aws()
    deployed(aws, SCALED)
    deployed(aws, dataclasses.replace(changed_by(variant__name="main"), autoscaling=AUTO))
    assert set(aws.targets) == {"main"}


def test_a_note_that_does_not_fit_is_refused_before_anything_is_done():
    tags = {f"k{number}": "v" for number in range(50)}
    target = Target("AllTraffic", 1, 8, (THEIRS,))
    with pytest.raises(DeployError, match="does not fit"):
        list(parting("demo", {"AllTraffic"}, None, [target], tags))


def test_who_does_not_wait_hears_what_is_left():
    aws = Aws(looks=10)
    *_, last = rollout.deploy(aws, desired(SCALED), timing=timing(), wait=False)
    assert last.text == (
        "left for when it is InService: RegisterScalableTarget, PutScalingPolicy; then run: "
        "mmectl deploy"
    )
    assert deployed(aws, SCALED) == ["RegisterScalableTarget", "PutScalingPolicy"]


def test_who_may_not_look_changes_no_count():
    aws = Aws()
    deployed(aws)
    aws.may_look = False
    assert deployed(aws) == []
    # nobody has changed the count since: it is the configuration's
    three = ["UpdateEndpointWeightsAndCapacities"]
    assert deployed(aws, changed_by(variant__instance_count=3)) == three
    aws = Aws()
    deployed(aws)
    aws.may_look = False
    scaled_by(aws, 6)
    with pytest.raises(DeployError, match="from 6 to 2 instances: whether autoscaling") as caught:
        deployed(aws)
    assert "application-autoscaling:DescribeScalableTargets" in str(caught.value.hint)
    with pytest.raises(DeployError, match="cannot be looked at"):
        deployed(aws, SCALED)
    assert aws.calls == []


def test_destroy_removes_policies_schedules_and_targets_first():
    aws = Aws()
    deployed(aws, of(SPEC, schedule=(Scheduled("rate(1 hour)", 2),)))
    aws.calls.clear()
    list(destroy(aws, "demo", timing=timing()))
    assert aws.calls[:4] == [
        "DeleteScalingPolicy",
        "DeleteScheduledAction",
        "DeregisterScalableTarget",
        "DeleteEndpoint",
    ]
    assert aws.targets == {}
    # a target of ours that an endpoint left behind goes, one of others stays
    aws.targets["AllTraffic"] = Target("AllTraffic", 1, 8, (THEIRS,))
    aws.calls.clear()
    list(destroy(aws, "demo", timing=timing()))
    assert aws.calls == []


def test_an_endpoint_that_failed_is_made_anew_with_its_autoscaling():
    aws = Aws(fails="no ping")
    with pytest.raises(DeployError):
        deployed(aws, SCALED)
    assert aws.targets == {}
    aws.fails = None
    calls = deployed(aws, SCALED)
    assert calls[-3:] == ["CreateEndpoint", "RegisterScalableTarget", "PutScalingPolicy"]


def test_a_note_survives_tags_and_what_is_damaged_is_none():
    many = tuple({**THEIRS, "PolicyName": f"policy-{number}"} for number in range(9))
    targets = (Target("A", 1, 2, many, (NIGHT,)), Target("B", 3, 4))
    note = note_of(targets)
    assert all(len(value) <= 256 for value in note.values())
    back = noted({"team": "a", **note})
    assert [(one.variant, one.min, one.max) for one in back] == [("A", 1, 2), ("B", 3, 4)]
    assert back[0].policies == many
    assert noted({f"{KEPT}1": "nonsense"}) == ()


class Refusing(Aws):
    """Takes no update, or registers no target."""

    takes, down = False, False

    def update_endpoint(self, request: Any) -> None:
        if self.takes:
            super().update_endpoint(request)
            return
        self.calls.append("UpdateEndpoint")
        raise ServiceError("quota", code="aws_ResourceLimitExceeded")

    def autoscale(self, operation: str, request: Any) -> None:
        if self.down and operation == "RegisterScalableTarget":
            raise ServiceError("autoscaling is down")
        super().autoscale(operation, request)


def test_an_update_that_is_refused_leaves_autoscaling_as_it_was():
    aws = Refusing()
    with_theirs(aws)
    with pytest.raises(ServiceError, match="quota"):
        deployed(aws, changed_by(variant__instance_type="ml.m5.2xlarge"))
    back = aws.targets["AllTraffic"]
    assert (back.min, back.max, back.policies, len(back.actions)) == (1, 8, (THEIRS,), 1)
    assert not any(key.startswith(KEPT) for key in aws.tags("endpoint", "demo"))


def test_whose_time_is_over_hears_what_is_left():
    aws = Aws(looks=1000)
    with pytest.raises(DeployError) as caught:
        deployed(aws, SCALED)
    assert caught.value.code == "deploy_timeout"
    assert "left for when it is InService: RegisterScalableTarget" in str(caught.value.hint)


def test_a_schedule_without_its_time_zone_is_one_in_utc():
    aws = Aws()
    there = Scheduled("cron(0 8 ? * * *)", 2, timezone="Europe/Berlin")
    deployed(aws, of(SPEC, schedule=(there,)))
    todo = plan(*seen(aws, of(SPEC, schedule=(dataclasses.replace(there, timezone=None),))))
    assert [step.request["Timezone"] for step in todo] == ["UTC"]


def seen(aws: Aws, spec: Any) -> Any:
    return desired(spec), observe(aws, desired(spec))


def test_a_note_holds_what_an_earlier_one_held():
    more = {**THEIRS, "PolicyName": "more"}
    earlier = note_of([Target("A", 1, 2, (THEIRS, more)), Target("B", 3, 4, (THEIRS,), (NIGHT,))])
    now = [Target("A", 1, 5, (THEIRS,))]
    (step, _) = parting("demo", {"A"}, None, now, earlier)
    back = {one.variant: one for one in noted({**earlier, **step.request["tags"]})}
    assert (back["A"].max, back["A"].policies) == (5, (THEIRS, more))
    assert (back["B"].policies, len(back["B"].actions)) == ((THEIRS,), 1)


@pytest.mark.parametrize("autoscaling", [None, AUTO])
def test_what_is_suspended_comes_back_suspended(autoscaling):
    aws = Aws()
    spec = dataclasses.replace(SPEC, autoscaling=autoscaling)
    deployed(aws, spec)
    there = aws.targets.get("AllTraffic") or Target("AllTraffic", 1, 8, (THEIRS,))
    still = dataclasses.replace(there, suspended=("DynamicScalingInSuspended",))
    aws.targets["AllTraffic"] = still
    other = changed_by(variant__instance_type="ml.m5.2xlarge")
    deployed(aws, dataclasses.replace(other, autoscaling=autoscaling))
    assert aws.targets["AllTraffic"] == still
    assert not any(key.startswith(KEPT) for key in aws.tags("endpoint", "demo"))


@pytest.mark.parametrize(("takes", "said"), [(False, "quota"), (True, "was rolled back")])
def test_an_error_says_what_could_not_be_put_back(takes, said):
    aws = Refusing()
    with_theirs(aws)
    aws.takes, aws.down, aws.fails = takes, True, "alarms entered ALARM"
    with pytest.raises(MmectlError, match=said) as caught:
        deployed(aws, changed_by(variant__instance_type="ml.m5.2xlarge"))
    assert "left for when it is InService: RegisterScalableTarget" in str(caught.value.hint)

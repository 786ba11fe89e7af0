"""Planning is pure; executing is tried against an in-memory control plane."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from deploying import SPEC, changed_by, deployed, timing
from fakes.sagemaker import Sagemaker as Aws
from fakes.sagemaker import variant

from mmectl.base.errors import DeployError, ServiceError
from mmectl.deploy import rollout, steps
from mmectl.deploy.destroy import destroy
from mmectl.deploy.persist import persist
from mmectl.deploy.wait import await_outcome, await_serving
from mmectl.endpoint import plan
from mmectl.planning.control_plane import IN_PROGRESS
from mmectl.planning.observe import observe
from mmectl.planning.observed import Observed
from mmectl.planning.removal import removal
from mmectl.planning.serving import serving_role
from mmectl.planning.step import Step
from mmectl.spec import capacity
from mmectl.spec.container import Container
from mmectl.spec.desired import Spec, desired
from mmectl.spec.metrics import Measured
from mmectl.spec.policy import Policy, deployment_config, problem, progress
from mmectl.spec.tags import TAG, UPDATE_TAG
from mmectl.spec.variant import Variant

WANTED = desired(SPEC)


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
        ({"variant__instance_count": 3}, ["UpdateEndpointWeightsAndCapacities"]),
        ({"variant__volume_size_gb": 9}, ["CreateEndpointConfig", "AddTags", "UpdateEndpoint"]),
        (
            {"variant__instance_type": "ml.c5.large"},
            ["CreateEndpointConfig", "AddTags", "UpdateEndpoint"],
        ),
        (
            {"container__image": "x:2"},
            ["CreateModel", "CreateEndpointConfig", "AddTags", "UpdateEndpoint"],
        ),
        (
            {"container__environment": (("A", "1"),)},
            ["CreateModel", "CreateEndpointConfig", "AddTags", "UpdateEndpoint"],
        ),
        ({"tags": (("team", "a"),)}, ["AddTags", "AddTags", "AddTags"]),
        ({"policy": Policy("canary", wait=60)}, []),
    ],
)
def test_a_change_makes_what_it_changes(change, calls):
    aws = Aws()
    deployed(aws)
    assert deployed(aws, changed_by(**change)) == calls


def test_going_back_is_an_update_to_the_previous_configuration():
    aws = Aws()
    deployed(aws)
    first = aws.endpoint["EndpointConfigName"]
    deployed(aws, changed_by(variant__volume_size_gb=3))
    assert aws.endpoint["EndpointConfigName"] != first
    assert deployed(aws) == ["AddTags", "UpdateEndpoint"]
    assert aws.endpoint["EndpointConfigName"] == first


def test_the_role_that_serves_is_that_of_the_model():
    aws = Aws()
    assert serving_role(aws, "demo") is None
    deployed(aws)
    assert serving_role(aws, "demo") == SPEC.role_arn


def test_a_policy_that_cannot_shift_traffic_to_another_variant_is_refused():
    found = Observed("InService", "demo-before", variants=("AllTraffic",))
    renamed = changed_by(variant__name="main", policy=Policy("canary", wait=60))
    with pytest.raises(DeployError, match="cannot rename the variant AllTraffic to main"):
        plan(desired(renamed), found)
    at_once = changed_by(variant__name="main")
    assert plan(desired(at_once), found)[-1].action == "UpdateEndpoint"
    same = changed_by(variant__volume_size_gb=5, policy=Policy("canary", wait=60))
    assert plan(desired(same), found)[-1].action == "UpdateEndpoint"


def test_names_are_content_and_fit():
    assert desired(SPEC) == desired(SPEC)
    reordered = changed_by(container__environment=(("B", "2"), ("A", "1")))
    ordered = changed_by(container__environment=(("A", "1"), ("B", "2")))
    assert desired(reordered).model == desired(ordered).model
    long = desired(changed_by(endpoint="e" * 63))
    assert len(long.config) <= 63


def test_a_role_that_may_not_look_at_alarms_is_told_so():
    class Refusing(Aws):
        def update_endpoint(self, request):
            raise ServiceError("Access denied to CloudWatch Alarms, check the role", code="x")

    aws = Refusing()
    deployed(aws)
    changed = changed_by(container__model_cache="Disabled", policy=Policy(alarms=("a",)))
    with pytest.raises(ServiceError, match="Access denied") as caught:
        deployed(aws, changed)
    assert "the execution role, too, needs cloudwatch:DescribeAlarms" in str(caught.value.hint)
    assert caught.value.code == "x"


def test_what_is_measured_is_a_part_of_the_configuration_and_of_the_model():
    measured = desired(changed_by(container__measured=Measured(False, True, None)))
    assert measured.model == WANTED.model
    assert measured.config != WANTED.config
    assert measured.config_request["MetricsConfig"] == {
        "EnableDetailedObservability": False,
        "EnableEnhancedMetrics": True,
    }
    often = desired(changed_by(container__measured=Measured(frequency=10)))
    assert often.config_request["MetricsConfig"] == {"MetricPublishFrequencyInSeconds": 10}
    assert often.model_request["PrimaryContainer"]["ContainerMetricsConfig"] == {
        "MetricsEndpoints": [
            {"MetricsEndpointPath": "/metrics", "MetricPublishFrequencyInSeconds": 10}
        ]
    }
    off = desired(changed_by(container__measured=Measured(detailed=False, frequency=10)))
    assert "ContainerMetricsConfig" not in off.model_request["PrimaryContainer"]


def test_what_nobody_asked_to_measure_changes_no_name():
    assert "MetricsConfig" not in WANTED.config_request
    assert "ContainerMetricsConfig" not in WANTED.model_request["PrimaryContainer"]


def test_names_of_what_is_deployed_already_stay():
    """Other names would make everything anew at the first deploy of a newer mmectl."""
    full = Spec(
        endpoint="e" * 60,
        role_arn=SPEC.role_arn,
        container=Container(
            SPEC.container.image, "s3://bucket/demo/", "Disabled", (("B", "2"), ("A", "1"))
        ),
        variant=Variant("ml.m5.xlarge", 2, "blue", 64, 600, 900),
        tags=(("team", "vision"), ("a b", "c")),
    )
    stem = "e" * 54
    few, all_ = desired(SPEC), desired(full)
    assert (few.model, few.config) == ("demo-f583959f", "demo-93671492")
    assert (all_.model, all_.config) == (f"{stem}-78f9bc1c", f"{stem}-7c63afd0")
    assert few.tags == (("mmectl:endpoint", "demo"),)
    assert all_.tags == (
        ("team", "vision"),
        ("a b", "c"),
        ("mmectl:tags", "team"),
        ("mmectl:endpoint", "e" * 60),
    )


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
        deployed(aws, changed_by(variant__volume_size_gb=3))
    assert "was rolled back: no capacity" in caught.value.message
    assert f"still serving: {old}" in caught.value.message


def test_a_rollback_whose_reason_is_gone_says_what_may_have_changed_it():
    class ScaledSince(Aws):
        """Autoscaling changes the endpoint before anybody looks: the reason is gone."""

        def describe_endpoint(self, name):
            found = super().describe_endpoint(name)
            return found and {key: found[key] for key in found if key != "FailureReason"}

    aws = ScaledSince()
    deployed(aws)
    aws.fails = "no capacity"
    with pytest.raises(DeployError, match="gives no reason; autoscaling or somebody") as caught:
        deployed(aws, changed_by(variant__volume_size_gb=3))
    assert caught.value.code == "rolled_back"


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


def test_the_steps_that_are_taken_are_those_of_every_plan():
    aws = Aws(looks=3)
    deployed(aws)
    changed = desired(changed_by(variant__volume_size_gb=3))
    list(rollout.deploy(aws, changed, timing=timing(), wait=False))
    taken = []
    list(rollout.deploy(aws, WANTED, timing=timing(), taken=taken.extend))
    assert [step.action for step in taken] == ["Wait", "UpdateEndpoint"]


def test_who_does_not_wait_is_told_that_another_change_keeps_this_one_from_being_made():
    aws = Aws(looks=10)
    deployed(aws)
    changed = desired(changed_by(variant__volume_size_gb=3))
    list(rollout.deploy(aws, changed, timing=timing(), wait=False))
    aws.calls.clear()
    with pytest.raises(DeployError, match="nothing was deployed: endpoint demo is Updating") as no:
        list(rollout.deploy(aws, WANTED, timing=timing(), wait=False))
    assert (no.value.code, aws.calls) == ("in_progress", [])


@pytest.mark.parametrize("status", ["Creating", "Updating"])
def test_who_asks_twice_without_waiting_is_told_that_it_is_under_way(status):
    aws = Aws(looks=10)
    if status == "Updating":
        deployed(aws, changed_by(variant__volume_size_gb=3))
    list(rollout.deploy(aws, WANTED, timing=timing(), wait=False))
    aws.calls.clear()
    (event,) = rollout.deploy(aws, WANTED, timing=timing(), wait=False)
    assert (event.kind, event.text) == ("done", f"{status}: this change is under way")
    tagged = desired(changed_by(tags=(("team", "a"),)))
    with pytest.raises(DeployError, match="nothing was deployed"):
        list(rollout.deploy(aws, tagged, timing=timing(), wait=False))
    assert aws.calls == []


@pytest.mark.parametrize("status", ["RollingBack", "Deleting", "SystemUpdating"])
def test_what_goes_back_or_away_brings_nothing(status):
    aws = Aws()
    deployed(aws)
    summary = {"EndpointConfigName": WANTED.config}
    aws.endpoint = {
        "EndpointStatus": status,
        "EndpointConfigName": WANTED.config,
        "PendingDeploymentSummary": summary,
    }
    with pytest.raises(DeployError, match=f"endpoint demo is {status}"):
        list(rollout.deploy(aws, WANTED, timing=timing(), wait=False))


def test_deadline_is_kept_and_said():
    aws = Aws(looks=10**6)
    with pytest.raises(DeployError) as caught:
        list(rollout.deploy(aws, WANTED, timing=timing(20.0)))
    assert caught.value.code == "deploy_timeout"
    assert "not InService after 20 s; SageMaker goes on" in caught.value.message


def test_destroy_removes_in_order_and_again_is_fine():
    aws = Aws()
    deployed(aws)
    deployed(aws, changed_by(container__image="x:2"))
    aws.calls.clear()
    list(destroy(aws, "demo", timing=timing()))
    assert aws.calls == [
        "DeleteEndpoint",
        "DeleteEndpointConfig",
        "DeleteEndpointConfig",
        "DeleteModel",
        "DeleteModel",
    ]
    assert (aws.endpoint, aws.configs, aws.models) == (None, {}, {})
    aws.calls.clear()
    list(destroy(aws, "demo", timing=timing()))
    assert aws.calls == []


def test_destroy_leaves_what_is_not_ours():
    aws = Aws()
    aws.models["demo-deadbeef"] = {"Tags": []}
    aws.models["demo-other-12345678"] = {"Tags": [{"Key": TAG, "Value": "demo"}]}
    deployed(aws)
    list(destroy(aws, "demo", timing=timing()))
    assert set(aws.models) == {"demo-deadbeef", "demo-other-12345678"}


def test_destroy_waits_where_aws_refuses_during_a_change():
    aws = Aws()
    list(rollout.deploy(aws, WANTED, timing=timing(), wait=False))
    aws.refuse_delete = 1
    list(destroy(aws, "demo", timing=timing()))
    assert aws.endpoint is None


@pytest.mark.parametrize("status", sorted(IN_PROGRESS))
def test_plan_waits_while_something_goes_on(status):
    steps = plan(WANTED, Observed(status=status))
    assert [step.action for step in steps] == ["Wait"]


def test_plan_and_execution_are_the_same_value():
    aws = Aws()
    steps = plan(WANTED, observe(aws, WANTED))
    assert [step.action for step in steps] == deployed(aws)
    assert steps[0].request == aws.models[WANTED.model]


def test_what_aws_shows_may_lag_behind_what_it_accepted():
    aws = Aws()
    aws.stale = 3
    deployed(aws)
    aws.stale = 3
    deployed(aws, changed_by(variant__volume_size_gb=3))
    assert aws.endpoint["EndpointStatus"] == "InService"


def test_blips_do_not_end_a_long_wait():
    aws = Aws(looks=4)
    list(rollout.deploy(aws, WANTED, timing=timing(), wait=False))
    aws.blips = 4
    list(await_serving(aws, WANTED, timing()))
    aws = Aws(looks=4)
    list(rollout.deploy(aws, WANTED, timing=timing(), wait=False))
    aws.blips = 99
    with pytest.raises(ServiceError, match="Rate exceeded"):
        list(await_serving(aws, WANTED, timing()))


NO_ROLE = "Could not assume role arn:..."
UNREADABLE = 'Could not access model data ... the action "sts:AssumeRole" ...'


@pytest.mark.parametrize(("said", "age"), [(NO_ROLE, 1e6), (UNREADABLE, 5.0), (UNREADABLE, None)])
def test_a_role_that_was_just_made_is_waited_for(said, age):
    aws: Any = Aws()
    aws.role_made = age
    answers = [ServiceError(said), None]
    create = aws.create_model

    def spreading(request):
        if answer := answers.pop(0):
            raise answer
        create(request)

    aws.create_model = spreading
    assert deployed(aws)[0] == "CreateModel"
    aws.create_model = lambda request: (_ for _ in ()).throw(ServiceError("quota"))
    with pytest.raises(ServiceError, match="quota"):
        deployed(aws, changed_by(container__image="x:2"))


def test_models_that_an_old_role_cannot_read_are_told_at_once():
    aws: Any = Aws()
    asked: list[str] = []

    def refused(request):
        asked.append(request["ModelName"])
        raise ServiceError(UNREADABLE)

    aws.create_model = refused
    with pytest.raises(ServiceError, match="Could not access model data"):
        deployed(aws)
    assert len(asked) == 1


def test_what_the_role_needs_is_told():
    aws: Any = Aws()

    def refused(request):
        raise ServiceError('Could not access model data ... the action "sts:AssumeRole" ...')

    aws.create_model = refused
    with pytest.raises(ServiceError, match="Could not access model data") as caught:
        deployed(aws)
    said, _, policy = str(caught.value.hint).partition(": aws iam put-role-policy ")
    assert said == (
        "the role r must trust sagemaker.amazonaws.com, and needs s3:GetObject on bucket/demo/* "
        "and s3:ListBucket on bucket"
    )
    assert policy.startswith("--role-name r --policy-name mmectl-models --policy-document '{")
    allowed = json.loads(policy.partition("--policy-document ")[2].strip("'"))["Statement"]
    assert [(one["Action"], one["Resource"]) for one in allowed] == [
        ("s3:GetObject", "arn:aws:s3:::bucket/demo/*"),
        ("s3:ListBucket", "arn:aws:s3:::bucket"),
    ]


def test_somebody_elses_endpoint_is_left_alone():
    aws = Aws()
    deployed(aws)
    aws.endpoint_tags = []
    aws.calls.clear()
    with pytest.raises(DeployError, match="was not created by mmectl") as caught:
        deployed(aws)
    assert caught.value.code == "not_ours"
    with pytest.raises(DeployError, match="was not created by mmectl"):
        list(destroy(aws, "demo", timing=timing()))
    assert aws.calls == []


def test_a_failed_rollback_still_serves_and_is_updated():
    found = Observed("UpdateRollbackFailed", WANTED.config, model_exists=True, config_exists=True)
    assert [step.action for step in plan(WANTED, found)] == ["UpdateEndpoint"]


def three(aws: Aws) -> Spec:
    """Another volume, which is rolled back."""
    aws.fails = "alarms entered ALARM"
    changed = changed_by(variant__volume_size_gb=3)
    with pytest.raises(DeployError, match="was rolled back: alarms") as caught:
        deployed(aws, changed)
    assert (caught.value.code, caught.value.exit_code) == ("rolled_back", 1)
    return changed


def test_an_update_that_was_rolled_back_is_not_issued_again():
    aws = Aws()
    deployed(aws)
    changed = three(aws)
    aws.fails = None
    for wait in (True, False):  # a retry, as CI jobs do
        aws.calls.clear()
        with pytest.raises(DeployError, match="was rolled back: alarms") as caught:
            list(rollout.deploy(aws, desired(changed), timing=timing(), wait=wait))
        assert "deploy --again" in str(caught.value.hint)
        assert aws.calls == []
    list(rollout.deploy(aws, desired(changed), timing=timing(), again=True))
    assert aws.calls == ["AddTags", "UpdateEndpoint"]
    assert deployed(aws, changed) == []


def test_what_was_deployed_before_or_is_new_is_no_retry_of_what_was_rolled_back():
    aws = Aws()
    deployed(aws, changed_by(variant__volume_size_gb=5))
    deployed(aws)
    three(aws)
    aws.fails = None
    assert deployed(aws) == []  # what serves
    assert deployed(aws, changed_by(variant__volume_size_gb=5)) == ["AddTags", "UpdateEndpoint"]


def test_a_rollback_while_somebody_waits_is_told_and_not_mended():
    aws = Aws(looks=4)
    deployed(aws)
    aws.fails = "alarms entered ALARM"
    changed = desired(changed_by(variant__volume_size_gb=3))
    list(rollout.deploy(aws, changed, timing=timing(), wait=False))
    aws.endpoint_tags[:] = [t for t in aws.endpoint_tags if t["Key"] != UPDATE_TAG]  # of an older
    aws.calls.clear()
    with pytest.raises(DeployError, match="was rolled back: alarms") as caught:
        list(rollout.deploy(aws, changed, timing=timing()))
    assert (caught.value.code, aws.calls) == ("rolled_back", [])


def test_the_outcome_is_waited_for():
    aws = Aws(looks=3)
    with pytest.raises(DeployError, match="does not exist"):
        list(await_outcome(aws, "demo", timing()))
    list(rollout.deploy(aws, WANTED, timing=timing(), wait=False))
    *_, last = await_outcome(aws, "demo", timing())
    assert last.kind == "done"
    assert f"serving {WANTED.config}" in last.text
    aws.fails = "alarms entered ALARM"
    changed = desired(changed_by(variant__volume_size_gb=3))
    list(rollout.deploy(aws, changed, timing=timing(), wait=False))
    for _ in range(2):  # while it goes on, and afterwards
        with pytest.raises(DeployError, match=f"to {changed.config} was rolled back: alarms"):
            list(await_outcome(aws, "demo", timing()))
    aws = Aws(fails="no capacity")
    list(rollout.deploy(aws, WANTED, timing=timing(), wait=False))
    with pytest.raises(DeployError, match="is Failed: no capacity"):
        list(await_outcome(aws, "demo", timing()))
    busy = Aws(looks=10**6)
    list(rollout.deploy(busy, WANTED, timing=timing(), wait=False))
    with pytest.raises(DeployError, match="still being changed") as caught:
        list(await_outcome(busy, "demo", timing(20)))
    assert caught.value.code == "deploy_timeout"


def test_the_reason_of_an_earlier_failure_is_no_news():
    aws = Aws()
    deployed(aws)
    three(aws)
    aws.fails = None
    aws.stale = 3  # AWS shows the endpoint as it was before the call, its old reason included
    deployed(aws, changed_by(variant__volume_size_gb=4))
    assert aws.endpoint["EndpointStatus"] == "InService"


@pytest.mark.parametrize(
    "call", ["create_model", "create_endpoint_config", "create_endpoint", "update_endpoint"]
)
@pytest.mark.parametrize("lost", [False, True])
def test_a_call_that_was_made_counts_whatever_its_answer(call, lost):
    """SageMaker does not see what was made just now, or the answer was lost and asked for again."""
    aws: Any = Aws(looks=9)
    if call == "update_endpoint":
        deployed(aws, changed_by(container__image="x:0"))
    real, answers = getattr(aws, call), [ServiceError("Could not find endpoint configuration x")]
    refusal = "Cannot update in-progress endpoint" if "update" in call else "already existing"

    def bad(request):
        if lost:
            real(request)
            raise ServiceError(f"Cannot create {refusal} x")
        if answers and call != "create_model":
            raise answers.pop()
        real(request)

    setattr(aws, call, bad)
    deployed(aws)
    assert aws.endpoint["EndpointConfigName"] == WANTED.config
    assert aws.endpoint["EndpointStatus"] == "InService"


def test_another_change_under_way_is_no_success_of_ours():
    aws: Any = Aws(looks=9)
    deployed(aws, changed_by(container__image="x:0"))
    other = desired(changed_by(container__image="x:0", variant__volume_size_gb=7))
    aws.create_endpoint_config(other.config_request)

    def bad(request):
        Aws.update_endpoint(aws, {"EndpointConfigName": other.config})
        raise ServiceError("Cannot update in-progress endpoint")

    aws.update_endpoint = bad
    with pytest.raises(ServiceError, match="in-progress"):
        deployed(aws)


class Late(Aws):
    """Shows the endpoint as it was for some more looks after every change that it accepts."""

    def __init__(self, behind: int = 3, **options: Any) -> None:
        super().__init__(**options)
        self.behind, self._left = behind, 0
        self._old: Any = None

    def _settle_later(self, status: str, then: Any) -> None:
        self._old = None if status == "Creating" else self.endpoint
        self._left = self.behind
        super()._settle_later(status, then)

    def describe_endpoint(self, name: str) -> Any:
        if self._left:
            self._left -= 1
            return self._old
        return super().describe_endpoint(name)


def test_a_lost_update_that_is_not_shown_yet_was_made():
    aws: Any = Late(looks=9)
    deployed(aws, changed_by(container__image="x:0"))

    def lost(request):
        Late.update_endpoint(aws, request)
        raise ServiceError("Cannot update in-progress endpoint")

    aws.update_endpoint = lost
    assert deployed(aws).count("UpdateEndpoint") == 1
    assert aws.endpoint["EndpointConfigName"] == WANTED.config


def closed() -> ServiceError:
    return ServiceError("the connection was closed", code="unreachable")


@pytest.mark.parametrize("done", [True, False])
def test_an_update_without_an_answer_is_looked_for_before_it_is_made_again(done):
    aws: Any = Late(looks=1)
    deployed(aws, changed_by(container__image="x:0"))
    answers = [closed()]

    def silent(request):
        if done or not answers:
            Late.update_endpoint(aws, request)
        if answers:
            raise answers.pop()

    aws.update_endpoint = silent
    assert deployed(aws).count("UpdateEndpoint") == 1
    assert aws.endpoint["EndpointConfigName"] == WANTED.config


def test_an_update_without_an_answer_that_was_rolled_back_is_not_made_again():
    aws: Any = Late(behind=0, looks=0)
    deployed(aws, changed_by(container__image="x:0"))
    aws.fails = "alarms entered ALARM"

    def silent(request):
        Late.update_endpoint(aws, request)
        aws.describe_endpoint("demo")  # and soon over
        raise closed()

    aws.update_endpoint = silent
    aws.calls.clear()
    with pytest.raises(DeployError, match="was rolled back: alarms"):
        deployed(aws)
    assert aws.calls.count("UpdateEndpoint") == 1


def test_who_does_not_wait_returns_when_the_update_is_shown():
    aws = Late(looks=9)
    deployed(aws, changed_by(container__image="x:0"))
    list(rollout.deploy(aws, WANTED, timing=timing(), wait=False))
    assert aws.describe_endpoint("demo")["EndpointStatus"] == "Updating"


def test_an_update_is_not_issued_again_while_aws_does_not_show_the_first():
    aws = Late(behind=0, looks=9)
    deployed(aws, changed_by(container__image="x:0"))
    aws.fails = "alarms entered ALARM"
    list(rollout.deploy(aws, WANTED, timing=timing(), wait=False))
    aws.calls.clear()
    aws._left = 3
    with pytest.raises(DeployError, match="was rolled back: alarms"):
        list(rollout.deploy(aws, WANTED, timing=timing()))
    assert aws.calls == []


def test_an_outcome_is_not_told_while_aws_does_not_show_the_update():
    aws = Late(behind=0, looks=3)
    deployed(aws, changed_by(container__image="x:0"))
    list(rollout.deploy(aws, WANTED, timing=timing(), wait=False))
    aws._left = 2
    assert WANTED.config in list(await_outcome(aws, "demo", timing()))[-1].text


@pytest.mark.parametrize(
    ("code", "updates"), [("aws_AccessDeniedException", 1), ("aws_ThrottlingException", 0)]
)
def test_without_a_note_only_who_may_not_write_it_updates(code, updates):
    aws: Any = Aws()
    deployed(aws)

    def refused(*_):
        raise ServiceError("no tags", code=code)

    aws.add_tags = refused
    aws.calls.clear()
    with contextlib.nullcontext() if updates else pytest.raises(ServiceError, match="no tags"):
        deployed(aws, changed_by(container__image="x:2"))
    assert aws.calls.count("UpdateEndpoint") == updates


def test_a_refused_update_leaves_no_note_of_it():
    aws: Any = Aws()
    deployed(aws)
    aws.update_endpoint = lambda request: (_ for _ in ()).throw(
        ServiceError("no such quota", code="aws_ResourceLimitExceeded")
    )
    with pytest.raises(ServiceError):
        deployed(aws, changed_by(container__image="x:2"))
    assert UPDATE_TAG not in {tag["Key"] for tag in aws.endpoint_tags}


def test_an_update_that_was_never_accepted_is_issued_again():
    aws: Any = Aws()
    deployed(aws)
    aws.endpoint["FailureReason"] = "something of last week"
    real, changed = aws.update_endpoint, changed_by(container__image="x:2")
    aws.update_endpoint = lambda request: (_ for _ in ()).throw(closed())
    with pytest.raises(ServiceError):
        deployed(aws, changed)
    aws.update_endpoint = real
    assert "UpdateEndpoint" in deployed(aws, changed)


def test_an_endpoint_that_is_shown_for_a_while_after_its_removal_was_not_made_again():
    aws = Late()
    deployed(aws)
    list(destroy(aws, "demo", timing=timing()))
    assert (aws.endpoint, aws.configs, aws.models) == (None, {}, {})


def test_a_removal_whose_answer_was_lost_is_waited_for():
    aws: Any = Late(looks=4)
    deployed(aws)
    real = aws.delete_endpoint

    def lost(name):
        if aws._pending is None:
            real(name)
        raise ServiceError("Cannot update in-progress endpoint")

    aws.delete_endpoint = lost
    list(destroy(aws, "demo", timing=timing()))
    assert (aws.endpoint, aws.configs, aws.models) == (None, {}, {})


def test_destroy_removes_what_lists_do_not_show_yet():
    class Behind(Aws):
        lists = 0

        def tagged(self, *asked: Any) -> tuple[str, ...]:
            self.lists += 1
            return super().tagged(*asked) if self.lists > 2 else ()

    aws = Behind()
    deployed(aws)
    aws.create_model({**WANTED.model_request, "ModelName": "demo-0badcafe"})  # of a failed deploy
    list(destroy(aws, "demo", timing=timing()))
    assert (aws.endpoint, aws.configs, aws.models) == (None, {}, {})


def test_long_names_with_the_same_beginning_share_nothing():
    one, two = (desired(changed_by(endpoint="e" * 60 + end)) for end in "ab")
    assert one.model != two.model


def test_whom_somebody_else_overtook_is_told_so():
    aws = Aws()
    deployed(aws)
    other = desired(changed_by(variant__volume_size_gb=5))
    aws.endpoint["EndpointConfigName"] = "demo-somebody"
    with pytest.raises(DeployError, match="somebody else deployed demo-somebody") as caught:
        list(await_serving(aws, other, timing(), before=Observed(config=WANTED.config)))
    assert "last log lines" not in caught.value.message
    aws.endpoint = None
    with pytest.raises(DeployError, match="was deleted meanwhile"):
        list(await_serving(aws, other, timing(), before=Observed(config=WANTED.config)))


def test_changed_tags_reach_what_exists_and_ours_that_are_no_longer_wanted_go():
    aws = Aws()
    deployed(aws, changed_by(tags=(("team", "a"), ("stage", "test"))))
    aws.add_tags("endpoint", "demo", {"cost": "theirs"})
    changed = changed_by(tags=(("team", "b"),))
    steps = plan(desired(changed), observe(aws, desired(changed)))

    assert [(step.action, step.name, step.why) for step in steps][-2:] == [
        ("AddTags", "demo", "mmectl:tags=team, team=b"),
        ("DeleteTags", "demo", "stage"),
    ]
    assert deployed(aws, changed) == ["AddTags", "DeleteTags"] * 3
    assert aws.tags("endpoint", "demo") == {
        "team": "b",
        "mmectl:tags": "team",
        "mmectl:endpoint": "demo",
        "cost": "theirs",
    }
    assert deployed(aws, changed) == []
    assert deployed(aws, SPEC) == ["DeleteTags"] * 3
    assert aws.tags("endpoint", "demo") == {"mmectl:endpoint": "demo", "cost": "theirs"}
    assert deployed(aws, SPEC) == []


def test_tags_come_with_an_update():
    aws = Aws()
    deployed(aws)
    changed = changed_by(tags=(("team", "a"),), variant__volume_size_gb=3)
    expected = ["CreateEndpointConfig", "AddTags", "UpdateEndpoint", "AddTags", "AddTags"]
    assert deployed(aws, changed) == expected


def routed(kind: str, wait: int, termination: int = 0, **more: object) -> dict:
    limit = {"MaximumExecutionTimeoutInSeconds": more.pop("limit")} if "limit" in more else {}
    sizes = {name: {"Type": "CAPACITY_PERCENT", "Value": value} for name, value in more.items()}
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **sizes}
    policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": termination}
    return {"BlueGreenUpdatePolicy": {**policy, **limit}}


POLICIES = [
    (
        Policy("canary", 20, 60, alarms=("errors",), timeout=600),
        {
            **routed("CANARY", 60, CanarySize=20, limit=600),
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
        },
        "canary 20%, 60 s each, rolled back by errors",
    ),
    (
        Policy("linear", wait=30, termination_wait=5),
        routed("LINEAR", 30, 5, LinearStepSize=10),
        "linear 10%, 30 s each",
    ),
    (
        Policy("rolling"),
        {
            "RollingUpdatePolicy": {
                "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 50},
                "WaitIntervalInSeconds": 0,
            }
        },
        "rolling 50%",
    ),
    (Policy(wait=10), routed("ALL_AT_ONCE", 10), "all at once, 10 s each"),
]


@pytest.mark.parametrize(("policy", "config", "words"), POLICIES)
def test_a_policy_becomes_the_deployment_config(policy, config, words):
    aws = Aws()
    deployed(aws)
    changed = changed_by(variant__volume_size_gb=3, policy=policy)
    found = observe(aws, desired(changed))
    deployed(aws, changed)

    assert aws.updates[-1]["DeploymentConfig"] == config
    assert plan(desired(changed), found)[-1].why.endswith(f"serves until it is done; {words}")


def test_the_usual_policy_is_left_to_sagemaker():
    assert deployment_config(Policy()) is None


@pytest.mark.parametrize(
    ("policy", "key"),
    [
        (Policy(step=10), "step"),
        (Policy("canary", 51), "step"),
        (Policy("linear", 9), "step"),
        (Policy("rolling", 4), "step"),
        (Policy("rolling", termination_wait=1), "termination_wait"),
        (Policy("linear", wait=60, timeout=600), "timeout"),
    ],
)
def test_policies_that_sagemaker_refuses(policy, key):
    found = problem(policy)
    assert found is not None
    assert found[0] == key


def test_progress_shows_stage_and_traffic():
    pending = {"CurrentWeight": 0.1, "VariantStatus": [{"Status": "Baking"}]}
    described = {
        "EndpointStatus": "Updating",
        "ProductionVariants": [{"CurrentWeight": 0.9}],
        "PendingDeploymentSummary": {"ProductionVariants": [pending]},
    }
    assert progress(described) == "Updating, Baking, 10% of the traffic on the new instances"
    assert progress({"EndpointStatus": "RollingBack"}) == "RollingBack"
    assert progress({}) == "Creating"


def test_a_rollback_that_failed_says_what_serves():
    aws = Aws()
    deployed(aws)
    old = aws.endpoint["EndpointConfigName"]
    changed = desired(changed_by(variant__volume_size_gb=3))
    aws.fails, aws.ends = "errors", "UpdateRollbackFailed"
    with pytest.raises(DeployError, match="and so did its rollback: errors") as caught:
        list(rollout.deploy(aws, changed, timing=timing()))
    assert f"instances of {old} and of {changed.config}, mixed" in caught.value.message


class TestSteps:
    def test_every_action_of_a_plan_is_known(self):
        aws = Aws()
        made = {step.action for step in plan(WANTED, observe(aws, WANTED))}
        deployed(aws)
        removed = {step.action for step in removal(aws, "demo")}
        assert made | removed <= set(steps.ACTIONS)

    def test_an_unknown_action_is_an_error_and_nothing_is_asked(self):
        aws = Aws()
        step = Step("CreateTrouble", "demo", "nobody knows")
        with pytest.raises(DeployError, match="CreateTrouble demo") as caught:
            list(steps.execute(aws, step, timing()))
        assert (caught.value.code, aws.calls) == ("unknown_step", [])

    def test_what_removes_nothing_cannot_be_looked_for(self):
        with pytest.raises(DeployError, match="removes nothing"):
            steps.exists(Aws(), Step("CreateModel", "demo", "x"))


class TestCapacities:
    """Counts and weights change in place; the configuration that serves stays."""

    def test_another_count_is_scaled_in_place(self):
        aws = Aws()
        deployed(aws)
        serving = aws.endpoint["EndpointConfigName"]
        changed = desired(changed_by(variant__instance_count=3))
        (step,) = plan(changed, observe(aws, changed))
        assert (step.action, step.name) == ("Scale", "demo")
        assert step.why == (
            "AllTraffic from 2 to 3 instances; the instances that stay keep their models"
        )
        *_, last = rollout.deploy(aws, changed, timing=timing())
        assert aws.scales == [
            {
                "EndpointName": "demo",
                "DesiredWeightsAndCapacities": [
                    {"VariantName": "AllTraffic", "DesiredInstanceCount": 3}
                ],
            }
        ]
        assert (last.kind, last.text) == ("done", "InService after 0.5 s, 3 instances")
        assert aws.endpoint["EndpointConfigName"] == serving
        assert deployed(aws, changed_by(variant__instance_count=3)) == []

    def test_what_an_older_mmectl_deployed_is_not_updated(self):
        """Its names counted the instances, and do so still."""
        aws = Aws()
        deployed(aws)
        assert aws.endpoint["EndpointConfigName"] == "demo-93671492"
        deployed(aws, changed_by(variant__instance_count=5))
        assert deployed(aws, changed_by(variant__instance_count=5)) == []
        assert set(aws.configs) == {"demo-93671492"}

    def test_a_count_that_somebody_changed_is_seen(self):
        aws = Aws()
        deployed(aws)
        aws.endpoint["ProductionVariants"] = [variant("AllTraffic", 7, 0.5)]
        (step,) = plan(WANTED, observe(aws, WANTED))
        assert step.why.startswith("AllTraffic from 7 to 2 instances and from weight 0.5 to 1;")
        deployed(aws)
        assert aws.endpoint["ProductionVariants"] == [variant("AllTraffic", 2, 1.0)]

    @pytest.mark.parametrize("first", [2, 5])
    def test_a_change_of_both_ends_at_the_wanted_count(self, first):
        aws = Aws()
        deployed(aws, changed_by(container__image="x:2", variant__instance_count=4))
        deployed(aws, changed_by(variant__instance_count=first))
        deployed(aws, changed_by(variant__instance_count=3))
        both = changed_by(container__image="x:2", variant__instance_count=6)
        found = plan(desired(both), observe(aws, desired(both)))
        (update,) = (step for step in found if step.action == "UpdateEndpoint")
        assert update.why.endswith("serves until it is done; AllTraffic from 3 to 6 instances")
        assert "UpdateEndpoint" in deployed(aws, both)
        assert aws.endpoint["ProductionVariants"] == [variant("AllTraffic", 6, 1.0)]
        assert deployed(aws, both) == []

    def test_a_scale_that_failed_is_no_success_and_is_tried_again(self):
        aws = Aws()
        deployed(aws)
        aws.fails = "no capacity"
        with pytest.raises(DeployError, match="demo was not scaled: no capacity") as caught:
            deployed(aws, changed_by(variant__instance_count=3))
        assert "it is InService, with 2 instances" in caught.value.message
        assert (caught.value.code, caught.value.exit_code) == ("not_scaled", 1)
        aws.fails = None
        again = deployed(aws, changed_by(variant__instance_count=3))
        assert again == ["UpdateEndpointWeightsAndCapacities"]

    def test_a_scale_that_was_lost_is_no_success(self):
        """SageMaker took the call and forgot it: the endpoint is as it was."""
        aws: Any = Aws()
        deployed(aws)
        aws.update_capacities = lambda request: None
        with pytest.raises(DeployError, match="was not scaled: SageMaker gives no reason"):
            deployed(aws, changed_by(variant__instance_count=3))

    def test_who_waits_for_a_scale_hears_of_its_failure(self):
        aws = Aws(looks=4)
        deployed(aws)
        changed = desired(changed_by(variant__instance_count=3))
        aws.fails = "no capacity"
        list(rollout.deploy(aws, changed, timing=timing(), wait=False))
        with pytest.raises(DeployError, match="was not scaled: no capacity"):
            list(await_outcome(aws, "demo", timing()))
        aws.fails = None
        list(rollout.deploy(aws, changed, timing=timing(), wait=False))
        *_, last = await_outcome(aws, "demo", timing())
        assert last.kind == "done"
        assert aws.endpoint["ProductionVariants"] == [variant("AllTraffic", 3, 1.0)]

    @pytest.mark.parametrize("lost", [False, True])
    def test_a_scale_under_way_is_ours_if_it_brings_what_we_want(self, lost):
        aws: Any = Aws(looks=10)
        deployed(aws)
        changed = desired(changed_by(variant__instance_count=3))

        def answer_lost(request):
            Aws.update_capacities(aws, request)
            raise ServiceError("Cannot update in-progress endpoint")

        if lost:
            aws.update_capacities = answer_lost
        list(rollout.deploy(aws, changed, timing=timing(), wait=False))
        (event,) = rollout.deploy(aws, changed, timing=timing(), wait=False)
        assert event.text == "Updating: this change is under way"
        other = desired(changed_by(variant__instance_count=4))
        with pytest.raises(DeployError, match="nothing was deployed"):
            list(rollout.deploy(aws, other, timing=timing(), wait=False))
        list(rollout.deploy(aws, changed, timing=timing()))
        assert aws.calls.count("UpdateEndpointWeightsAndCapacities") == 1

    def test_what_was_rolled_back_stays_so_when_the_count_has_changed_since(self):
        aws = Aws()
        deployed(aws)
        changed = three(aws)
        aws.fails = None
        deployed(aws, changed_by(variant__instance_count=6))  # takes the reason away
        assert "FailureReason" not in aws.endpoint
        with pytest.raises(DeployError, match="was rolled back"):
            deployed(aws, changed)
        assert aws.calls == []

    def test_weights_of_32_bits_are_those_that_were_asked_for(self):
        found = {"VariantName": "A", "DesiredWeight": 0.10000000149, "DesiredInstanceCount": 1}
        now = capacity.desired({"ProductionVariants": [found]})
        assert capacity.changes({"A": capacity.Capacity(1, 0.1)}, now) == []

    def test_the_tags_of_what_serves_are_kept(self):
        aws = Aws()
        deployed(aws)
        changed = changed_by(variant__instance_count=3, tags=(("team", "a"),))
        calls = ["UpdateEndpointWeightsAndCapacities", "AddTags", "AddTags", "AddTags"]
        assert deployed(aws, changed) == calls
        assert aws.tags("endpoint-config", WANTED.config)["team"] == "a"


@pytest.mark.parametrize("timeout", [5.0, 100.0])
def test_a_step_whose_time_is_over_is_not_told_as_done(timeout):
    """Also where the whole time is shorter than what SageMaker may need to see a new role."""
    spreading = "Could not assume role"

    def refused() -> None:
        raise ServiceError(spreading)

    with pytest.raises(ServiceError, match=spreading):
        persist(refused, timing(timeout), lambda _: True, lambda: None)


def test_an_endpoint_that_stays_is_not_told_as_deleted():
    aws = Aws()
    deployed(aws)
    aws.refuse_delete = 1000
    step = Step("DeleteEndpoint", "demo", "")
    with pytest.raises(ServiceError, match="in-progress"):
        list(rollout.execute(aws, (step,), timing=timing(5.0)))


def test_a_wait_asks_for_tags_once_the_change_has_ended():
    class Busy(Aws):
        def tags(self, kind: str, name: str) -> Any:
            if self._pending:
                raise ServiceError("Rate exceeded")
            return super().tags(kind, name)

    aws = Busy(looks=4)
    list(rollout.deploy(aws, WANTED, timing=timing(), wait=False))
    *_, last = await_outcome(aws, "demo", timing())
    assert (last.kind, "InService after" in last.text) == ("done", True)

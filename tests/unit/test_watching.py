"""What watches an endpoint: planned as a value, carried out, removed; alarms of others are left."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from botocore.validate import ParamValidator
from fakes.watching import Watching

from mmectl.base.errors import ConfigError, DeployError, ServiceError
from mmectl.config.loading import load
from mmectl.config.sections.settings import Settings
from mmectl.config.specification import policy, watched
from mmectl.deploy import watching
from mmectl.deploy.watching import Watched, execute, observe, plan, removal
from mmectl.local.control.validate import service_model
from mmectl.planning.step import Step
from mmectl.spec import alarms

SNS = "arn:aws:sns:us-east-1:123456789012:told"
WANTED = watched(
    Settings.model_validate(
        {
            "endpoint": {"name": "demo"},
            "alarms": {"defaults": True, "sns": SNS},
            "logs": {"retention_days": 14},
        }
    ),
    "us-east-1",
)
NOTHING = Watched("demo")
KEYS = ("errors", "latency", "loading-wait", "thrash", "cache-hit", "memory", "disk")


def carried_out(aws: Watching, wanted: Watched = WANTED) -> list[str]:
    aws.calls.clear()
    list(execute(aws, plan(wanted, observe(aws, wanted))))
    return list(aws.calls)


def test_the_first_deploy_makes_everything_and_the_second_nothing():
    aws = Watching()
    assert carried_out(aws) == [
        *(f"PutMetricAlarm demo-AllTraffic-{key}" for key in KEYS),
        "PutDashboard mmectl-demo",
        "PutRetentionPolicy 14",
    ]
    assert carried_out(aws) == []


def test_the_requests_are_those_of_the_service_model():
    model = service_model("cloudwatch")
    shape = model.operation_model("PutMetricAlarm").input_shape
    for request in WANTED.alarms:
        assert not ParamValidator().validate(dict(request), shape).has_errors()
        assert ("Statistic" in request) != ("ExtendedStatistic" in request)
        assert request["AlarmActions"] == request["OKActions"] == [SNS]
        assert {"Key": "mmectl:endpoint", "Value": "demo"} in request["Tags"]
        assert request["DatapointsToAlarm"] <= request["EvaluationPeriods"]
    assert WANTED.dashboard is not None
    curves = [w["properties"]["metrics"] for w in json.loads(WANTED.dashboard)["widgets"]]
    assert {curve[5] for metrics in curves for curve in metrics} == {"AllTraffic"}


def test_what_was_changed_by_hand_comes_back():
    aws = Watching()
    carried_out(aws)
    name = "demo-AllTraffic-memory"
    aws.put_alarms[name] = {**aws.put_alarms[name], "Threshold": 50.0}
    turned = aws.put_alarms["demo-AllTraffic-disk"]
    aws.put_alarms["demo-AllTraffic-disk"] = {**turned, "Dimensions": turned["Dimensions"][::-1]}
    aws.dashboards["mmectl-demo"] = json.dumps(json.loads(aws.dashboards["mmectl-demo"]), indent=4)
    assert carried_out(aws) == [f"PutMetricAlarm {name}"]
    assert aws.put_alarms[name]["Threshold"] == 95.0


def test_what_is_not_wanted_any_more_goes_and_the_log_stays():
    aws = Watching()
    carried_out(aws)
    assert carried_out(aws, NOTHING) == ["DeleteAlarms 7", "DeleteDashboards mmectl-demo"]
    assert aws.logs == {"demo": {"retentionInDays": 14}}
    assert carried_out(aws, NOTHING) == []


def test_alarms_of_others_are_neither_changed_nor_removed():
    aws = Watching()
    foreign = {"AlarmName": "demo-AllTraffic-memory", "Tags": []}
    other = watched(
        Settings.model_validate({"endpoint": {"name": "demo-x"}, "alarms": {"defaults": True}}), "r"
    )
    carried_out(aws, other)  # demo-x-AllTraffic-...: of another endpoint, with the same beginning
    mine = {"AlarmName": "demo-mine", "Tags": [{"Key": "mmectl:endpoint", "Value": "demo"}]}
    aws.put_alarms |= {"demo-AllTraffic-memory": foreign, "demo-mine": mine}
    assert removal(aws, "demo", log=False) == ()
    with pytest.raises(DeployError, match="not mmectl's: demo-AllTraffic-memory") as caught:
        plan(WANTED, observe(aws, WANTED))
    assert caught.value.code == "not_ours"


def test_removal_takes_the_log_only_where_it_is_asked_for():
    aws = Watching()
    carried_out(aws)
    assert [step.action for step in removal(aws, "demo", log=False)] == [
        "DeleteAlarms",
        "DeleteDashboards",
    ]
    list(execute(aws, removal(aws, "demo", log=True)))
    assert (aws.put_alarms, aws.dashboards, aws.logs) == ({}, {}, {})
    assert removal(aws, "demo", log=True) == ()


def test_who_may_not_look_at_alarms_can_still_deploy_without():
    aws = Watching()
    aws.refused = "aws_AccessDenied"
    assert plan(NOTHING, observe(aws, NOTHING)) == ()
    assert removal(aws, "demo", log=False) == ()
    with pytest.raises(ServiceError, match="not authorized"):
        observe(aws, WANTED)
    aws.refused = "aws_Throttling"
    assert plan(NOTHING, observe(aws, NOTHING)) == ()
    kept = dataclasses.replace(NOTHING, retention=7)
    assert [step.action for step in plan(kept, observe(aws, kept))] == ["PutRetentionPolicy"]
    with pytest.raises(ServiceError):
        removal(aws, "demo", log=False)


def test_the_steps_say_why():
    steps = plan(WANTED, observe(Watching(), WANTED))
    said = {step.name: step.why for step in steps}
    assert said["demo-AllTraffic-errors"] == "more than 5 % of the requests fail with 5XX"
    assert said["demo"] == "log events are kept for 14 days; so far for ever"


def test_an_unknown_step_is_refused():
    with pytest.raises(DeployError, match="unknown step"):
        list(execute(Watching(), (Step("PutNothing", "x", ""),)))


def test_the_word_defaults_stands_for_what_may_roll_back():
    named = alarms.named(("mine", "defaults", "mine"), "demo", ["blue"])
    assert named == ("mine", "demo-blue-errors", "demo-blue-latency")
    made = watching.put(plan(WANTED, observe(Watching(), WANTED)))
    assert set(alarms.named(("defaults",), "demo", ["AllTraffic"])) <= made


def test_every_key_is_a_rule_with_its_metric():
    assert tuple(rule.key for rule in alarms.RULES) == KEYS
    assert all(dataclasses.asdict(rule)["text"] for rule in alarms.RULES)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"update": {"alarms": "defaults"}}, "update.alarms: has defaults"),
        (
            {
                "update": {"alarms": ["defaults", *"abcdefghi"]},
                "alarms": {"defaults": True},
            },
            "update.alarms: stands for 11 alarms, of which SageMaker takes 10",
        ),
        ({"alarms": {"sns": SNS}}, "alarms.sns: is told by the alarms of alarms.defaults"),
    ],
)
def test_what_needs_alarms_says_so(tmp_path, given, says):
    import yaml

    from mmectl.base.errors import ConfigError
    from mmectl.config.loading import load

    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(given))
    with pytest.raises(ConfigError, match=says):
        load(path, environment={})


def test_near_misses_of_the_sections(tmp_path):
    from mmectl.base.errors import ConfigError
    from mmectl.config.loading import load

    path = tmp_path / "config.yaml"
    path.write_text("alarms: {default: true, sns: told}\nlogs: {retention_day: 8}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environment={})
    for text in (
        "alarms.default: unknown key; did you mean 'defaults'?",
        "alarms.sns: is 'told'",
        "logs.retention_day: unknown key; did you mean 'retention_days'?",
    ):
        assert text in caught.value.message
    path.write_text("logs: {retention_days: 8}\n")
    with pytest.raises(ConfigError, match="retention_days: is 8, must be 1, 3, 5, 7"):
        load(path, environment={})


def test_one_word_is_a_list():
    settings: Any = Settings.model_validate(
        {"update": {"alarms": "defaults"}, "alarms": {"defaults": True}}
    )
    assert settings.update.alarms == ("defaults",)


def test_several_variants_have_alarms_of_their_own_and_one_dashboard(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "endpoint: {name: demo, variants: [{name: blue}, {name: green}]}\n"
        "alarms: {defaults: true}\nupdate: {policy: canary, alarms: defaults}\n"
    )
    settings = load(path, environment={}).settings
    found = watched(settings, "us-east-1")
    assert [one["AlarmName"] for one in found.alarms] == [
        f"demo-{variant}-{key}" for variant in ("blue", "green") for key in KEYS
    ]
    assert {one["Dimensions"][1]["Value"] for one in found.alarms[:7]} == {"blue"}
    assert found.dashboard is not None
    curves = json.loads(found.dashboard)["widgets"][0]["properties"]["metrics"]
    assert [curve[5] for curve in curves] == ["blue"] * 3 + ["green"] * 3
    assert policy(settings).alarms == (
        *("demo-blue-errors", "demo-blue-latency"),
        *("demo-green-errors", "demo-green-latency"),
    )


def test_more_alarms_than_an_update_watches_are_refused(tmp_path):
    path = tmp_path / "config.yaml"
    names = ", ".join(f"{{name: v{n}}}" for n in range(6))
    path.write_text(
        f"endpoint: {{name: demo, variants: [{names}]}}\n"
        "alarms: {defaults: true}\nupdate: {policy: canary, alarms: defaults}\n"
    )
    with pytest.raises(ConfigError, match=r"stands for 12 alarms.*two of each variant"):
        load(path, environment={})

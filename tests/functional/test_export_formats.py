"""`mmectl export`: what it writes holds what deploy sends, and stands before others' judgement.

CloudFormation: cfn-lint, with the schemas of AWS that it ships. Terraform: the syntax by
python-hcl2; arguments, blocks and their types by the provider's own schema, as
`mmectl/export/attributes.json` keeps it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

import hcl2
import pytest
import yaml
from fakes.cli import call, result, world

from mmectl.export.attributes import REQUIRED, known

__all__ = ["call", "world"]

CONFIG = """\
platform: aws
aws: {tags: {team: vision, cost center: "12"}}
image: {uri: 'example.com/image:1'}
endpoint:
  name: demo
  volume_size_gb: 100
  startup_timeout: 600
  environment: {TEMPLATE: '$${x} %{y} "q" \\n $$${z} back\\slash', "ON": "on", ODD: "1e3"}
update: {policy: canary, step: 20, wait: 60, timeout: 900, alarms: [errors]}
"""
SCALED = (
    CONFIG
    + """\
autoscaling:
  min: 1
  max: 4
  target: 600
  schedule: [{when: "cron(0 20 ? * MON-FRI *)", min: 1, max: 2, timezone: Europe/Berlin}]
network:
  subnets: [subnet-0a1b2c3d, subnet-1a1b2c3d]
  security_groups: [sg-0a1b2c3d]
  isolated: true
capture: {enabled: true, percentage: 20, destination: s3://captured/demo}
alarms: {defaults: true, sns: "arn:aws:sns:us-east-1:123456789012:oncall"}
"""
).replace("  volume_size_gb: 100\n", "  volume_size_gb: 100\n  kms_key: alias/volumes\n")
POLICIES = [
    "{policy: all_at_once}",
    "{policy: canary, step: 20, wait: 60, alarms: [errors]}",
    "{policy: linear, step: 25, wait: 60, termination_wait: 30, timeout: 1200}",
    "{policy: rolling, step: 25, wait: 60, alarms: [errors, latency]}",
]


@pytest.fixture
def exported(call, tmp_path):
    """Export a configuration; give the text, exit code and stderr checked."""

    def run(format_: str, config: str = CONFIG, *more: str) -> str:
        (tmp_path / "config.yaml").write_text(config)
        code, out, err = call("export", format_, *more)
        assert (code, [line for line in err.splitlines() if "image.uri" not in line]) == (0, [])
        return out

    return run


@pytest.fixture
def sent(world, call, tmp_path):
    """The requests that deploy would send for a configuration, by action."""

    def requests(config: str = CONFIG) -> dict[str, Mapping[str, Any]]:
        (tmp_path / "config.yaml").write_text(config)
        steps = json.loads(call("plan", "--json")[1])["data"]["steps"]
        return {step["action"]: step["request"] for step in steps}

    return requests


def lint(text: str) -> list[str]:
    """What cfn-lint finds."""
    import cfnlint.api  # most of a second, which not every worker needs

    return [str(found) for found in cfnlint.api.lint(text)]


class Template(yaml.SafeLoader):
    """CloudFormation's short forms as (tag, text)."""


def short_form(loader: Any, suffix: str, node: Any) -> tuple[str, str]:
    return f"!{suffix}", loader.construct_scalar(node)


Template.add_multi_constructor("!", short_form)


def resolved(template: Mapping[str, Any], value: Any) -> Any:
    """A value with the parameters' defaults in place of references to them."""
    if isinstance(value, dict):
        return {key: resolved(template, item) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(template, item) for item in value]
    if isinstance(value, tuple) and value[0] == "!Ref":
        return template["Parameters"][value[1]]["Default"]
    return value


def own(request: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A request without the names that content gives, and without mmectl's own tags."""
    kept = {key: value for key, value in request.items() if key not in names}
    tags = [tag for tag in kept.pop("Tags", ()) if not tag["Key"].startswith("mmectl:")]
    return kept | ({"Tags": tags} if tags else {})


def test_a_template_holds_what_deploy_sends(exported, sent):
    template = yaml.load(exported("cloudformation"), Loader=Template)  # noqa: S506
    requests = sent()
    found = {
        name: resolved(template, one["Properties"]) for name, one in template["Resources"].items()
    }
    assert found["Model"] == own(requests["CreateModel"], "ModelName")
    (variant,) = found["EndpointConfig"]["ProductionVariants"]
    assert variant["ModelName"] == ("!GetAtt", "Model.ModelName")
    variant["ModelName"] = requests["CreateModel"]["ModelName"]
    assert found["EndpointConfig"] == own(requests["CreateEndpointConfig"], "EndpointConfigName")
    made = found["Endpoint"]
    assert made.pop("EndpointConfigName") == ("!GetAtt", "EndpointConfig.EndpointConfigName")
    assert made.pop("DeploymentConfig")["AutoRollbackConfiguration"]
    assert made == own(requests["CreateEndpoint"], "EndpointConfigName")


@pytest.mark.parametrize("policy", POLICIES)
def test_cfn_lint_finds_nothing(exported, policy):
    text = exported("cloudformation", CONFIG.rpartition("update:")[0] + f"update: {policy}\n")
    assert lint(text) == []


def test_cfn_lint_finds_nothing_in_what_is_scaled(exported):
    text = exported("cloudformation", SCALED)
    assert lint(text) == []
    template = yaml.load(text, Loader=Template)  # noqa: S506
    properties = {name: one["Properties"] for name, one in template["Resources"].items()}
    target = properties["ScalableTarget"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    assert target["ResourceId"] == ("!Sub", "endpoint/${Endpoint.EndpointName}/variant/AllTraffic")
    (night,) = target["ScheduledActions"]
    assert night["Schedule"] == "cron(0 20 ? * MON-FRI *)"
    assert properties["Model"]["EnableNetworkIsolation"] is True


def test_cfn_lint_would_find_something(exported):
    text = exported("cloudformation").replace("InitialInstanceCount", "InitialInstances")
    assert lint(text)


@functools.singledispatch
def judged(tree: Any, value: Any, where: str) -> list[str]:
    """What the provider's schema has against a value."""
    kinds = {
        "string": (str, int),  # Terraform makes a text of a number
        "number": (int, float),
        "bool": (bool,),
        "list": (list,),
        "map": (dict,),
    }
    reference = isinstance(value, str) and value.startswith("${")
    right = isinstance(value, kinds[tree]) and isinstance(value, bool) == (tree == "bool")
    return [] if reference or right else [f"{where}: {value!r} is no {tree}"]


@judged.register
def _(tree: dict, value: Any, where: str) -> list[str]:
    """A block, or several of them."""
    problems = []
    for block in value if isinstance(value, list) else [value]:
        members = {key: item for key, item in block.items() if not key.startswith("__")}
        missing = set(tree[REQUIRED]) - set(members)
        problems += [f"{where}: lacks {name}" for name in missing]
        for name, item in members.items():
            if name in ("lifecycle", "depends_on"):  # Terraform's own
                continue
            if name not in tree:
                problems.append(f"{where}: has no {name}")
            else:
                problems += judged(tree[name], item, f"{where}.{name}")
    return problems


def everything(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Type and body of every resource."""
    return [
        (kind.strip('"'), body)
        for one in hcl2.loads(text)["resource"]
        for kind, labelled in one.items()
        for body in labelled.values()
    ]


def resources(text: str) -> dict[str, dict[str, Any]]:
    """Resource type -> the last resource of that type."""
    return dict(everything(text))


@pytest.mark.parametrize("policy", POLICIES)
def test_terraform_s_provider_takes_it(exported, policy):
    text = exported("terraform", CONFIG.rpartition("update:")[0] + f"update: {policy}\n")
    schema = known("terraform").resources
    found = resources(text)
    assert len(found) == 3
    assert [it for kind, body in found.items() for it in judged(schema[kind], body, kind)] == []


def test_terraform_s_provider_takes_what_is_scaled(call, tmp_path):
    (tmp_path / "config.yaml").write_text(SCALED)
    code, text, err = call("export", "terraform")
    assert (code, "not exported: Endpoint.RetainAllVariantProperties" in err) == (0, True)
    schema = known("terraform").resources
    found = resources(text)
    assert {kind for kind in found if "autoscaling" in kind} == {
        "aws_appautoscaling_target",
        "aws_appautoscaling_policy",
        "aws_appautoscaling_scheduled_action",
    }
    assert [it for kind, body in everything(text) for it in judged(schema[kind], body, kind)] == []
    assert len([kind for kind, _ in everything(text) if kind == "aws_cloudwatch_metric_alarm"]) > 5
    assert found["aws_sagemaker_endpoint_configuration"]["data_capture_config"]
    assert found["aws_appautoscaling_policy"]["depends_on"]


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("volume_size_in_gb ", "volume_size ", "has no volume_size"),
        ("  production_variants {", "  variants {", "lacks production_variants"),
        ("= 100\n", '= "100"\n', "volume_size_in_gb: '\"100\"' is no number"),
    ],
)
def test_the_judgement_finds_what_is_wrong(exported, right, wrong, said):
    text = exported("terraform").replace(right, wrong)
    kind = "aws_sagemaker_endpoint_configuration"
    found = judged(known("terraform").resources[kind], resources(text)[kind], kind)
    assert [one for one in found if said in one]


def plain(text: str) -> str:
    """A literal of python-hcl2 as the text that Terraform takes it for."""
    return json.loads(text.replace("$${", "${").replace("%%{", "%{"))


def test_a_configuration_holds_what_deploy_sends(exported, sent):
    found = resources(exported("terraform"))
    request = sent()["CreateModel"]["PrimaryContainer"]
    (container,) = found["aws_sagemaker_model"]["primary_container"]
    written = {plain(key): plain(value) for key, value in container["environment"].items()}
    assert written == request["Environment"]
    (variant,) = found["aws_sagemaker_endpoint_configuration"]["production_variants"]
    assert variant["initial_instance_count"] == "${var.instance_count}"
    assert (variant["volume_size_in_gb"], variant["initial_variant_weight"]) == (100, 1.0)
    tags = {plain(k): plain(v) for k, v in found["aws_sagemaker_endpoint"]["tags"].items()}
    assert tags == {"team": "vision", "cost center": "12"}


def test_a_file_is_not_replaced_unless_told(exported, call, tmp_path):
    file = tmp_path / "endpoint.tf"
    assert exported("terraform", CONFIG, "--output", str(file)) == f"wrote {file}\n"
    file.write_text("# mine\n")
    code, out, err = call("export", "terraform", "--output", str(file))
    assert (code, out, file.read_text()) == (2, "", "# mine\n")
    assert f"error: {file} exists" in err
    assert f"next:  replace it: mmectl export terraform --output {file} --force" in err
    assert call("export", "terraform", "--output", str(file), "--force")[0] == 0
    assert "aws_sagemaker_endpoint" in file.read_text()


def test_a_folder_that_is_not_there_is_named(call, tmp_path):
    code, _, err = call("export", "terraform", "--output", str(tmp_path / "no" / "a.tf"))
    assert code == 1
    assert "a.tf: cannot be written: No such file or directory" in err


def test_the_command_is_in_the_file(exported):
    text = exported("cloudformation", CONFIG, "--set", "aws.tags={a: 'b c'}")
    command = """mmectl export cloudformation --set 'aws.tags={a: '"'"'b c'"'"'}'"""
    assert text.splitlines()[0].endswith(command)


def test_json_has_the_text_and_the_parameters(exported):
    data = result(exported("terraform", CONFIG, "--json"))["data"]
    assert data["text"].startswith("# mmectl ")
    assert data["parameters"]["InstanceCount"] == 1
    assert (data["file"], data["left_out"]) == (None, [])


def test_nothing_is_asked_of_sagemaker_that_changes_it(exported, world):
    exported("terraform")
    exported("cloudformation")
    assert world.sagemaker.calls == []

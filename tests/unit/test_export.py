"""What is exported is what deploy sends: resources, parameters, Terraform's language."""

from __future__ import annotations

import pytest

from mmectl import endpoint
from mmectl.base.errors import UsageError
from mmectl.export import cloudformation, hcl, terraform
from mmectl.export.attributes import known
from mmectl.export.stack import Joined, NameOf, Ref, of_steps, stack
from mmectl.planning.observed import Observed
from mmectl.planning.step import Step
from mmectl.spec.container import Container
from mmectl.spec.desired import Spec, desired
from mmectl.spec.policy import Policy
from mmectl.spec.scaling import Autoscaling
from mmectl.spec.variant import Variant


def spec(**changes):
    container = Container("example.com/image:1", "s3://bucket/demo/", environment=(("A", "1"),))
    wanted = Spec(
        "demo", "arn:aws:iam::123456789012:role/serving", container, Variant("ml.m5.xlarge")
    )
    return desired(Spec(**{**{f: getattr(wanted, f) for f in wanted.__slots__}, **changes}))


def request_of(made, action):
    return next(one.request for one in made.resources if one.action == action)


def scaled(name, action, **more):
    request = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/demo/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        **more,
    }
    return Step(action, name, "", request)


SCALING = (
    scaled("target", "RegisterScalableTarget", MinCapacity=1, MaxCapacity=4),
    scaled(
        "policy",
        "PutScalingPolicy",
        PolicyName="demo-invocations",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 100.0,
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            },
        },
    ),
    scaled(
        "nights",
        "PutScheduledAction",
        ScheduledActionName="nights",
        Schedule="cron(0 20 * * ? *)",
        ScalableTargetAction={"MinCapacity": 0, "MaxCapacity": 1},
    ),
)


def with_steps(*more, wanted=None):
    wanted = wanted or spec()
    steps = endpoint.plan(wanted, Observed())
    return of_steps("demo", (*steps, *more), {})


def test_what_a_person_changes_is_a_parameter_with_the_value_of_the_plan():
    made = stack(spec())
    assert [(one.name, one.value) for one in made.parameters] == [
        ("Image", "example.com/image:1"),
        ("ModelsUrl", "s3://bucket/demo/"),
        ("RoleArn", "arn:aws:iam::123456789012:role/serving"),
        ("InstanceType", "ml.m5.xlarge"),
        ("InstanceCount", 1),
    ]
    (variant,) = request_of(made, "CreateEndpointConfig")["ProductionVariants"]
    assert variant["InstanceType"] == Ref("InstanceType")
    assert variant["ModelName"] == NameOf("Model")


def test_labels_stay_when_content_changes():
    changed = spec(variant=Variant("ml.c5.xlarge", 4))
    assert [one.label for one in stack(spec()).resources] == ["Model", "EndpointConfig", "Endpoint"]
    assert [one.label for one in stack(changed).resources] == [
        one.label for one in stack(spec()).resources
    ]


def test_what_is_named_by_its_content_has_no_name_that_outlives_it():
    made = stack(spec())
    assert "ModelName" not in request_of(made, "CreateModel")
    assert "EndpointConfigName" not in request_of(made, "CreateEndpointConfig")
    assert request_of(made, "CreateEndpoint")["EndpointName"] == "demo"


def test_tags_of_mmectl_are_left_to_mmectl():
    made = stack(spec(tags=(("team", "vision"),)))
    for one in made.resources:
        assert one.request["Tags"] == [{"Key": "team", "Value": "vision"}]
    assert all("Tags" not in one.request for one in stack(spec()).resources)


def test_how_an_update_shifts_traffic_is_the_request_of_deploy():
    wanted = spec(policy=Policy("rolling", 25, wait=30, alarms=("errors",)))
    serving = Observed("InService", "old", model_exists=True, config_exists=True)
    (update,) = [step for step in endpoint.plan(wanted, serving) if step.action == "UpdateEndpoint"]
    made = request_of(stack(wanted), "CreateEndpoint")
    assert made["DeploymentConfig"] == update.request["DeploymentConfig"]


def test_the_embedded_platform_s_own_image_models_and_role_are_no_defaults():
    found = {one.name: one.value for one in stack(spec(), account=False).parameters}
    assert [name for name, value in found.items() if value is None] == [
        "Image",
        "ModelsUrl",
        "RoleArn",
    ]


def test_each_variant_has_parameters_of_its_own():
    wanted = spec()
    (one,) = wanted.config_request["ProductionVariants"]
    two = [{**one, "VariantName": name} for name in ("blue-1", "green")]
    steps = [
        Step(step.action, step.name, "", {**step.request, "ProductionVariants": two})
        if step.action == "CreateEndpointConfig"
        else step
        for step in endpoint.plan(wanted, Observed())
    ]
    made = of_steps("demo", tuple(steps), {})
    assert [one.name for one in made.parameters if one.name.startswith("InstanceType")] == [
        "InstanceTypeBlue1",
        "InstanceTypeGreen",
    ]


def test_two_models_have_labels_and_parameters_of_their_own():
    first, second = (spec(container=Container(f"image:{n}", "s3://bucket/demo/")) for n in (1, 2))
    one = endpoint.plan(first, Observed())[0]
    other = endpoint.plan(second, Observed())[0]
    made = of_steps("demo", (one, other), {})
    assert [one.label for one in made.resources] == ["Model", "Model2"]
    assert [one.name for one in made.parameters] == ["Image", "ModelsUrl", "RoleArn", "Image2"]


def test_scaling_names_the_endpoint_and_comes_after_its_target():
    made = with_steps(*SCALING)
    assert request_of(made, "RegisterScalableTarget")["ResourceId"] == Joined(
        "endpoint/", NameOf("Endpoint"), "/variant/AllTraffic"
    )
    assert {one.action: one.after for one in made.resources if one.after} == {
        "PutScalingPolicy": ("ScalableTarget",),
        "PutScheduledAction": ("ScalableTarget",),
    }


def test_updates_of_what_is_scaled_keep_its_counts():
    plain, scaled = spec(), spec(autoscaling=Autoscaling(1, 4, target=100.0))
    assert "RetainAllVariantProperties" not in request_of(stack(plain), "CreateEndpoint")
    assert request_of(stack(scaled), "CreateEndpoint")["RetainAllVariantProperties"] is True


def test_alarms_that_are_made_here_are_referred_to():
    alarm = Step("PutMetricAlarm", "errors", "", {"AlarmName": "errors", "Namespace": "X"})
    steps = (*endpoint.plan(spec(), Observed()), alarm)
    rollback = {"Alarms": [{"AlarmName": "errors"}, {"AlarmName": "other"}]}
    made = of_steps("demo", steps, {"DeploymentConfig": {"AutoRollbackConfiguration": rollback}})
    deployment = request_of(made, "CreateEndpoint")["DeploymentConfig"]
    assert deployment["AutoRollbackConfiguration"]["Alarms"] == [
        {"AlarmName": NameOf("MetricAlarm")},
        {"AlarmName": "other"},
    ]


def test_what_a_format_has_no_word_for_is_said():
    made = with_steps(Step("PutCactus", "cactus", "", {"Spines": 3}))
    for text, left in (
        terraform.configuration(made, "head", "us-east-1"),
        cloudformation.template(made, "head"),
    ):
        assert left == ("Cactus",)
        assert any(line.startswith("# Not in here") for line in text.splitlines()[:3])


def test_what_terraform_s_provider_does_not_know_is_left_out_by_name():
    wanted = spec()
    steps = [
        Step(step.action, step.name, "", {**step.request, "MetricsConfig": {"EnableX": True}})
        if step.action == "CreateEndpointConfig"
        else step
        for step in endpoint.plan(wanted, Observed())
    ]
    text, left = terraform.configuration(of_steps("demo", tuple(steps), {}), "head", "us-east-1")
    assert left == ("EndpointConfig.MetricsConfig",)
    assert (
        "\n# Not in here, as the provider has no argument for it: EndpointConfig.MetricsConfig\n"
        in text
    )


def test_what_cloudformation_would_look_up_is_refused():
    made = stack(
        spec(container=Container("i", "s3://b/", environment=(("A", "{{resolve:ssm:x}}"),)))
    )
    with pytest.raises(UsageError, match=r"Model\.PrimaryContainer\.Environment\.A contains"):
        cloudformation.template(made, "head")


def test_names_of_the_api_as_the_provider_writes_them():
    written = {
        "VolumeSizeInGB": "volume_size_in_gb",
        "DestinationS3Uri": "destination_s3_uri",
        "EnableSSMAccess": "enable_ssm_access",
        "OKActions": "ok_actions",
        "InferenceAmiVersion": "inference_ami_version",
        "InstanceTypeBlue1": "instance_type_blue1",
    }
    assert {name: terraform.snake(name) for name in written} == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('say "hi"', r'"say \"hi\""'),
        ("${var.x} %{if}", '"$${var.x} %%{if}"'),
        ("a\\b\n\t", r'"a\\b\n\t"'),
        ("\b\f\x7f\u2028", r'"\U00000008\U0000000c\U0000007f\U00002028"'),
        ("naïve 日本", '"naïve 日本"'),
    ],
)
def test_text_is_text_whatever_it_holds(text, written):
    assert hcl.quoted(text) == written


def test_values_and_layout():
    body: list[hcl.Item] = [
        hcl.Attribute("a", 1),
        hcl.Attribute("longer", True),
        hcl.Attribute("tags", {"b c": "d"}),
        hcl.Block("inner", (), [hcl.Attribute("x", ["y", hcl.Expression("var.z")])]),
    ]
    assert hcl.document([hcl.Block("outer", ("label",), body)]) == (
        'outer "label" {\n'
        "  a      = 1\n"
        "  longer = true\n"
        "  tags = {\n"
        '    "b c" = "d"\n'
        "  }\n"
        "\n"
        "  inner {\n"
        '    x = ["y", var.z]\n'
        "  }\n"
        "}\n"
    )


def test_a_comment_stays_a_comment_in_every_line():
    assert hcl.document([hcl.Comment("one\n\ntwo")]) == "# one\n#\n# two\n"


def test_every_type_that_is_written_is_known():
    assert set(terraform.TYPES.values()) <= set(known("terraform").resources)
    assert set(cloudformation.TYPES.values()) <= set(known("cloudformation").resources)


def test_a_parameter_without_a_value_has_no_default():
    text, _ = terraform.configuration(stack(spec(), account=False), "head", "us-east-1")
    assert (
        'variable "image" {\n  description = "The image that serves"\n  type        = string\n}'
        in text
    )


@pytest.mark.parametrize(
    ("key", "written", "looked_up"),
    [
        ("alias/volumes", "= data.aws_kms_key.key1.arn", 'key_id = "alias/volumes"'),
        ("arn:aws:kms:eu-west-1:1:key/k", '= "arn:aws:kms:eu-west-1:1:key/k"', ""),
    ],
)
def test_terraform_s_provider_gets_the_arn_of_a_key(key, written, looked_up):
    text, left = terraform.configuration(stack(spec(kms_key=key)), "head", "eu-west-1")
    (line,) = [line for line in text.splitlines() if "kms_key_arn" in line]
    assert line.endswith(written)
    assert (looked_up in text, left) == (True, ())
    assert ('data "aws_kms_key"' in text) is bool(looked_up)

"""`mmectl adopt` over fakes: the file, the tags, and what plan and destroy make of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.cli import call, result, world

from mmectl.base.errors import ServiceError
from mmectl.spec.scaling import Autoscaling, Target, policy_of

__all__ = ["call", "world"]

IMAGE = "example.com/image:1"
ROLE = "arn:aws:iam::123456789012:role/theirs"


@pytest.fixture
def legacy(world: Any) -> Any:
    """An endpoint `demo` that somebody else made, with names of theirs."""
    sagemaker = world.sagemaker
    container = {"Image": IMAGE, "Mode": "MultiModel", "ModelDataUrl": "s3://bucket/demo/"}
    model = {
        "ModelName": "their-model",
        "ExecutionRoleArn": ROLE,
        "PrimaryContainer": container,
        "Tags": [],
    }
    sagemaker.create_model(model)
    variant = {
        "VariantName": "v1",
        "ModelName": "their-model",
        "InstanceType": "ml.c5.xlarge",
        "InitialInstanceCount": 2,
        "InitialVariantWeight": 1.0,
    }
    sagemaker.create_endpoint_config(
        {"EndpointConfigName": "their-config", "ProductionVariants": [variant], "Tags": []}
    )
    sagemaker.create_endpoint({"EndpointName": "demo", "EndpointConfigName": "their-config"})
    sagemaker.describe_endpoint("demo")  # it settles
    Path("config.yaml").unlink()
    return world


ADOPT = ("adopt", "demo", "--platform", "aws", "--set", "aws.region=us-east-1")


def test_afterwards_plan_has_nothing_to_do(call, legacy):
    code, out, err = call(*ADOPT)
    assert code == 0, err
    assert out.splitlines() == [
        "config.yaml written; demo is mmectl's now",
        "nothing is to do; see: mmectl plan",
    ]
    written = yaml.safe_load(Path("config.yaml").read_text())
    assert written["aws"] == {"region": "us-east-1", "role": ROLE}
    assert written["endpoint"]["instance_type"] == "ml.c5.xlarge"
    assert list(Path().glob(".config*")) == []
    sagemaker = legacy.sagemaker
    for kind, name in (
        ("endpoint", "demo"),
        ("endpoint-config", "their-config"),
        ("model", "their-model"),
    ):
        assert sagemaker.tags(kind, name)["mmectl:endpoint"] == "demo"
    calls = len(sagemaker.updates)
    assert call("plan")[1] == "demo is up to date, serving their-config\n"
    assert call("deploy")[1] == "demo is InService, serving their-config (nothing to do)\n"
    assert len(sagemaker.updates) == calls


def test_a_value_that_looks_like_a_variable_stays_text(call, legacy):
    container = legacy.sagemaker.models["their-model"]["PrimaryContainer"]
    container["Environment"] = {"OPTIONS": "${HOME}/x $${y} ${"}
    code, _, err = call(*ADOPT)
    assert code == 0, err
    assert call("plan")[1] == "demo is up to date, serving their-config\n"


def test_a_count_is_scaled_in_place_and_a_change_updates_to_a_configuration_of_ours(call, legacy):
    call(*ADOPT)
    scaled = ("--set", "endpoint.instance_count=3")
    steps = result(call("plan", *scaled, "--json")[1])["data"]["steps"]
    assert [step["action"] for step in steps] == ["Scale"]
    other = ("--set", "endpoint.environment={A: b}")
    steps = result(call("plan", *other, "--json")[1])["data"]["steps"]
    assert [s["action"] for s in steps if "Tag" not in s["action"]] == [
        "CreateModel",
        "CreateEndpointConfig",
        "UpdateEndpoint",
    ]


def test_destroy_removes_what_was_adopted(call, legacy):
    call(*ADOPT)
    removed = result(call("destroy", "--yes", "--json")[1])["data"]["removed"]
    assert removed == ["demo", "their-config", "their-model"]


def test_a_file_that_exists_is_never_overwritten(call, legacy):
    Path("config.yaml").write_text("platform: aws\n")
    code, _, err = call(*ADOPT)
    assert code == 2
    assert "config.yaml exists, and is not overwritten" in err
    assert "next:  mmectl adopt demo --output demo.yaml" in err
    assert Path("config.yaml").read_text() == "platform: aws\n"
    assert call(*ADOPT, "--output", "demo.yaml")[0] == 0


def test_what_cannot_be_adopted_is_left_as_it_is(call, legacy):
    legacy.sagemaker.models["their-model"]["EnableNetworkIsolation"] = True
    legacy.sagemaker.models["their-model"]["InferenceExecutionConfig"] = {"Mode": "Serial"}
    code, _, err = call(*ADOPT)
    assert code == 1
    assert "demo cannot be adopted:\n" in err
    assert "InferenceExecutionConfig" in err
    assert not Path("config.yaml").exists()
    assert "mmectl:endpoint" not in legacy.sagemaker.tags("endpoint", "demo")


def test_there_is_no_such_endpoint(call, world):
    code, _, err = call("adopt", "demo", "--output", "new.yaml")
    assert code == 1
    assert "there is no endpoint demo in us-east-1" in err


def test_where_tags_are_refused_the_next_try_begins_anew(call, legacy):
    add_tags = legacy.sagemaker.add_tags

    def refused(kind, name, tags):
        if kind == "endpoint-config":
            raise ServiceError("tag it: AccessDeniedException", code="aws_AccessDenied")
        add_tags(kind, name, tags)

    legacy.sagemaker.add_tags = refused
    assert call(*ADOPT)[0] == 1
    assert list(Path().glob("*config.yaml*")) == list(Path().glob(".*")) == []
    legacy.sagemaker.add_tags = add_tags
    assert call(*ADOPT)[0] == 0
    assert call("plan")[1] == "demo is up to date, serving their-config\n"


INIT = ("init", "--adopt", "demo", "--platform", "aws", "--set", "aws.region=us-east-1")


def test_init_adopts_into_a_folder_of_its_own(call, legacy):
    code, out, err = call(*INIT, "mine")
    assert code == 0, err
    assert out.splitlines() == [
        "wrote .gitignore",
        "mine/config.yaml written; demo is mmectl's now",
        "nothing is to do; see: mmectl plan --config mine/config.yaml",
    ]
    assert Path("mine/.gitignore").read_text().endswith(".mmectl/\n__pycache__/\n")
    assert call("plan", "--config", "mine/config.yaml")[0] == 0
    code, _, err = call(*INIT, "mine")
    assert code == 2
    assert "mine/config.yaml exists, and is not overwritten" in err


def test_init_that_cannot_adopt_leaves_nothing(call, legacy):
    before = sorted(Path().iterdir())
    legacy.sagemaker.models["their-model"]["InferenceExecutionConfig"] = {"Mode": "Serial"}
    assert call(*INIT, "new/mine")[0] == 1
    assert sorted(Path().iterdir()) == before
    assert call("init", "--adopt", "demo", "--role", "R")[0] == 2


def test_autoscaling_of_others_stays_and_is_said(call, legacy):
    theirs = Target("v1", 1, 4, ({"PolicyName": "theirs", "PolicyType": "StepScaling"},))
    legacy.sagemaker.targets["v1"] = theirs
    code, _, err = call(*ADOPT)
    assert code == 0, err
    assert "autoscaling of v1 is not mmectl's: it stays as it is" in err
    assert call("plan")[1] == "demo is up to date, serving their-config\n"
    assert legacy.sagemaker.targets == {"v1": theirs}


def test_autoscaling_of_ours_is_in_the_file(call, legacy):
    wanted = Autoscaling(1, 4, 120.0)
    legacy.sagemaker.targets["v1"] = Target("v1", 1, 4, (policy_of(wanted),))
    code, _, err = call(*ADOPT)
    assert (code, "not mmectl's" in err) == (0, False), err
    assert yaml.safe_load(Path("config.yaml").read_text())["autoscaling"]["target"] == 120.0
    assert call("plan")[1] == "demo is up to date, serving their-config\n"

"""`mmectl plan --detailed-exitcode`: 0 nothing, 2 changes, 1 failed."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from fakes.cli import call, world

from mmectl.base.errors import BuildError
from mmectl.cli import run

__all__ = ["call", "world"]
NOT_BUILT = BuildError("the image is not built", hint="mmectl build", code="not_built")
DETAILED = ("plan", "--detailed-exitcode")


def test_changes_are_2_and_no_failure(call):
    code, out, _ = call(*DETAILED, "--json")
    envelope = json.loads(out)
    assert (code, envelope["exit_code"], envelope["status"]) == (2, 2, "ok")
    assert envelope["data"]["up_to_date"] is False
    assert call("plan")[0] == 0
    text = call(*DETAILED)
    assert (text[0], "CreateEndpoint" in text[1]) == (2, True)


def test_nothing_to_do_is_0(call):
    assert call("deploy")[0] == 0
    code, out, _ = call(*DETAILED, "--json")
    assert (code, json.loads(out)["data"]["steps"]) == (0, [])


@pytest.mark.parametrize(
    "words",
    [
        ("--set", "endpoint.instance_cuont=3"),
        ("--set", "endpoint.name=-x"),
        ("--env", "nowhere"),
        ("--config", "nowhere.yaml"),
        ("--nosuchoption",),
        ("surplus",),
    ],
)
def test_every_failure_is_1(call, words):
    code, out, _ = call(*DETAILED, *words, "--json")
    envelope = json.loads(out)
    assert (code, envelope["exit_code"], envelope["status"]) == (1, 1, "failed")
    assert call("plan", *words)[0] == 2


def test_before_the_first_build_and_upload_the_rest_is_planned(project, capsys):
    code = run([*DETAILED, "--json"])
    told = json.loads(capsys.readouterr().out)["data"]
    assert code == 2
    assert [one["command"] for one in told["first"]] == ["mmectl build", "mmectl upload --all"]
    assert [step["action"] for step in told["steps"]] == [
        "CreateModel",
        "CreateEndpointConfig",
        "CreateEndpoint",
    ]
    assert not (project / ".mmectl").exists()
    assert run(["plan"]) == 0
    build, upload, then = capsys.readouterr().out.splitlines()[-3:]
    assert build.startswith("first: mmectl build   # the image of ")
    assert upload == (
        "first: mmectl upload --all   # no models found under "
        "s3://sagemaker-us-east-1-123456789012/demo/"
    )
    assert then == "then: mmectl deploy"


def test_an_account_without_image_and_models_is_planned(call, world):
    class Unbuilt:
        reference = property(lambda _: (_ for _ in ()).throw(NOT_BUILT))
        request = SimpleNamespace(reference="123456789012.dkr.ecr.us-east-1.amazonaws.com/m:0")

        def outgrown(self, _served):
            return None

    world.image = Unbuilt()
    world.aws.s3.objects.clear()
    code, out, _ = call(*DETAILED)
    assert code == 2
    assert "CreateEndpoint" in out
    assert "first: mmectl build   # the image is not built\n" in out
    assert "first: mmectl upload --all   # no models found under s3://bucket/demo/\n" in out
    assert call("deploy")[0] == 1  # what plan tells, deploy does not do


def test_an_image_that_is_gone_is_something_to_do(call, world):
    image = SimpleNamespace(
        reference="example.com/image:1",
        kept_in=None,
        request=SimpleNamespace(reference="example.com/image:1"),
        serves=lambda _: None,
    )
    world.image = image
    assert call("deploy")[0] == 0
    assert call(*DETAILED)[0] == 0

    class Gone:
        reference = property(lambda _: (_ for _ in ()).throw(NOT_BUILT))
        request = image.request

        def outgrown(self, _served):
            return None

    world.image = Gone()
    code, out, _ = call(*DETAILED)
    told = json.loads(call("plan", "--json")[1])["data"]
    assert (code, told["up_to_date"], told["steps"]) == (2, False, [])
    assert "is up to date" not in out
    assert out.endswith("first: mmectl build   # the image is not built\n")


def test_a_wrong_image_is_still_a_failure(call, world):
    class Broken:
        reference = property(lambda _: (_ for _ in ()).throw(BuildError("x", code="manifest")))

    world.image = Broken()
    assert call(*DETAILED)[0] == 1


def test_an_uploaded_model_is_not_asked_for(call):
    assert json.loads(call("plan", "--json")[1])["data"]["first"] == []

"""`mmectl scale`: transcripts, exit codes and the JSON contract, against an App of fakes."""

from __future__ import annotations

from fakes.cli import call, result, world
from fakes.sagemaker import variant

__all__ = ["call", "world"]


def test_it_scales_in_place_and_tells_what_the_next_deploy_does(call, world):
    call("deploy")
    code, out, err = call("scale", "4")
    assert code == 0
    assert out == (
        "demo is InService, 4 instances\n"
        "endpoint.instance_count is 1 (default): the next mmectl deploy goes back to 1 instance; "
        "to keep 4, set endpoint.instance_count: 4\n"
    )
    assert "Scale demo" in err
    assert world.sagemaker.endpoint["ProductionVariants"] == [variant("AllTraffic", 4, 1.0)]
    planned = call("plan")[1].splitlines()[1].split()
    assert planned[1:9] == ["Scale", "demo", "AllTraffic", "from", "4", "to", "1", "instance;"]
    assert call("deploy", "--set", "endpoint.instance_count=4")[1].endswith("(nothing to do)\n")


def test_its_json(call):
    call("deploy")
    wanted = ("scale", "4", "--json", "--set", "endpoint.instance_count=4")
    first, again = (result(call(*wanted)[1])["data"] for _ in range(2))
    assert first == {
        "endpoint": "demo",
        "variant": "AllTraffic",
        "status": "InService",
        "before": 1,
        "instances": 4,
        "configured": 4,
        "changed": True,
        "autoscaled": False,
    }
    assert (again["changed"], again["before"]) == (False, 4)


def test_nothing_to_do(call, world):
    call("deploy")
    assert call("scale", "1")[1] == "demo is InService, 1 instance (nothing to do)\n"
    assert world.sagemaker.scales == []


def test_what_another_change_could_not_bring_is_told_as_changed(call, world):
    call("deploy")
    world.sagemaker.fails, world.sagemaker.looks = "no capacity", 5
    four = {"VariantName": "AllTraffic", "DesiredInstanceCount": 4}
    world.sagemaker.update_capacities({"DesiredWeightsAndCapacities": [four]})
    world.sagemaker.fails = None
    found = result(call("scale", "4", "--json")[1])["data"]
    assert (found["changed"], len(world.sagemaker.scales)) == (True, 2)
    assert world.sagemaker.endpoint["ProductionVariants"] == [variant("AllTraffic", 4, 1.0)]


def test_what_cannot_be_scaled_is_named(call, world):
    code, _, err = call("scale", "2")
    assert (code, "endpoint demo does not exist\nnext:  mmectl deploy" in err) == (1, True)
    call("deploy")
    code, _, err = call("scale", "2", "--variant", "blue")
    assert (code, "there is no variant blue; the endpoint has AllTraffic" in err) == (2, True)
    assert call("scale", "0")[0] == 2
    assert call("scale", "two")[0] == 2
    world.sagemaker.endpoint["ProductionVariants"] += [variant("B", 1, 1.0)]
    code, _, err = call("scale", "2")
    assert (code, "several variants; the endpoint has AllTraffic, B" in err) == (2, True)
    assert call("scale", "2", "--variant", "B")[0] == 0
    assert world.sagemaker.endpoint["ProductionVariants"][1]["CurrentInstanceCount"] == 2
    world.sagemaker.endpoint_tags = []
    code, _, err = call("scale", "3", "--variant", "B")
    assert (code, "was not created by mmectl" in err) == (1, True)


def test_an_endpoint_that_failed_is_not_scaled(call, world):
    call("deploy")
    world.sagemaker.endpoint = {**world.sagemaker.endpoint, "EndpointStatus": "Failed"}
    code, _, err = call("scale", "2")
    assert (code, "endpoint demo is Failed, which cannot be scaled" in err) == (1, True)


def test_a_scale_that_fails_ends_with_1_and_the_reason(call, world):
    call("deploy")
    world.sagemaker.fails = "no capacity"
    code, out, _ = call("scale", "4", "--json")
    envelope = result(out)
    assert (code, envelope["status"], envelope["errors"][0]["code"]) == (1, "failed", "not_scaled")
    assert "no capacity" in envelope["errors"][0]["message"]


def test_who_does_not_wait(call, world):
    call("deploy")
    world.sagemaker.looks = 10
    code, out, _ = call("scale", "4", "--no-wait")
    assert (code, out.splitlines()[0]) == (0, "demo is Updating, 4 instances")
    code, _, err = call("scale", "5", "--no-wait")
    assert (code, "nothing was scaled: endpoint demo is Updating" in err) == (1, True)


AUTO = (
    "--set",
    "autoscaling.min=1",
    "--set",
    "autoscaling.max=4",
    "--set",
    "autoscaling.target=90",
)


def test_within_the_limits_of_autoscaling(call, world):
    assert call("deploy", *AUTO)[0] == 0
    assert call("scale", "3")[1] == (
        "demo is InService, 3 instances\n"
        "autoscaling goes on from there, with 1 to 4 instances: see mmectl status\n"
    )
    code, _, err = call("scale", "5")
    assert (code, "from 1 to 4 instances: 5 would be taken back at once" in err) == (1, True)
    assert call("plan", *AUTO)[1].startswith("demo is up to date")


def test_status_shows_autoscaling(call, world):
    call("deploy", *AUTO)
    lines = call("status")[1].splitlines()
    assert "scaling    AllTraffic, 1 to 4 instances" in lines
    assert "           mmectl-invocations: 90 invocations per instance and minute" in lines
    data = result(call("status", "--json")[1])["data"]
    assert data["autoscaling"] == [
        {
            "variant": "AllTraffic",
            "min": 1,
            "max": 4,
            "rules": [
                {
                    "name": "mmectl-invocations",
                    "rule": "90 invocations per instance and minute",
                    "ours": True,
                }
            ],
        }
    ]
    world.sagemaker.may_look = False
    assert result(call("status", "--json")[1])["data"]["autoscaling"] is None


def test_what_a_deploy_leaves_that_does_not_wait(call, world):
    world.sagemaker.looks = 10
    out = call("deploy", "--no-wait", *AUTO)[1]
    assert out.splitlines()[-1] == (
        "left for when it is InService: RegisterScalableTarget, PutScalingPolicy; then run: "
        "mmectl deploy"
    )
    world.sagemaker.looks = 0
    data = result(call("deploy", "--json", *AUTO)[1])["data"]
    assert (data["left"], data["changed"]) == ([], True)
    assert set(world.sagemaker.targets) == {"AllTraffic"}


def test_ctrl_c_claims_nothing(call, world):
    call("deploy")

    def interrupted(request):
        raise KeyboardInterrupt

    world.sagemaker.update_capacities = interrupted
    try:
        code, out, err = call("scale", "3")
    finally:
        del world.sagemaker.update_capacities
    assert (code, out) == (130, "")
    assert "a change that SageMaker has accepted goes on" in err


def test_the_deadline_is_kept_and_said(call, world):
    call("deploy")
    world.sagemaker.looks = 10**6
    code, out, err = call("scale", "3", "--timeout", "1")
    assert (code, out) == (1, "")
    assert "demo is not scaled after 1 s; SageMaker goes on" in err

"""Several production variants: configuration, requests, plans, and their figures side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmectl.base.errors import ConfigError, DeployError
from mmectl.config.loading import load
from mmectl.config.sections.settings import Settings
from mmectl.config.specification import specification
from mmectl.endpoint import plan
from mmectl.planning.observed import Observed
from mmectl.spec.capacity import Capacity, initial
from mmectl.spec.desired import desired
from mmectl.spec.policy import Policy
from mmectl.traffic import figures
from mmectl.traffic.driver import Sample


def spec(*variants: dict, **endpoint):
    settings = {"endpoint": {"name": "demo", **endpoint, "variants": list(variants)}}
    found = Settings.model_validate(settings)
    return specification(found, image="i", models="s3://b/demo/", role="r")


A, B = {"name": "A", "weight": 9}, {"name": "B", "instance_type": "ml.c5.large"}


ELEVEN = ", ".join(f"{{name: v{number}}}" for number in range(11))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{variants: [{nam: A}]}", "endpoint.variants.0.nam: unknown key; did you mean 'name'?"),
        ("{variants: [{weight: 1}]}", "endpoint.variants.0.name: missing"),
        ("{variants: {A: 1}}", "endpoint.variants: is {'A': 1}, must be a list"),
        ("{variants: [A, B]}", "endpoint.variants.0: is 'A', must be a mapping of key: value"),
        ("{variants: [{name: A, weight: -1}]}", "endpoint.variants.0.weight: is -1"),
        ("{variants: [{name: A, weight: 0}]}", "endpoint.variants: all have the weight 0"),
        ("{variants: [{name: a b}]}", "endpoint.variants.0.name: is 'a b', must match"),
        ("{variants: [{name: A}, {name: A}]}", "endpoint.variants.1.name: 'A' appears twice"),
        (
            "{variants: [{name: A, instance_type: ml.m5.xlrge}]}",
            "endpoint.variants.0.instance_type: is 'ml.m5.xlrge', not one that SageMaker knows; "
            "did you mean 'ml.m5.xlarge'?",
        ),
        (
            "{variants: [{name: A, instance_type: ml.g4dn.xlarge}]}",
            "variants.0.instance_type: is 'ml.g4dn.xlarge': on GPUs SageMaker runs multi-model",
        ),
        (
            "{variants: [{name: A, instance_type: ml.c7g.large}]}",
            "is ml.c7g.large, of another architecture than endpoint.instance_type",
        ),
        ("{variants: [{name: A, instance_count: 0}]}", "variants.0.instance_count: is 0, must be"),
        (
            "{variants: [{name: A, instance_type: ml.m5d.large, volume_size_gb: 9}]}",
            "variants.0.volume_size_gb: ml.m5d.large has disks of its own",
        ),
        (
            "{variant: Main, variants: [{name: A}]}",
            "endpoint.variant: names the only variant, endpoint.variants several: leave it out",
        ),
        ("{variant: [A]}", "endpoint.variant: is ['A'], must be text"),
        (
            "{variants: [{name: A}, {name: B}]}\nupdate: {policy: rolling}",
            "update.policy: is rolling, which SageMaker has for one variant alone",
        ),
        (
            f"{{variants: [{', '.join(f'{{name: v{i}}}' for i in range(11))}]}}",
            "endpoint.variants:",
        ),
    ],
)
def test_a_near_miss_is_named(tmp_path, text, said):
    path = tmp_path / "config.yaml"
    path.write_text(f"endpoint: {text}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environment={})
    assert said in caught.value.message


def test_each_variant_has_its_own_and_else_what_the_endpoint_says():
    request = desired(spec(A, B, instance_count=2, startup_timeout=90)).config_request
    first, second = request["ProductionVariants"]
    shared = {"ModelName": first["ModelName"], "ContainerStartupHealthCheckTimeoutInSeconds": 90}
    one = {"InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 2, "InitialVariantWeight": 9.0}
    other = {"InstanceType": "ml.c5.large", "InitialInstanceCount": 2, "InitialVariantWeight": 1.0}
    assert first == {"VariantName": "A", **one, **shared}
    assert second == {"VariantName": "B", **other, **shared}


def test_one_listed_variant_is_the_one_that_the_endpoint_describes():
    assert desired(spec({"name": "AllTraffic"})) == desired(spec())


def test_another_weight_is_set_in_place():
    wanted = desired(spec(A, B))
    found = Observed(
        "InService",
        wanted.config,
        model_exists=True,
        config_exists=True,
        variants=("A", "B"),
        same=(wanted.config,),
        tags={("endpoint", "demo"): dict(wanted.tags)},
        capacities={**initial(wanted.config_request), "B": Capacity(1, 3.0)},
    )
    (step,) = plan(wanted, found)
    assert step.action == "Scale"
    assert step.request["DesiredWeightsAndCapacities"] == [
        {"VariantName": "B", "DesiredWeight": 1.0}
    ]


def test_a_policy_cannot_add_a_variant():
    wanted = desired(replace(spec(A, B), policy=Policy("canary")))
    found = Observed("InService", "demo-1", variants=("A",))
    with pytest.raises(DeployError, match="canary 10% cannot change the variants A to A, B"):
        plan(wanted, found)


def sample(variant: str, seconds: float, kind="warm", model="m") -> Sample:
    return Sample(model, 0.0, 0.0, seconds, kind, variant=variant)


def test_figures_of_variants_stand_side_by_side():
    samples = [
        sample("A", 0.1),
        sample("A", 0.3),
        sample("B", 0.2, "cold"),
        sample("B", 9, "error"),
    ]
    first, second = figures.by_variant(samples, 2.0, ("A", "B"))
    assert (first["variant"], first["requests"], first["latency"]["all"]["max"]) == ("A", 2, 0.3)
    assert (second["failed"], second["cold"], second["hit_rate"]) == (1, 1, 0.0)


def test_a_model_that_each_variant_loads_once_is_loaded_again_by_none():
    samples = [sample("A", 0.1, "cold"), sample("B", 0.2, "cold"), sample("A", 0.3, "cold")]
    assert figures.summary(samples[:2], 1.0)["reloads"] == 0
    assert figures.summary(samples, 1.0)["reloads"] == 1

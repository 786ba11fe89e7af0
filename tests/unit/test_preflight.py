"""What a deploy warns of before anything is made; what it refuses is in test_doctor."""

from __future__ import annotations

import pytest

from mmectl.deploy import preflight
from mmectl.planning.step import Step
from mmectl.spec.desired import Desired
from mmectl.spec.policy import Policy

UPDATE = (Step("UpdateEndpoint", "demo", "changed"),)
CREATE = (Step("CreateEndpoint", "demo", "it does not exist"),)


@pytest.mark.parametrize(
    ("policy", "count", "steps", "warned"),
    [
        (Policy("canary", wait=60), 1, UPDATE, True),
        (Policy("rolling"), 1, UPDATE, True),
        (Policy("canary", wait=60), 2, UPDATE, False),
        (Policy("canary", wait=60), 1, CREATE, False),
        (Policy(alarms=("errors",)), 1, UPDATE, False),
    ],
)
def test_a_policy_that_shifts_a_part_of_one_instance_is_warned_of(policy, count, steps, warned):
    config = {"ProductionVariants": [{"VariantName": "A", "InitialInstanceCount": count}]}
    said: list[str] = []
    preflight.warn_of_one_instance(
        Desired("demo", "m", "c", {}, config, policy=policy), steps, said.append
    )
    assert bool(said) is warned

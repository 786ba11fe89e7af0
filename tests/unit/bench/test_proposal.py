"""The value of autoscaling.target that follows from a benchmark, and when none does."""

from __future__ import annotations

from typing import Any

import pytest

from mmectl.traffic.proposal import proposal, words


def run(**changes: Any) -> dict[str, Any]:
    figures = {"throughput": 40.0, "failed": 0, "interrupted": False}
    return {**figures, "latency": {"all": {"count": 1200, "p99": 0.18}}, **changes}


def test_seven_tenths_of_what_an_instance_carries_a_minute():
    found = proposal(run(), 0.2, 2, 2)
    assert found == {
        "acceptable_p99": 0.2,
        "p99": 0.18,
        "instances": 2,
        "target": 840,
        "reason": None,
    }
    assert words(found) == (
        "autoscaling.target: 840   # invocations per instance and minute: 70% of what each of 2 "
        "instances carried at a p99 of 180 ms"
    )
    assert "70% of what the instance carried" in words(proposal(run(), 0.2, 1, 1))
    assert proposal(run(throughput=0.001), 0.2, 1, 1)["target"] == 1


@pytest.mark.parametrize(
    ("changes", "acceptable", "instances", "reason"),
    [
        ({}, 0.1, (2, 2), "p99 is 180 ms, above 100 ms: send less"),
        ({}, 0.2, (2, 3), "the number of instances changed, from 2 to 3"),
        ({}, 0.2, (0, 0), "the number of instances changed, from 0 to 0"),
        (
            {},
            0.2,
            (2, None),
            "the endpoint is no longer in service, or does not tell its instances",
        ),
        ({"failed": 3}, 0.2, (2, 2), "3 requests failed"),
        ({"interrupted": True}, 0.2, (2, 2), "the run was stopped early"),
        ({"latency": {"all": {"count": 0}}, "failed": 5}, 0.2, (2, 2), "5 requests failed"),
    ],
)
def test_when_no_value_follows(changes, acceptable, instances, reason):
    found = proposal(run(**changes), acceptable, *instances)
    assert (found["target"], found["reason"]) == (None, reason)
    assert words(found) == f"no autoscaling.target follows: {reason}"


def test_no_target_follows_from_the_requests_of_several_variants():
    found = proposal(run(), 0.2, 2, 2, variants=2)
    assert found["target"] is None
    assert "the endpoint has 2 variants" in words(found)

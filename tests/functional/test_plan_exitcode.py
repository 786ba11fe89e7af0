"""`mmectl plan --detailed-exitcode`: 0 nothing, 2 changes, 1 failed."""

from __future__ import annotations

import json

import pytest
from fakes.cli import call, world

__all__ = ["call", "world"]
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

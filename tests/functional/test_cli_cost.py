"""What plan, deploy and status tell of the cost, and where the price comes from."""

from __future__ import annotations

import json

from fakes.cli import call, result, world

__all__ = ["call", "world"]

LISTED = "list price of us-east-1, 2024-12"


def product(price: str) -> str:
    rows = {"1": {"pricePerUnit": {"USD": price}}}
    return json.dumps({"terms": {"OnDemand": {"t": {"priceDimensions": rows}}}})


def test_plan_and_deploy_tell_it_for_all_instances(call):
    count = ("--set", "endpoint.instance_count=2")
    out = call("plan", *count)[1]
    assert "cost: USD 0.46 an hour, 335.80 a month (730 h)\n" in out
    assert f"price: {LISTED}\n" in out
    assert "during the update" not in out
    code, out, err = call("deploy", *count)
    assert (code, "cost: USD 0.46 an hour" in err, len(out.splitlines())) == (0, True, 1)
    status = call("status")[1]
    assert "cost       USD 0.46 an hour, 335.80 a month (730 h)" in status
    assert "cost" not in call("deploy", *count)[2]  # nothing changes


def test_an_update_runs_two_fleets_or_a_batch_more(call):
    call("deploy", "--set", "endpoint.instance_count=4")
    change = ("--set", "endpoint.instance_count=4", "--set", "endpoint.environment={A: b}")
    out = call("plan", *change)[1]
    assert "during the update: USD 1.84 an hour, for old and new instances" in out
    rolling = ("--set", "update.policy=rolling", "--set", "update.step=25")
    data = result(call("plan", *change, *rolling, "--json")[1])["data"]["cost"]
    assert data == {
        "hourly": 0.92,
        "monthly": 671.6,
        "hourly_during_update": 1.15,
        "currency": "USD",
        "source": LISTED,
    }


def test_the_price_list_is_asked_once_a_day(call, world):
    prices = world.aws.clients["pricing"]
    prices.products = [product("0.2690000000")]
    for _ in range(2):
        out = call("plan")[1]
        assert "cost: USD 0.27 an hour, 196.37 a month (730 h)" in out
        assert "price: AWS Price List, us-east-1" in out
    assert prices.asked == 1


def test_a_price_that_nobody_knows_is_not_guessed(call):
    code, out, _ = call("plan", "--set", "endpoint.instance_type=ml.m7i.large", "--json")
    assert (code, result(out)["data"]["cost"]) == (0, None)

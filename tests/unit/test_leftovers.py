"""What gc may remove of mmectl's configurations and models, and what it never removes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmectl.deploy.leftovers import YOUNG, Leftover, Made, superseded

NOW = 10 * YOUNG
OLD = 0.0


def config(name: str, *models: str, endpoint: str = "demo", made: float = OLD) -> Made:
    return Made("endpoint-config", name, endpoint, made, models or (f"m-{name}",))


def model(name: str, *, endpoint: str = "demo", made: float = OLD) -> Made:
    return Made("model", name, endpoint, made)


def names(found: tuple[Leftover, ...]) -> list[str]:
    return [f"{one.kind} {one.name}" for one in found]


def test_all_of_an_endpoint_that_is_gone_goes():
    made = [config("a", "x"), model("x"), model("y")]
    found = superseded(made, {"other": {"b"}}, NOW)
    assert names(found) == ["endpoint-config a", "model x", "model y"]
    assert found[0].why == "its endpoint demo is gone"


def test_what_a_deploy_that_goes_on_has_just_made_stays():
    young = NOW - YOUNG / 2
    assert superseded([config("a", "x", made=young), model("x", made=young)], {}, NOW) == ()
    # also a young model of an old configuration that goes
    assert names(superseded([config("a", "x"), model("x", made=young)], {}, NOW)) == [
        "endpoint-config a"
    ]


def test_the_newest_superseded_ones_stay_to_go_back_to():
    made = [config(f"c{n}", made=float(n)) for n in range(8)]
    made += [model(f"m-c{n}", made=float(n)) for n in range(8)]
    found = superseded(made, {"demo": {"c7"}}, NOW, kept=5)
    assert names(found) == [
        "endpoint-config c0",
        "endpoint-config c1",
        "model m-c0",
        "model m-c1",
    ]
    assert found[0].why == "superseded on endpoint demo"


def test_the_live_and_the_pending_one_stay_whatever_their_age():
    made = [config("old", "x"), config("pending", "y"), config("between", "x", made=5.0)]
    found = superseded([*made, model("x"), model("y")], {"demo": {"old", "pending"}}, NOW, kept=0)
    assert names(found) == ["endpoint-config between"]  # its model serves `old`, too


def test_a_configuration_that_another_endpoint_uses_stays():
    assert superseded([config("a")], {"demo": {"b"}, "foreign": {"a"}}, NOW, kept=0) == ()


@given(
    ages=st.lists(st.floats(0, NOW), min_size=1, max_size=12),
    kept=st.integers(0, 6),
    live=st.integers(0, 11),
    pending=st.integers(0, 11),
)
def test_nothing_that_serves_ever_goes(ages, kept, live, pending):
    made = [config(f"c{n}", made=age) for n, age in enumerate(ages)]
    made += [model(f"m-c{n}", made=age) for n, age in enumerate(ages)]
    used = {f"c{live % len(ages)}", f"c{pending % len(ages)}"}
    gone = {one.name for one in superseded(made, {"demo": used}, NOW, kept)}
    assert not gone & used
    assert not gone & {f"m-{name}" for name in used}
    left = [one for one in made if one.kind == "endpoint-config" and one.name not in gone]
    assert len(left) >= min(len(used) + kept, len(ages))
    assert {f"m-{one.name}" for one in left}.isdisjoint(gone)


@pytest.mark.parametrize("kept", [0, 5])
def test_nothing_is_left_over_where_nothing_was_made(kept):
    assert superseded([], {"demo": {"a"}}, NOW, kept) == ()


def test_a_model_that_somebody_elses_configuration_uses_stays():
    made = [config("a", "x"), model("x"), model("y")]
    found = superseded(made, {"theirs": {"c"}}, NOW, others={"x"})
    assert names(found) == ["endpoint-config a", "model y"]


def test_an_endpoint_is_the_same_one_in_other_letters():
    made = [config("a", "x", endpoint="Demo"), model("x", endpoint="Demo")]
    assert superseded(made, {"demo": {"a"}}, NOW) == ()
    made += [config(f"c{n}", made=1.0 + n, endpoint="dEMO") for n in range(3)]
    assert names(superseded(made, {"demo": {"a"}}, NOW, kept=2)) == ["endpoint-config c0"]

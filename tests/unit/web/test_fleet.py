"""Instances and models as pages are told of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmectl.web.events import events
from mmectl.web.fleet import changes, snapshot
from mmectl.web.live import SELDOM, pause

NOW = 1_000.0


def row(name="i-1", models=(), loading=(), on_disk=(), invoked=None, **more):
    return {
        "instance_id": name,
        "variant": "AllTraffic",
        "state": "InService",
        "restarts": 0,
        "models": [
            {"target_model": target, "memory_mb": size, "in_flight": busy}
            for target, size, busy in models
        ],
        "loading": list(loading),
        "on_disk": list(on_disk),
        "invoked": invoked or {},
        **more,
    }


def seen(*rows, **more):
    return snapshot({"name": "demo", "status": "InService", "instances": rows} | more, NOW)


def models(found, name="i-1"):
    return found["instances"][name]["models"]


def test_each_model_has_one_state():
    found = seen(
        row(
            models=[("busy", 5.0, 1), ("ready", 5.0, 0), ("rests", 0.2, 0)],
            loading=["loads"],
            on_disk=["busy", "ready", "rests", "loads", "cold"],
            invoked={"ready": NOW - 59, "rests": NOW - 61},
        )
    )
    assert models(found) == {
        "busy": (5.0, "busy"),
        "ready": (5.0, "ready"),
        "rests": (0.2, "resting"),
        "loads": (0.0, "loading"),
        "cold": (0.0, "disk"),
    }


def test_nothing_is_told_where_nothing_changed():
    assert changes(seen(row(models=[("m", 1.0, 0)])), seen(row(models=[("m", 1.0, 0)]))) == {}


def test_what_changed_is_told_alone():
    before = seen(row(models=[("a", 1.0, 0), ("b", 1.0, 0)]), row("i-2"))
    after = seen(row(models=[("a", 1.0, 1)]), row("i-3"))
    found = changes(before, after)
    assert found["instances"]["i-1"] == {"models": {"a": (1.0, "busy")}, "gone": ["b"]}
    assert found["instances"]["i-3"]["head"]["state"] == "InService"
    assert found["left"] == ["i-2"]
    assert "head" not in found


_cells = st.dictionaries(
    st.sampled_from("abcd"), st.tuples(st.sampled_from([0.0, 1.5]), st.sampled_from([0, 1]))
)
_fleets = st.dictionaries(st.sampled_from(["i-1", "i-2"]), _cells)


def _of(fleet):
    rows = (row(name, [(m, *cell) for m, cell in held.items()]) for name, held in fleet.items())
    return seen(*rows)


@given(_fleets, _fleets)
def test_who_applies_the_changes_has_what_is_now(one, other):
    shown = {name: dict(held["models"]) for name, held in _of(one)["instances"].items()}
    told = changes(_of(one), _of(other))
    for name, change in told.get("instances", {}).items():
        held = shown.setdefault(name, {})
        held.update(change.get("models", {}))
        for model in change.get("gone", ()):
            del held[model]
    for name in told.get("left", ()):
        del shown[name]
    assert shown == {name: held["models"] for name, held in _of(other)["instances"].items()}


def test_what_happened_is_told_in_words():
    before = seen(row(models=[("a", 1.0, 0)]), row("i-2"))
    after = seen(row(models=[("b", 1.0, 0)], restarts=1), row("i-3"), status="Updating")
    assert list(events(before, after)) == [
        ("status", "", "InService -> Updating"),
        ("started", "i-3", ""),
        ("ended", "i-2", ""),
        ("restarted", "i-1", ""),
        ("loaded", "i-1", "b"),
        ("unloaded", "i-1", "a"),
    ]


def test_a_request_is_no_event():
    before, after = seen(row(models=[("a", 1.0, 0)])), seen(row(models=[("a", 1.0, 1)]))
    assert list(events(before, after)) == []


def test_an_update_ended_by_what_serves():
    during = seen(config="old", update={"config": "new", "stage": "Baking", "share": 0.5})
    assert list(events(during, seen(config="new"))) == [("updated", "", "serves new")]
    assert list(events(during, seen(config="old"))) == [("rolled back", "", "serves old")]


def test_an_alarm_that_rings_is_told():
    quiet, loud = seen(alarms={"a": "OK", "b": "OK"}), seen(alarms={"a": "ALARM", "b": "OK"})
    assert list(events(quiet, loud)) == [("alarm", "", "a: OK -> ALARM")]
    assert list(events(seen(), loud)) == []  # it was made meanwhile


def test_a_look_that_waited_for_a_restart_does_not_stop_the_next_ones():
    assert pause(1.0, 0.001) == 1.0
    assert pause(1.0, 0.1) == 5.0
    assert pause(1.0, 10.0) == SELDOM

"""What happened between two looks at a fleet, as lines of a time line. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Row = Mapping[str, Any]
SEEN = ("alarm", "loaded", "log begins", "status")
"""What others remember, too, of what is seen while a page is open."""
_MEMORY = ("ready", "busy", "resting")


def events(before: Row, after: Row) -> Iterator[tuple[str, str, str]]:
    """(what, instance, of which model or how) between two `fleet.snapshot`s, the first not {}.

    A model that came and went between two looks is not seen.
    """
    if before["head"]["status"] != after["head"]["status"]:
        yield "status", "", f"{before['head']['status']} -> {after['head']['status']}"
    rang, rings = before["head"]["alarms"] or {}, after["head"]["alarms"] or {}
    for name, state in sorted(rings.items()):
        if name in rang and rang[name] != state:
            yield "alarm", "", f"{name}: {rang[name]} -> {state}"
    update = before["head"]["update"]
    if update and not after["head"]["update"]:
        done = after["head"]["config"] == update["config"]
        yield ("updated" if done else "rolled back"), "", f"serves {after['head']['config']}"
    old, new = before["instances"], after["instances"]
    for name in new.keys() - old.keys():
        yield "started", name, ""
    for name in old.keys() - new.keys():
        yield "ended", name, ""
    for name in sorted(new.keys() & old.keys()):
        yield from _of_instance(name, old[name], new[name])


def _of_instance(name: str, old: Row, new: Row) -> Iterator[tuple[str, str, str]]:
    if (new["head"]["restarts"] or 0) > (old["head"]["restarts"] or 0):
        yield "restarted", name, ""
    held, holds = _in_memory(old), _in_memory(new)
    for model in sorted(holds - held):
        yield "loaded", name, model
    for model in sorted(held - holds):
        yield "unloaded", name, model


def _in_memory(instance: Row) -> set[str]:
    return {name for name, (_, state) in instance["models"].items() if state in _MEMORY}

"""Instances and their models, as a page shows them, and what changed since the last look. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Row = Mapping[str, Any]
Cell = tuple[float, str]
"""Megabytes of memory (0: none) and the state of a model on an instance."""

RESTING = 60.0
"""Seconds without a request after which a model that is in memory rests."""
STATES = ("loading", "busy", "ready", "resting", "disk")

_ENDPOINT = ("name", "status", "config", "update", "alarms")
_HEAD = (
    *("variant", "instance_type", "state", "restarts", "config"),
    *("memory_used_mb", "memory_limit_mb", "disk_used_mb", "disk_limit_mb", "live"),
)


def snapshot(endpoint: Row, now: float) -> dict[str, Any]:
    """An endpoint of the embedded platform's status, by instance and model; `now` is Unix time."""
    return {
        "head": {key: endpoint.get(key) for key in _ENDPOINT},
        "instances": {
            row["instance_id"]: {
                "head": {key: row.get(key) for key in _HEAD},
                "models": dict(_cells(row, now)),
            }
            for row in endpoint.get("instances", ())
        },
    }


def _cells(row: Row, now: float) -> Iterator[tuple[str, Cell]]:
    for name in row.get("on_disk", ()):
        yield name, (0.0, "disk")
    for name in row.get("loading", ()):
        yield name, (0.0, "loading")
    asked = row.get("invoked", {})
    for model in row.get("models", ()):
        name = model["target_model"]
        rests = now - asked.get(name, 0.0) > RESTING
        state = "busy" if model["in_flight"] else "resting" if rests else "ready"
        yield name, (model["memory_mb"], state)


def changes(before: Row, after: Row) -> dict[str, Any]:
    """What a page that shows `before` is to be told; {} where nothing changed.

    `before` is {} at first.
    """
    found: dict[str, Any] = {}
    if before.get("head") != after["head"]:
        found["head"] = after["head"]
    old, new = before.get("instances", {}), after["instances"]
    instances = {name: _changed(old.get(name, {}), row) for name, row in new.items()}
    told = {name: change for name, change in instances.items() if change}
    if told:
        found["instances"] = told
    left = [name for name in old if name not in new]
    if left:
        found["left"] = left
    return found


def _changed(before: Row, after: Row) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if before.get("head") != after["head"]:
        found["head"] = after["head"]
    old, new = before.get("models", {}), after["models"]
    models = {name: cell for name, cell in new.items() if old.get(name) != cell}
    if models:
        found["models"] = models
    gone = [name for name in old if name not in new]
    if gone:
        found["gone"] = gone
    return found

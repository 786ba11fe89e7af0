"""Keys with two readings: ``yolo_v3`` may be a model, and a version of ``yolo`` is called so.

A key stands for one of them alone, also after its object was removed: instances may still hold it.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from mmectl.base.errors import UsageError
from mmectl.base.values import Location
from mmectl.registry import tombstones
from mmectl.registry.catalog import looked_at, versions_of
from mmectl.registry.names import target_model
from mmectl.registry.store import Store

_AS_VERSION = re.compile(r"(?P<name>.*[^/])_v[0-9]+")


def require(store: Store, location: Location, name: str) -> None:
    """Raise UsageError where a model of a new name would look like a version of one of ours."""
    match = _AS_VERSION.fullmatch(name)
    if match is None:
        return
    other = match["name"]
    there = looked_at(store, location, versions_of(store, location, other))
    gone = tombstones.highest(store, location, other, {other})
    if not any(artifact.ours for artifact in there) and not gone:
        return
    base, last = other.rsplit("/", 1)[-1], name.rsplit("/", 1)[-1]
    raise UsageError(
        f"'{name}': looks like a version of the model {other}, which is uploaded",
        hint=f"as its next version: mmectl upload {base} --from FOLDER; "
        f"as a model of its own: mmectl upload {base}{last[len(base) + 1 :]} --from FOLDER",
        code="bad_name",
    )


def before_free(name: str, newest: int, taken: Collection[str]) -> int:
    """The last number before one that is free: `taken` are the TargetModels that are there."""
    while target_model(name, newest + 1) in taken:
        newest += 1
    return newest

"""The steps that bring the tags of what stays to those that are wanted. Pure."""

from __future__ import annotations

from mmectl.planning.control_plane import BROKEN
from mmectl.planning.observed import Observed, Tags
from mmectl.planning.step import Plan, Step
from mmectl.spec.desired import Desired
from mmectl.spec.tags import KEYS_TAG


def tag_steps(wanted: Desired, found: Observed) -> Plan:
    """Bring the tags of what stays to those that are wanted; tags of others are left alone."""
    tags = dict(wanted.tags)
    return tuple(
        step
        for (kind, name), present in found.tags.items()
        # a broken endpoint is made anew, with its tags
        if not (kind == "endpoint" and found.status in BROKEN)
        for step in (*_added(kind, name, present, tags), *_removed(kind, name, present, tags))
    )


def _added(kind: str, name: str, present: Tags, wanted: Tags) -> Plan:
    missing = {key: value for key, value in wanted.items() if present.get(key) != value}
    if not missing:
        return ()
    why = ", ".join(f"{key}={value}" for key, value in sorted(missing.items()))
    return (Step("AddTags", name, why, {"kind": kind, "name": name, "tags": missing}),)


def _removed(kind: str, name: str, present: Tags, wanted: Tags) -> Plan:
    ours = (*present.get(KEYS_TAG, "").split(), KEYS_TAG)
    gone = sorted(key for key in ours if key in present and key not in wanted)
    if not gone:
        return ()
    return (Step("DeleteTags", name, ", ".join(gone), {"kind": kind, "name": name, "keys": gone}),)

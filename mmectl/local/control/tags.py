"""Tags of a resource; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mmectl.local.control.values import Endpoint, Record, invalid

LIMIT = 50
"""Tags of one resource."""


def new_tags(listed: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The tags of a request; raises AwsError for a key given twice or reserved to AWS."""
    tags: dict[str, str] = {}
    for tag in listed:
        key = tag["Key"]
        if key in tags:
            raise invalid(f"Duplicate tag keys found: {key}.")
        if key.lower().startswith("aws:"):
            raise invalid("aws: prefixed tag key names are not allowed for external use.")
        tags[key] = tag["Value"]
    return tags


def apply_tags(tags: Mapping[str, str], listed: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The tags with those of a request added or replaced."""
    merged = {**tags, **new_tags(listed)}
    if len(merged) > LIMIT:
        raise invalid(f"The number of tags exceeds the limit of {LIMIT}: {len(merged)}.")
    return merged


def remove_tags(tags: Mapping[str, str], keys: Iterable[str]) -> dict[str, str]:
    """The tags without those keys; keys that are not there are ignored."""
    gone = set(keys)
    return {key: value for key, value in tags.items() if key not in gone}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as the service model has them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def with_tags(record: Record, tags: Mapping[str, str]) -> Record:
    """The record with other tags."""
    if isinstance(record, Endpoint):
        return replace(record, tags=tags)
    return replace(record, tags=tags)

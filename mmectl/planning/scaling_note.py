"""The note on an endpoint of the autoscaling that an update took away, until it is back. Pure."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from mmectl.planning.step import Step
from mmectl.spec.scaling import Target
from mmectl.spec.tags import MOST

# On an endpoint: the targets that were deregistered for an update and must come back, in parts
KEPT = "mmectl:scaling-"


def note_of(kept: Sequence[Target]) -> dict[str, str]:
    """The tags that hold targets until they are registered again."""
    text = json.dumps([asdict(one) for one in kept], separators=(",", ":"), default=_seconds)
    packed = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    parts = [packed[start : start + MOST] for start in range(0, len(packed), MOST)]
    return {f"{KEPT}{number}": part for number, part in enumerate(parts, 1)}


def _seconds(value: object) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{value!r} cannot be noted")


def noted(tags: Mapping[str, str]) -> tuple[Target, ...]:
    """The targets that an endpoint's tags hold; () for none, and for what cannot be read."""
    parts = sorted(
        (int(key.removeprefix(KEPT)), value)
        for key, value in tags.items()
        if key.startswith(KEPT) and key.removeprefix(KEPT).isdecimal()
    )
    if not parts:
        return ()
    try:
        text = zlib.decompress(base64.b64decode("".join(value for _, value in parts)))
        lists = ("policies", "actions", "suspended")  # the last one is not in older notes
        return tuple(
            Target(**{**one, **{key: tuple(one.get(key, ())) for key in lists}})
            for one in json.loads(text)
        )
    except (ValueError, KeyError, TypeError, zlib.error):
        return ()


def forgetting(endpoint: str, tags: Mapping[str, str]) -> Iterator[Step]:
    """Remove the note once everything is back."""
    keys = sorted(key for key in tags if key.startswith(KEPT))
    if keys:
        request = {"kind": "endpoint", "name": endpoint, "keys": keys}
        yield Step("DeleteTags", endpoint, "the autoscaling is back", request)

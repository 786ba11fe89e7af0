"""The tags of what is made: those of the configuration, and how mmectl knows its own again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

Pairs = tuple[tuple[str, str], ...]

TAG = "mmectl:endpoint"
KEYS_TAG = "mmectl:tags"
# On an endpoint: the configuration that it was last updated to, whether or not that worked; the
# one that it had before, and when it had changed last by then
UPDATE_TAG = "mmectl:updated-to"
# On a configuration that was adopted: the name that mmectl would have given it
ADOPTED = "mmectl:adopted-as"
OURS = "mmectl:"
# TagList takes so many, of which those above are ours
TAKEN, OWN = 50, 3
MOST = 256  # characters of a tag's value


def carried(endpoint: str, wanted: Pairs) -> Pairs:
    """The tags that everything of an endpoint carries."""
    return (*dict([*wanted, *_managed(wanted), (TAG, endpoint)]).items(),)


def problem(count: int) -> str | None:
    """What is wrong with so many tags of one's own; None where SageMaker takes them."""
    most = TAKEN - OWN
    if count <= most:
        return None
    rule = f"mmectl adds {OWN} to the {TAKEN} that SageMaker takes"
    return f"has {count}, must be at most {most}: {rule}"


def tag_list(tags: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """A request's `Tags`."""
    return [{"Key": key, "Value": value} for key, value in tags]


class Update(NamedTuple):
    """The last update of an endpoint as far as it was noted; `modified`: LastModifiedTime then."""

    wanted: str | None = None
    before: str | None = None
    modified: str | None = None


def update_note(wanted: str, before: str | None, modified: object) -> dict[str, str]:
    """The tag of an update from one configuration to another."""
    known = (wanted, before, moment(modified)) if before else (wanted,)
    return {UPDATE_TAG: " ".join(known)}


def noted_update(tags: Mapping[str, str]) -> Update:
    """The update that the tags of an endpoint tell of."""
    return Update(*tags.get(UPDATE_TAG, "").split()[:3])


def moment(modified: Any) -> str:
    """A LastModifiedTime as one word."""
    return f"{modified.timestamp():.3f}" if hasattr(modified, "timestamp") else str(modified)


def _managed(tags: Pairs) -> Pairs:
    """The tag that says which tags are ours, so that only those are removed again.

    A tag's value holds 256 characters; names that do not fit or hold a space are left out.
    """
    keys: list[str] = []
    for key in sorted(key for key, _ in tags if " " not in key):
        if len(" ".join([*keys, key])) <= MOST:
            keys.append(key)
    return ((KEYS_TAG, " ".join(keys)),) if keys else ()

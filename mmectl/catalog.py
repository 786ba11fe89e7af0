"""What is uploaded: the versions of every model, from one listing; details from each object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from mmectl.bucket import Bucket
from mmectl.errors import ArtifactError
from mmectl.names import DIGEST, UNTRAINED, Artifact, parse, target_model
from mmectl.state import Location

_LOOKS_AT_ONCE = 8
_TRIES = 20

T = TypeVar("T")
R = TypeVar("R")


def at_once(call: Callable[[T], R], items: Sequence[T], width: int = _LOOKS_AT_ONCE) -> list[R]:
    """The results of a call for each item, a few calls at a time; the first error is raised."""
    if len(items) < 2:
        return [call(item) for item in items]
    with ThreadPoolExecutor(min(width, len(items))) as pool:
        return list(pool.map(call, items))


def listed(bucket: Bucket, location: Location, start: str = "") -> tuple[Artifact, ...]:
    """The uploaded versions whose TargetModel begins with `start`, by name and version."""
    found = []
    for stored in bucket.list(location.key(start)):
        target = stored.key[len(location.prefix) :]
        if parsed := parse(target):
            found.append(Artifact(*parsed, target, stored.size, stored.modified, etag=stored.etag))
    return tuple(sorted(found, key=lambda a: (a.name, a.version)))


def versions_of(bucket: Bucket, location: Location, name: str) -> tuple[Artifact, ...]:
    """The uploaded versions of one model, oldest first; two small listings."""
    starts = [target_model(name, 1), f"{name}_v"]
    found = at_once(lambda start: listed(bucket, location, start), starts)
    return tuple(artifact for some in found for artifact in some if artifact.name == name)


def looked_at(
    bucket: Bucket, location: Location, found: Sequence[Artifact]
) -> tuple[Artifact, ...]:
    """The same artifacts with `digest` and `untrained` read from their metadata."""

    def look(artifact: Artifact) -> Artifact:
        about: Mapping[str, str] = bucket.metadata(location.key(artifact.target_model)) or {}
        untrained = about.get(UNTRAINED) == "true"
        return replace(artifact, digest=about.get(DIGEST), untrained=untrained)

    return tuple(at_once(look, found))


def list_models(
    bucket: Bucket, location: Location, *, details: bool = False
) -> tuple[Artifact, ...]:
    """Every uploaded version, by name and version; `details` looks at each for its digest.

    Without `details` it is one listing (a request for every thousand objects); `digest` is then
    None and `untrained` False for all. Raises ServiceError.
    """
    found = listed(bucket, location)
    return looked_at(bucket, location, found) if details else found


def next_free(name: str, newest: int, make: Callable[[int], bool]) -> int:
    """Make the version after the newest; the one after that where somebody was faster.

    `make` is False where the number is taken. Raises ArtifactError after 20 of them.
    """
    first = newest + 1
    for version in range(first, first + _TRIES):
        if make(version):
            return version
    raise ArtifactError(
        f"{name}: version {first} and the {_TRIES - 1} after it were all taken meanwhile",
        hint="try again when nobody else uploads this model",
    )

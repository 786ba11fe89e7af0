"""What is uploaded: the versions of every model, from one listing; details from each object."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmectl.base.concurrency import at_once
from mmectl.base.errors import ArtifactError
from mmectl.base.values import Location
from mmectl.registry.names import Artifact, parse, settled, stem, target_model
from mmectl.registry.store import Bucket

_LOOKS_AT_ONCE = 8
_TRIES = 20


def listed(bucket: Bucket, location: Location, start: str = "") -> tuple[Artifact, ...]:
    """The tarballs whose TargetModel begins with `start`, by name and version as written."""
    found = []
    for stored in bucket.list(location.key(start)):
        target = stored.key[len(location.prefix) :]
        if parsed := parse(target):
            found.append(Artifact(*parsed, target, stored.size, stored.modified, etag=stored.etag))
    return tuple(sorted(found, key=lambda a: (a.name, a.version)))


Look = Callable[[Artifact], Artifact]


def may_be(artifact: Artifact, name: str) -> bool:
    """Whether it is a version of that model, as far as its key tells."""
    return name in (artifact.name, stem(artifact.target_model))


def candidates_of(bucket: Bucket, location: Location, name: str) -> tuple[Artifact, ...]:
    """What may be a version of one model by its key, as written; two small listings."""
    starts = [target_model(name, 1), f"{name}_v"]
    found = at_once(lambda start: listed(bucket, location, start), starts)
    return tuple(artifact for some in found for artifact in some if may_be(artifact, name))


def versions_of(
    bucket: Bucket, location: Location, name: str, look: Look | None = None
) -> tuple[Artifact, ...]:
    """The uploaded versions of one model, oldest first; a look at each but the first."""
    found = told_apart(candidates_of(bucket, location, name), look or looking(bucket, location))
    mine = (artifact for artifact in found if artifact.name == name)
    return tuple(sorted(mine, key=lambda artifact: artifact.version))


def told_apart(
    found: Sequence[Artifact], look: Look, width: int = _LOOKS_AT_ONCE
) -> tuple[Artifact, ...]:
    """The same artifacts, those that may be later versions looked at whether they are."""
    return tuple(at_once(lambda a: look(a) if a.version > 1 else a, found, width))


def looking(bucket: Bucket, location: Location) -> Look:
    """A look at the metadata of an object."""

    def look(artifact: Artifact) -> Artifact:
        return settled(artifact, bucket.metadata(location.key(artifact.target_model)) or {})

    return look


def looked_at(
    bucket: Bucket, location: Location, found: Sequence[Artifact]
) -> tuple[Artifact, ...]:
    """The same artifacts as their metadata tell them."""
    return tuple(at_once(looking(bucket, location), found))


def list_models(
    bucket: Bucket, location: Location, *, details: bool = False
) -> tuple[Artifact, ...]:
    """Every uploaded version, by name and version; `details` looks at each for its digest.

    Without `details` first versions are not looked at: their `digest` is None. Raises ServiceError.
    """
    found = listed(bucket, location)
    look = looking(bucket, location)
    seen = looked_at(bucket, location, found) if details else told_apart(found, look)
    return tuple(sorted(seen, key=lambda artifact: (artifact.name, artifact.version)))


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
        code="current_changed",
    )

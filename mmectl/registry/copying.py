"""Copies on the server: another name, prefix or bucket; the next free version there."""

from __future__ import annotations

from dataclasses import dataclass

from mmectl.base.errors import ArtifactError, UsageError
from mmectl.base.values import Location
from mmectl.registry import ambiguous, tombstones
from mmectl.registry.catalog import candidates_of, looked_at, next_free, versions_of
from mmectl.registry.names import (
    DIGEST,
    MODEL,
    SUFFIX,
    check_folder,
    check_name,
    model_of,
    target_model,
)
from mmectl.registry.store import About, TargetBucket

# CopyObject's limit, https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
LARGEST = 5 << 30


@dataclass(frozen=True, slots=True)
class Origin:
    """The object to copy; `name` is its model's."""

    bucket: str
    key: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a copy goes: a location, and the model's name below it."""

    location: Location
    name: str


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of a copy; `copied` is False where the content was there already."""

    target_model: str
    copied: bool


def destination(text: str, here: Location, origin: Origin) -> Place:
    """What a person means: a name, a ``folder/``, or ``s3://bucket/prefix/[name]``.

    Raises UsageError.
    """
    base = origin.name.rsplit("/", 1)[-1]
    where, path = here, text
    if text.startswith("s3://"):
        bucket, _, path = text.removeprefix("s3://").partition("/")
        prefix, _, name = path.rpartition("/")
        where, path = Location(bucket, f"{prefix}/" if prefix else ""), name
        if not bucket:
            raise UsageError(
                f"{text}: names no bucket", hint="like s3://bucket/prefix/", code="bad_url"
            )
    folder, _, name = path.rpartition("/")
    name = name.removesuffix(SUFFIX) or base
    if not name:
        raise UsageError(
            f"{origin.key}: is not a tarball, so that the copy needs a name",
            hint="name it: mmectl models copy SOURCE NAME",
            code="missing_argument",
        )
    return Place(where, check_folder(folder) + check_name(name))


def origin_of(bucket: str, key: str, about: About) -> Origin:
    """The origin of an object of any place, called as its metadata or its key says."""
    return Origin(bucket, key, model_of(key.rsplit("/", 1)[-1], about.metadata))


def copy(bucket: TargetBucket, place: Place, origin: Origin, about: About) -> Copied:
    """Copy as the next free version, unless a version there has that content.

    `bucket` is the destination's. Raises ArtifactError ``too_large`` (5 GiB), ServiceError.
    """
    if about.size > LARGEST:
        raise ArtifactError(
            f"{origin.key}: has {about.size:,} bytes, S3 copies at most {LARGEST:,} in one go",
            hint="fetch it and upload it: mmectl models fetch, mmectl upload",
            code="too_large",
        )
    digest = about.metadata.get(DIGEST)
    there = looked_at(bucket, place.location, versions_of(bucket, place.location, place.name))
    for artifact in there:
        if digest is not None and artifact.digest == digest:
            return Copied(artifact.target_model, copied=False)
    if not there:
        ambiguous.require(bucket, place.location, place.name)
    metadata = {**about.metadata, MODEL: place.name}
    gone = tombstones.highest(bucket, place.location, place.name, {place.name})
    newest = max(gone.get(place.name, 0), *(a.version for a in there), 0)
    alike = {a.target_model for a in candidates_of(bucket, place.location, place.name)}
    newest = ambiguous.before_free(place.name, newest, alike)

    def make(version: int) -> bool:
        key = place.location.key(target_model(place.name, version))
        if bucket.copy(origin.key, key, metadata, bucket=origin.bucket):
            return True
        # taken: by ourselves, where an answer was lost and botocore asked again
        return digest is not None and (bucket.metadata(key) or {}).get(DIGEST) == digest

    return Copied(target_model(place.name, next_free(place.name, newest, make)), copied=True)

"""Version numbers of removed objects, which must not be used again.

An instance keeps a model in memory by its TargetModel, also after the object is gone: other
content under the same name would be answered by the old one. A document beside the models' prefix
remembers the highest number of each model that was removed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence

from mmectl.base.concurrency import at_once
from mmectl.base.errors import ArtifactError
from mmectl.base.values import Location
from mmectl.registry.names import SUFFIX, Artifact, parse
from mmectl.registry.store import Documents, Stored

_FORMAT = 1
_TRIES = 20
_WIDTH = 24  # documents at once


def folder(location: Location) -> str:
    """The key prefix of the documents: beside the models."""
    return location.prefix.rstrip("/") + ".mmectl/removed/"


def highest(
    documents: Documents, location: Location, start: str, wanted: Collection[str]
) -> dict[str, int]:
    """Name -> highest removed version, of the `wanted`, which begin with `start`; one listing.

    A removed model that was called as versions are (``yolo_v3``) counts as one (of ``yolo``).
    """
    base = folder(location)
    found: Iterator[Stored] = documents.list(base + start)
    names = [stored.key[len(base) :].removesuffix(".json") for stored in found]
    highest = {name: _read(documents, location, name)[0] for name in names if name in wanted}
    for name in names:
        as_version = parse(name + SUFFIX)
        if as_version and as_version[1] > 1 and as_version[0] in wanted:
            highest[as_version[0]] = max(as_version[1], highest.get(as_version[0], 0))
    return highest


def record(documents: Documents, location: Location, chosen: Sequence[Artifact]) -> None:
    """Write down the versions that are about to be removed. Raises ServiceError."""
    wanted: dict[str, int] = {}
    for artifact in chosen:
        wanted[artifact.name] = max(artifact.version, wanted.get(artifact.name, 0))
    at_once(lambda item: _raise(documents, location, *item), list(wanted.items()), _WIDTH)


def _raise(documents: Documents, location: Location, name: str, version: int) -> None:
    for _ in range(_TRIES):
        known, etag = _read(documents, location, name)
        if known >= version:
            return
        document = {"mmectl_removed": _FORMAT, "model": name, "highest": version}
        body = json.dumps(document, indent=1).encode() + b"\n"
        if documents.replace(f"{folder(location)}{name}.json", body, etag):
            return
    raise ArtifactError(
        f"{name}: others keep changing it: nothing was removed", code="current_changed"
    )


def _read(documents: Documents, location: Location, name: str) -> tuple[int, str | None]:
    key = f"{folder(location)}{name}.json"
    found = documents.read(key)
    if found is None:
        return 0, None
    try:
        raw: Mapping[str, int] = json.loads(found.body)
        return int(raw["highest"]), found.etag
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ArtifactError(
            f"s3://{location.bucket}/{key}: says of no version that it was removed: {error!r:.99}",
            hint='write {"mmectl_removed": 1, "highest": N}, N the highest version that ever was',
            code="bad_document",
        ) from error

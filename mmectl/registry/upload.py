"""A model from its folder to a bucket: as the next version, or as copies under many names.

An object is never overwritten: a changed model becomes the next version. The digest of the
content stands in the object's metadata, so an unchanged model costs one look at the object that
it became (or, where that is not remembered, a listing and a look at each of its versions).
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mmectl.archive import pack
from mmectl.base.concurrency import at_once
from mmectl.base.errors import ArtifactError
from mmectl.base.values import Event, Location, Report, ignore
from mmectl.frameworks import detect, look
from mmectl.frameworks.base import MUST_ALLOW, Look, Place
from mmectl.frameworks.folders import DESCRIPTION, inside, left_behind
from mmectl.frameworks.values import ModelError
from mmectl.registry import next_version
from mmectl.registry.digest_cache import DigestCache
from mmectl.registry.served import NotServed
from mmectl.registry.store import Store
from mmectl.registry.upload_cache import UploadCache
from mmectl.registry.upload_job import Job, Upload, Uploaded, interrupted


def check(request: Upload) -> None:
    """Raise ArtifactError for what `upload` would refuse before it sends anything."""
    _require_served(request, _looked_at(request).framework)


def upload(
    bucket: Store,
    location: Location,
    request: Upload,
    *,
    cache: DigestCache | None = None,
    upload_cache: UploadCache | None = None,
    report: Report = ignore,
    cancelled: threading.Event | None = None,
) -> Uploaded:
    """Upload one model where its content is not there yet, as the next free version.

    Raises UsageError (names), ArtifactError (the folder, with every problem), ServiceError (S3),
    Interrupted once `cancelled` is set; nothing partial is left visible then.
    """
    if cancelled and cancelled.is_set():
        raise interrupted(request.name)
    names = request.names()
    found = _looked_at(request)
    _require_served(request, found.framework)
    for note in found.notes:
        said = note.replace(MUST_ALLOW, ", which config.yaml allows") if request.allowed else note
        report(Event("warning", request.name, said))
    with _members(request, found.framework) as files:
        report(Event("start", request.name, "upload", total=sum(f.size for f in files)))
        job = Job(
            bucket,
            location,
            request,
            files,
            (cache or DigestCache(None)).digest(files),
            found.framework,
            found.signature,
            report,
            cancelled or threading.Event(),
            upload_cache or UploadCache(),
        )
        return _done(job, names)


def _done(job: Job, names: tuple[str, ...]) -> Uploaded:
    """Carry a job out, remember what it became, and tell of it."""
    result = _remembered(job, names) or next_version.stored(job, names)
    targets = zip(names, result.target_models, strict=True)
    job.upload_cache.sent(job.digest, {job.place(name): target for name, target in targets})
    for name in names:
        _give_up_begun(job, name)
    shown = result.target_models[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
    job.report(Event("done", job.request.name, f"{result.action}: {shown}", job.size, job.size))
    return result


def _remembered(job: Job, names: tuple[str, ...]) -> Uploaded | None:
    """What an unchanged model is, by one look at the object that it became; None to look closer."""
    targets = job.upload_cache.targets([job.place(name) for name in names], job.digest)
    known = [target for target in targets if target is not None]
    if len(known) < len(names):
        return None
    there = at_once(lambda target: next_version.holds(job, job.location.key(target)), known)
    return job.uploaded(tuple(known), ()) if all(there) else None


def _give_up_begun(job: Job, name: str) -> None:
    """Drop interrupted uploads of the name: its content is there now, nobody goes on with them."""
    for place, upload_id in job.upload_cache.unended(job.place(name)).items():
        job.bucket.give_up(place.removeprefix(f"{job.location.bucket}/"), upload_id)
        job.upload_cache.end(place)


def _looked_at(request: Upload) -> Look:
    """Raise ArtifactError where it is no model; else what is known and to be told of it."""
    folder, code, rest = request.folder, request.allow_code, request.rest
    if request.tarball is None:
        found = look.look(folder, allow_code=code, framework=request.framework, rest=rest)
        look.refuse(found)
        return found
    found = look.look_at_tarball(
        folder, request.tarball, allow_code=code, framework=request.framework, rest=rest
    )
    look.refuse(found)
    nested = detect.named(found.framework).nested
    return replace(found, notes=(*look.left_out(request.folder, deep=nested), *found.notes))


def _require_served(request: Upload, framework: str) -> None:
    """Raise NotServed where the endpoint's image could not load the model."""
    served = request.served
    if served is not None and framework not in served:
        raise NotServed(
            f"{request.name}: is a model of {framework}, the image serves {', '.join(served)}",
            framework,
            served,
            code="not_served",
        )


@contextlib.contextmanager
def _members(request: Upload, framework: str) -> Iterator[tuple[pack.Member, ...]]:
    """The files to pack; a model.json is made where nothing else names the framework."""
    deep = detect.named(framework).nested
    top = request.folder if deep or request.tarball is None else inside(request.folder)
    files = pack.members(top, left_behind, deep=deep)
    try:
        added = detect.described_by(top, request.framework)
    except ModelError as error:
        place = Place(top, request.tarball, request.folder)
        problem = place.problem(error)
        raise ArtifactError(str(problem), code=problem.code) from None
    if added is None:
        yield files
        return
    with tempfile.TemporaryDirectory(prefix="mmectl-") as folder:
        path = Path(folder, DESCRIPTION)
        path.write_bytes(added)
        made = pack.Member(DESCRIPTION, path, len(added), path.stat().st_mtime_ns)
        yield tuple(sorted((*files, made), key=lambda member: member.name))

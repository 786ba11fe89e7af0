"""A model from its folder to a bucket: as the next version, or as copies under many names.

An object is never overwritten: a changed model becomes the next version. The digest of the
content stands in the object's metadata, so an unchanged model costs one look at the object that
it became (or, where that is not remembered, a listing and a look at each of its versions).
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mmectl.archive import pack
from mmectl.archive.compression import Compression
from mmectl.base.concurrency import at_once
from mmectl.base.errors import ArtifactError, Interrupted, ServiceError, UsageError
from mmectl.base.values import Event, Location, Report, ignore
from mmectl.frameworks import detect, look
from mmectl.frameworks.base import MUST_ALLOW, Look, Place, Signature
from mmectl.frameworks.detect import Rest
from mmectl.frameworks.folders import DESCRIPTION, inside, left_behind
from mmectl.frameworks.values import ModelError
from mmectl.registry import ambiguous, signatures, tombstones
from mmectl.registry.catalog import listed, looked_at, next_free
from mmectl.registry.copying import LARGEST
from mmectl.registry.digest_cache import DigestCache
from mmectl.registry.names import (
    DIGEST,
    FRAMEWORK,
    MODEL,
    SIGNATURE,
    SIZE,
    UNTRAINED,
    Artifact,
    check_folder,
    check_name,
    stem,
    target_model,
)
from mmectl.registry.served import to_type
from mmectl.registry.store import Store, Writer
from mmectl.registry.upload_cache import UploadCache

MAX_COPIES = 10_000


@dataclass(frozen=True, slots=True)
class Upload:
    """One model to upload: `folder` as `name`, below `to`, `copies` times as name_0, name_1, ...

    `tarball` is where the folder was unpacked from, if it was. `framework` names the one that the
    model is for, where its files do not tell. `served` are those of the endpoint's image; None:
    unknown. `compression` says which files are compressed. `rest`: what the image does with models
    that name no framework. `allowed`: the configuration lets the endpoint run code.
    """

    name: str
    folder: Path
    to: str = ""
    copies: int | None = None
    untrained: bool = False
    allow_code: bool = False
    tarball: str | None = None
    framework: str | None = None
    served: tuple[str, ...] | None = None
    compression: Compression = "auto"
    rest: Rest = Rest.NONE
    allowed: bool = False

    def names(self) -> tuple[str, ...]:
        """The names that it gets, each with its folder; raises UsageError for a bad one."""
        folder = check_folder(self.to)
        check_name(self.name)
        if self.copies is None:
            return (folder + self.name,)
        if not 1 <= self.copies <= MAX_COPIES:
            raise UsageError(f"--copies {self.copies}: from 1 to {MAX_COPIES:,}", code="bad_value")
        return tuple(f"{folder}{self.name}_{number}" for number in range(self.copies))


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of an upload.

    `target_models` has one entry for each name; `created` those that are new (the first of them
    uploaded, or all copied on the server where the content was there). `digest` is of the content,
    `size` the content's bytes, `packed` the bytes sent (0: none). `stored` are those of files that
    were not compressed, and `larger` an estimate of the bytes that were sent more for that.
    """

    name: str
    action: Literal["uploaded", "unchanged"]
    target_models: tuple[str, ...]
    created: tuple[str, ...]
    digest: str
    size: int
    packed: int
    untrained: bool
    framework: str
    stored: int = 0
    larger: int = 0


def _interrupted(name: str) -> Interrupted:
    return Interrupted(f"{name}: upload interrupted: nothing of it is visible")


@dataclass(frozen=True, slots=True)
class _Job:
    """One upload under way, with what every step of it needs."""

    bucket: Store
    location: Location
    request: Upload
    files: tuple[pack.Member, ...]
    digest: str
    framework: str
    signature: Signature | None
    report: Report
    cancelled: threading.Event
    upload_cache: UploadCache

    @property
    def size(self) -> int:
        return sum(member.size for member in self.files)

    def place(self, name: str) -> str:
        """Where the name's versions lie, for the upload_cache."""
        return f"{self.location.bucket}/{self.location.key(name)}"

    def check(self) -> None:
        if self.cancelled.is_set():
            raise _interrupted(self.request.name)

    def progress(self, done: int) -> None:
        self.check()
        self.report(Event("progress", self.request.name, "upload", done, self.size))

    def metadata(self, name: str) -> dict[str, str]:
        about = {DIGEST: self.digest, MODEL: name, SIZE: str(self.size)}
        about[FRAMEWORK] = self.framework
        if self.signature is not None:
            about[SIGNATURE] = signatures.encode(self.signature)
        return about | ({UNTRAINED: "true"} if self.request.untrained else {})


def _common_start(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else names[0].removesuffix("0")


def _versions(job: _Job, names: Sequence[str]) -> tuple[dict[str, list[Artifact]], frozenset[str]]:
    """The versions of each name that are there, looked at; and every TargetModel like them."""
    wanted = set(names)
    alike = listed(job.bucket, job.location, _common_start(names))
    there = [a for a in alike if wanted & {a.name, stem(a.target_model)}]
    versions: dict[str, list[Artifact]] = {name: [] for name in names}
    for artifact in looked_at(job.bucket, job.location, there):
        if artifact.name in wanted:
            versions[artifact.name].append(artifact)
    ordered = {name: sorted(found, key=lambda a: a.version) for name, found in versions.items()}
    return ordered, frozenset(artifact.target_model for artifact in alike)


def _send(job: _Job, name: str, newest: int) -> tuple[str, pack.Packed | None]:
    """Pack and upload; the TargetModel that it became and what was sent."""
    sent: pack.Packed | None = None

    def make(version: int) -> bool:
        nonlocal sent
        key = job.location.key(target_model(name, version))
        writer = job.bucket.writer(key, job.metadata(name), job.size)
        try:
            sent = _pack_into(job, writer)
            job.check()
            return writer.commit() or _holds(job, key)
        except (Interrupted, ServiceError) as error:
            writer.pause()  # the next try goes on from what has arrived
            # ended meanwhile: by our own call whose answer was lost, or by another process of ours
            if error.code == "aws_NoSuchUpload" and _holds(job, key):
                return True
            raise
        finally:
            writer.abort()

    version = next_free(name, newest, make)
    return target_model(name, version), sent


def _holds(job: _Job, key: str) -> bool:
    """Whether what took the key is this very content: our own answer lost, or a colleague's."""
    return (job.bucket.metadata(key) or {}).get(DIGEST) == job.digest


def _pack_into(job: _Job, writer: Writer) -> pack.Packed:
    packed = pack.pack(
        job.files, writer, compression=job.request.compression, progress=job.progress
    )
    if packed.digest != job.digest:
        raise ArtifactError(
            f"{job.request.folder}: changed while it was uploaded: nothing was stored",
            hint="wait until it is written completely, then upload again",
            code="changed_while_packing",
        )
    return packed


def _copy(job: _Job, source: str, name: str, newest: int) -> str:
    """Copy an uploaded artifact on the server; the TargetModel that it became."""
    job.check()
    origin = job.location.key(source)

    def make(version: int) -> bool:
        key = job.location.key(target_model(name, version))
        return job.bucket.copy(origin, key, job.metadata(name)) or _holds(job, key)

    return target_model(name, next_free(name, newest, make))


def _copies(job: _Job, source: str, newest: Mapping[str, int]) -> dict[str, str]:
    """Copy to every name whose newest version is given. Raises Interrupted with how many."""
    before = len(job.request.names()) - len(newest)
    made: list[str] = []

    def one(name: str) -> str:
        made.append(target := _copy(job, source, name, newest[name]))
        job.report(Event("progress", job.request.name, "copy", len(made), len(newest), "copies"))
        return target

    try:
        return dict(zip(newest, at_once(one, list(newest)), strict=True))
    except Interrupted:
        there, wanted = before + len(made), before + len(newest)
        raise Interrupted(f"{job.request.name}: {there:,} of {wanted:,} copies are made") from None


def _require_copyable(job: _Job, source: str) -> None:
    """Raise ArtifactError for what is too large to be copied on the server in one go."""
    key = job.location.key(source)
    size = next((stored.size for stored in job.bucket.list(key) if stored.key == key), 0)
    if size > LARGEST:
        raise ArtifactError(
            f"{source}: has {size:,} bytes, S3 copies at most {LARGEST:,} in one go: "
            "no copies of it were made",
            hint="upload it under each name: mmectl upload NAME --from FOLDER",
            code="too_large",
        )


def _remembered(job: _Job, names: tuple[str, ...]) -> Uploaded | None:
    """What an unchanged model is, by one look at the object that it became; None to look closer."""
    targets = job.upload_cache.targets([job.place(name) for name in names], job.digest)
    known = [target for target in targets if target is not None]
    if len(known) < len(names):
        return None
    there = at_once(lambda target: _holds(job, job.location.key(target)), known)
    return _uploaded(job, tuple(known), ()) if all(there) else None


def _run(job: _Job, names: tuple[str, ...]) -> Uploaded:
    versions, taken = _versions(job, names)
    done = {
        name: found[-1].target_model
        for name in names
        if (found := [a for a in versions[name] if a.digest == job.digest])
    }
    missing = [name for name in names if name not in done]
    for name in missing:
        if not versions[name]:
            ambiguous.require(job.bucket, job.location, name)
    created: list[str] = []
    sent: pack.Packed | None = None
    # numbers that were removed are not used again: instances may still hold them
    start = _common_start(names)
    gone = tombstones.highest(job.bucket, job.location, start, set(missing)) if missing else {}
    last = {
        name: max(gone.get(name, 0), *(a.version for a in versions[name]), 0) for name in missing
    }
    last = {name: ambiguous.before_free(name, newest, taken) for name, newest in last.items()}
    if missing and not done:
        first = missing.pop(0)
        done[first], sent = _send(job, first, last[first])
        created.append(done[first])
    if missing:
        _require_copyable(job, next(iter(done.values())))
        copies = _copies(job, next(iter(done.values())), {name: last[name] for name in missing})
        done |= copies
        created += copies.values()
    return _uploaded(job, tuple(done[name] for name in names), tuple(created), sent)


def _uploaded(
    job: _Job,
    targets: tuple[str, ...],
    created: tuple[str, ...],
    sent: pack.Packed | None = None,
) -> Uploaded:
    return Uploaded(
        name=job.request.name,
        action="uploaded" if created else "unchanged",
        target_models=targets,
        created=created,
        digest=job.digest,
        size=job.size,
        packed=sent.packed if sent else 0,
        untrained=job.request.untrained,
        framework=job.framework,
        stored=sent.stored if sent else 0,
        larger=sent.larger if sent else 0,
    )


def _give_up_begun(job: _Job, name: str) -> None:
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


def check(request: Upload) -> None:
    """Raise ArtifactError for what `upload` would refuse before it sends anything."""
    _require_served(request, _looked_at(request).framework)


def _require_served(request: Upload, framework: str) -> None:
    """Raise ArtifactError where the endpoint's image could not load the model."""
    served = request.served
    if served is not None and framework not in served:
        raise ArtifactError(
            f"{request.name}: is a model of {framework}, the image serves {', '.join(served)}",
            hint=to_type([framework], served),
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
        raise _interrupted(request.name)
    names = request.names()
    found = _looked_at(request)
    _require_served(request, found.framework)
    for note in found.notes:
        said = note.replace(MUST_ALLOW, ", which config.yaml allows") if request.allowed else note
        report(Event("warning", request.name, said))
    with _members(request, found.framework) as files:
        report(Event("start", request.name, "upload", total=sum(f.size for f in files)))
        job = _Job(
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


def _done(job: _Job, names: tuple[str, ...]) -> Uploaded:
    """Carry a job out, remember what it became, and tell of it."""
    result = _remembered(job, names) or _run(job, names)
    targets = zip(names, result.target_models, strict=True)
    job.upload_cache.sent(job.digest, {job.place(name): target for name, target in targets})
    for name in names:
        _give_up_begun(job, name)
    shown = result.target_models[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
    job.report(Event("done", job.request.name, f"{result.action}: {shown}", job.size, job.size))
    return result

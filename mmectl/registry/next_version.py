"""A packed model as the next free version of its name, and copies of it on the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmectl.archive import pack
from mmectl.base.concurrency import at_once
from mmectl.base.errors import ArtifactError, Interrupted, ServiceError
from mmectl.base.values import Event
from mmectl.registry import ambiguous, tombstones
from mmectl.registry.catalog import listed, looked_at, next_free
from mmectl.registry.copying import LARGEST
from mmectl.registry.names import DIGEST, Artifact, stem, target_model
from mmectl.registry.store import Writer
from mmectl.registry.upload_job import Job, Uploaded


def _common_start(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else names[0].removesuffix("0")


def _versions(job: Job, names: Sequence[str]) -> tuple[dict[str, list[Artifact]], frozenset[str]]:
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


def _send(job: Job, name: str, newest: int) -> tuple[str, pack.Packed | None]:
    """Pack and upload; the TargetModel that it became and what was sent."""
    sent: pack.Packed | None = None

    def make(version: int) -> bool:
        nonlocal sent
        key = job.location.key(target_model(name, version))
        writer = job.bucket.writer(key, job.metadata(name), job.size)
        try:
            sent = _pack_into(job, writer)
            job.check()
            return writer.commit() or holds(job, key)
        except (Interrupted, ServiceError) as error:
            writer.pause()  # the next try goes on from what has arrived
            # ended meanwhile: by our own call whose answer was lost, or by another process of ours
            if error.code == "aws_NoSuchUpload" and holds(job, key):
                return True
            raise
        finally:
            writer.abort()

    version = next_free(name, newest, make)
    return target_model(name, version), sent


def holds(job: Job, key: str) -> bool:
    """Whether what took the key is this very content: our own answer lost, or a colleague's."""
    return (job.bucket.metadata(key) or {}).get(DIGEST) == job.digest


def _pack_into(job: Job, writer: Writer) -> pack.Packed:
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


def _copy(job: Job, source: str, name: str, newest: int) -> str:
    """Copy an uploaded artifact on the server; the TargetModel that it became."""
    job.check()
    origin = job.location.key(source)

    def make(version: int) -> bool:
        key = job.location.key(target_model(name, version))
        return job.bucket.copy(origin, key, job.metadata(name)) or holds(job, key)

    return target_model(name, next_free(name, newest, make))


def _copies(job: Job, source: str, newest: Mapping[str, int]) -> dict[str, str]:
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


def _require_copyable(job: Job, source: str) -> None:
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


def stored(job: Job, names: tuple[str, ...]) -> Uploaded:
    """Send it where its content is not there yet, as the next free version of each name.

    Raises ArtifactError, ServiceError, Interrupted.
    """
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
    return job.uploaded(tuple(done[name] for name in names), tuple(created), sent)

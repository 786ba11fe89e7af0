"""A model from a bucket or an archive to a folder: resumed, verified, unpacked safely.

What is fetched lies beside its target under a name of its own until it is complete and
verified; an interrupted fetch goes on where it stopped as long as the object is the same.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mmectl.archive import pack
from mmectl.base.errors import ArtifactError, Interrupted, ServiceError, UsageError
from mmectl.base.files import locked, writing
from mmectl.base.values import Event, Report, ignore
from mmectl.frameworks.detect import ANY
from mmectl.frameworks.folders import inside
from mmectl.frameworks.look import is_nested
from mmectl.registry.names import DIGEST, FRAMEWORK
from mmectl.registry.store import About, SourceBucket

_TRIES = 5
_ALLOW = "where you trust whoever wrote it: the same command with --allow-code"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model on the disk; `verified` says by what: its content's digest, or gzip's checksum."""

    folder: Path
    size: int
    digest: str
    verified: str


def split_url(url: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``. Raises UsageError."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket or not key or key.endswith("/"):
        elsewhere = "://" in url and not url.startswith("s3://")
        raise UsageError(
            f"{url}: not an object of S3",
            hint=f"for a tarball of elsewhere: mmectl upload NAME --from {url}"
            if elsewhere
            else "name a tarball, like s3://bucket/folder/model.tar.gz",
            code="bad_url",
        )
    return bucket, key


def look(bucket: SourceBucket, key: str) -> About:
    """Look at an object. Raises ArtifactError ``no_such_object``, ``no_such_bucket``."""
    about = bucket.about(key)
    if about is not None:
        return about
    if not bucket.exists():
        raise ArtifactError(
            f"s3://{bucket.name}/{key}: there is no bucket {bucket.name}",
            hint="check the bucket's name, and `platform` in config.yaml",
            code="no_such_bucket",
        )
    raise ArtifactError(
        f"s3://{bucket.name}/{key}: no such object in the bucket",
        hint="check the key; list the uploaded models: mmectl models list",
        code="no_such_object",
    )


def download(
    bucket: SourceBucket,
    key: str,
    about: About,
    target: Path,
    *,
    report: Report = ignore,
    cancelled: threading.Event | None = None,
) -> None:
    """Fetch an object into the file `target`, which appears only when complete.

    Raises ArtifactError, ServiceError, or Interrupted once `cancelled` is set; what was fetched
    stays for the next time.
    """
    mark = hashlib.sha256(f"{bucket.name}/{key}/{about.etag}".encode()).hexdigest()[:16]
    partial = target.with_name(f".{target.name}.{mark}.part")
    subject = key.rsplit("/", 1)[-1]
    with writing(target), locked(partial.with_suffix(".lock")):
        for left in reversed(range(_TRIES)):
            before = _size(partial)
            try:
                for done in _append(bucket, key, about, partial):
                    report(Event("progress", subject, "fetch", done, about.size))
                    if cancelled and cancelled.is_set():
                        raise Interrupted(
                            f"{subject}: fetching was interrupted",
                            hint="run the same command again: it goes on where it stopped",
                        )
            except ServiceError as error:
                if error.code == "aws_PreconditionFailed":
                    raise _replaced(bucket, key) from error
                # a connection may break off; one that brought something is worth another
                if not left or _size(partial) == before:
                    raise
            if _size(partial) >= about.size:
                break
        if _size(partial) != about.size:
            partial.unlink(missing_ok=True)
            raise _replaced(bucket, key)
        partial.replace(target)
        partial.with_suffix(".lock").unlink(missing_ok=True)


def _append(bucket: SourceBucket, key: str, about: About, partial: Path) -> Iterator[int]:
    """Write what `partial` lacks; yields how many bytes are there."""
    have = _size(partial)
    if have >= about.size:
        return
    with partial.open("ab") as stream:
        for chunk in bucket.download(key, about.etag, have):
            stream.write(chunk)
            have += len(chunk)
            yield have


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _replaced(bucket: SourceBucket, key: str) -> ArtifactError:
    return ArtifactError(
        f"s3://{bucket.name}/{key}: was replaced while it was fetched",
        hint="fetch it again",
        code="changed_while_fetching",
    )


@dataclass(frozen=True, slots=True)
class Unpacking:
    """How a tarball is unpacked: whether code may be in it, and whether to the model's own files.

    `flat`: one that holds a folder and nothing else gives that folder's files.
    """

    allow_code: bool = False
    flat: bool = True


def unpack(archive: Path, folder: Path, *, label: str, how: Unpacking = Unpacking()) -> None:
    """Unpack a model's tarball into the new folder `folder`, whole or not at all.

    `label` names it in errors. Raises ArtifactError ``bad_archive`` for what no instance would
    unpack.
    """
    from mmectl.archive.unpack import Limits, UnpackError
    from mmectl.archive.unpack import unpack as extract

    try:
        with writing(folder):
            extract(archive, folder, Limits(code=how.allow_code))
    except UnpackError as error:
        raise ArtifactError(
            f"{label}: {error}",
            hint=_ALLOW
            if "is code" in error.reason
            else "pack it again: mmectl upload, or tar -czf, flat and without links",
            code="bad_archive",
        ) from error
    if how.flat:
        flatten(folder)


def flatten(folder: Path) -> None:
    """Give a folder that holds a folder and nothing else the files of that one.

    Not where that folder is a part of the model, as `code/` is.
    """
    root = inside(folder)
    if root != folder and not is_nested(folder):
        draft = folder.with_name(folder.name + ".inner")
        root.rename(draft)
        shutil.rmtree(folder)
        draft.rename(folder)


def fetch(
    bucket: SourceBucket,
    key: str,
    folder: Path,
    *,
    how: Unpacking = Unpacking(),
    report: Report = ignore,
    cancelled: threading.Event | None = None,
) -> Fetched:
    """Fetch an uploaded model into the new folder `folder`, verified.

    Raises ArtifactError where the folder exists, the object is none or damaged; nothing is left
    at `folder` then.
    """
    if folder.exists():
        raise ArtifactError(
            f"{folder}: exists already: nothing was fetched",
            hint="name another folder, or move that one away",
            code="exists",
        )
    about = look(bucket, key)
    archive = folder.with_name(folder.name + ".tar.gz.fetched")
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    download(bucket, key, about, archive, report=report, cancelled=cancelled)
    try:
        as_it_is = replace(how, flat=False)
        unpack(archive, folder, label=f"s3://{bucket.name}/{key}", how=as_it_is)
        fetched = _verified(folder, about)
        if how.flat and about.metadata.get(FRAMEWORK) != ANY:
            flatten(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    else:
        return fetched
    finally:
        archive.unlink(missing_ok=True)


def _verified(folder: Path, about: About) -> Fetched:
    digest = pack.content_digest(pack.members(folder, deep=True))
    wanted = about.metadata.get(DIGEST)
    if wanted and wanted != digest:
        raise ArtifactError(
            f"{folder.name}: its content has the digest {digest[:8]}, uploaded was {wanted[:8]}: "
            "nothing was kept",
            hint="fetch it again; if it stays so, somebody replaced the object",
            code="digest_mismatch",
        )
    return Fetched(folder, about.size, digest, "digest" if wanted else "gzip")


OpenBucket = Callable[[str], SourceBucket]

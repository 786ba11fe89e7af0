"""Model folders from tarballs: of a bucket, of an address with its checksum, or of the disk.

They are kept in the project's cache by what they hold, so that each is fetched once.
"""

from __future__ import annotations

import hashlib
import urllib.parse
import urllib.request
from pathlib import Path

from mmectl.base.download import Link, Opener, digest_of, download, open_url
from mmectl.base.errors import ArtifactError, UsageError
from mmectl.base.files import locked, writing
from mmectl.base.values import Event, Report, ignore
from mmectl.registry import fetching
from mmectl.registry.fetching import OpenBucket, Unpacking


def folder_of(
    url: str,
    sha256: str | None,
    cache: Path,
    *,
    open_bucket: OpenBucket,
    allow_code: bool = False,
    flat: bool = True,
    opener: Opener = open_url,
    report: Report = ignore,
) -> Path:
    """The folder that the tarball at `url` (s3, http, https, file) unpacks to.

    `flat`: the files of the one folder that it holds, if it is so; else everything as it is.
    Raises ArtifactError (unreachable, wrong checksum, no sound archive) and ServiceError.
    """
    how = Unpacking(allow_code, flat)
    if url.startswith("s3://"):
        return _of_bucket(url, sha256, cache, open_bucket, how, report)
    if url.startswith("file://"):
        archive = Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path))
        return _of_file(archive, sha256, cache, how)
    if sha256 is None:
        raise UsageError(
            f"{url}: needs the tarball's sha256: without it, any content would be served",
            hint=f"add it: {url}#sha256=<hex>, or --sha256; from its publisher, or: "
            "curl -fsSL URL | sha256sum",
            code="no_checksum",
        )
    return _of_web(url, sha256, cache, how, opener, report)


def _unreachable(url: str, why: object) -> ArtifactError:
    return ArtifactError(
        f"{url}: cannot be fetched: {why}",
        hint="check the address; the downloaded part is kept for the next try",
        code="unreachable",
    )


def _of_web(
    url: str, sha256: str, cache: Path, how: Unpacking, opener: Opener, report: Report
) -> Path:
    folder = cache / _place(sha256, how)
    with writing(folder), locked(cache / f".{sha256[:16]}.lock"):
        if folder.is_dir():
            return folder
        partial = cache / f".{sha256}.part"
        subject = url.rsplit("/", 1)[-1]
        link = Link(
            _unreachable,
            opener,
            lambda done, total: report(Event("progress", subject, "fetch", done, total)),
        )
        download(url, partial, link)
        try:
            _check(partial, url, sha256)
            fetching.unpack(partial, folder, label=url, how=how)
        finally:
            partial.unlink(missing_ok=True)
        report(Event("done", subject, "fetched"))
    return folder


def _of_file(archive: Path, sha256: str | None, cache: Path, how: Unpacking) -> Path:
    try:
        found = digest_of(archive, "sha256")
    except OSError as error:
        raise ArtifactError(
            f"{archive}: cannot be read: {error.strerror}",
            hint="check the file's name",
            code="unreadable_file",
        ) from error
    if sha256:
        _compare(found, str(archive), sha256)
    folder = cache / _place(found, how)
    with writing(folder), locked(cache / f".{found[:16]}.lock"):
        if not folder.is_dir():
            fetching.unpack(archive, folder, label=str(archive), how=how)
    return folder


def _of_bucket(
    url: str,
    sha256: str | None,
    cache: Path,
    open_bucket: OpenBucket,
    how: Unpacking,
    report: Report,
) -> Path:
    name, key = fetching.split_url(url)
    bucket = open_bucket(name)
    about = fetching.look(bucket, key)
    mark = hashlib.sha256(f"{url} {about.etag}".encode()).hexdigest()
    folder = cache / _place(mark, how)
    with writing(folder), locked(cache / f".{mark[:16]}.lock"):
        if folder.is_dir() and sha256 is None:
            return folder
        if sha256 is None:
            fetching.fetch(bucket, key, folder, how=how, report=report)
            return folder
        archive = cache / f".{mark}.tar.gz"
        fetching.download(bucket, key, about, archive, report=report)
        try:
            _check(archive, url, sha256)
            if not folder.is_dir():
                fetching.unpack(archive, folder, label=url, how=how)
        finally:
            archive.unlink(missing_ok=True)
    return folder


def _place(digest: str, how: Unpacking) -> str:
    return digest[:32] + ("-code" if how.allow_code else "") + ("" if how.flat else "-as-it-is")


def _check(archive: Path, url: str, sha256: str) -> None:
    _compare(digest_of(archive, "sha256"), url, sha256)


def _compare(found: str, what: str, wanted: str) -> None:
    if found != wanted.lower():
        raise ArtifactError(
            f"{what}: its sha256 is {found} and not {wanted}: nothing was kept",
            hint="if it was meant to change, write the new checksum",
            code="checksum",
        )

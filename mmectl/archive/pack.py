"""A model folder as a byte-reproducible ``.tar.gz``, streamed.

The same files give the same bytes on every machine: members sorted by name, owner 0, time 0,
mode 0644, a gzip header without time and name, and blocks of a fixed size that are compressed
independently (igzip, level 1), or stored where compression would spare little, however many
threads do it. The digest of a model covers names and contents alone, so that neither another
version of the compressor nor another choice of what is compressed makes another model.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmectl.archive.compression import LEVEL, Choice, Compression, choose
from mmectl.base.errors import ArtifactError

if TYPE_CHECKING:
    from mmectl.archive.gzip_writer import GzipWriter, Sink

BLOCK = 1 << 20
# from here on a second thread is worth its start
_THREADED_FROM = 4 * BLOCK

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a model folder, as `members` found it; `size` in bytes."""

    name: str
    path: Path
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Packed:
    """What was packed: digest of the content, bytes before and after compression.

    `stored` are the bytes of files that were not compressed; `larger` estimates by how many bytes
    that made the tarball larger.
    """

    digest: str
    content: int
    packed: int
    stored: int
    larger: int


def members(
    folder: Path, left_out: Callable[[str], bool] = lambda _: False, *, deep: bool = False
) -> tuple[Member, ...]:
    """The regular files of a folder, by name; what is not a file or `left_out` by its name is not.

    `deep`: those of the folders in it, too, by their relative names (``code/inference.py``); links
    are not followed. Raises ArtifactError where a folder cannot be read.
    """
    try:
        found = _files(folder, left_out, deep)
        named = {path.relative_to(folder).as_posix(): path for path in found}
        stats = [(name, path, path.stat()) for name, path in sorted(named.items())]
    except OSError as error:
        raise ArtifactError(
            f"{folder}: cannot be read: {error.strerror}", code="unreadable_file"
        ) from error
    return tuple(Member(name, path, s.st_size, s.st_mtime_ns) for name, path, s in stats)


def _files(folder: Path, left_out: Callable[[str], bool], deep: bool) -> Iterator[Path]:
    for path in folder.iterdir():
        if left_out(path.name) or path.is_symlink():
            continue
        if path.is_file():
            yield path
        elif deep and path.is_dir():
            yield from _files(path, left_out, deep)


def _changed(member: Member) -> ArtifactError:
    return ArtifactError(
        f"{member.path}: changed while it was read",
        hint="wait until it is written completely, then upload again",
        code="changed_while_packing",
    )


def _blocks(member: Member) -> Iterator[bytes]:
    """The file's bytes; exactly `member.size` of them, or an ArtifactError."""
    left = member.size
    try:
        with member.path.open("rb") as stream:
            while block := stream.read(BLOCK):
                left -= len(block)
                yield block
    except OSError as error:
        raise ArtifactError(
            f"{member.path}: cannot be read: {error.strerror}", code="unreadable_file"
        ) from error
    if left:
        raise _changed(member)


class _Digest:
    """Sha256 over names, sizes and bytes of the members, in their order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(b"mmectl-model-1\0")

    def begin(self, member: Member) -> None:
        self._hash.update(f"{member.name}\0{member.size}\0".encode())

    def update(self, block: bytes) -> None:
        self._hash.update(block)

    def hex(self) -> str:
        return self._hash.hexdigest()


def content_digest(files: tuple[Member, ...], progress: Progress = lambda _: None) -> str:
    """The digest (hex) of a model's content; `progress` gets the bytes read so far."""
    digest, done = _Digest(), 0
    for member in files:
        digest.begin(member)
        for block in _blocks(member):
            digest.update(block)
            done += len(block)
            progress(done)
    return digest.hex()


def _header(member: Member) -> bytes:
    info = tarfile.TarInfo(member.name)
    info.size = member.size
    info.mode = 0o644
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8")


def _chosen(files: tuple[Member, ...], compression: Compression) -> list[Choice]:
    chosen = []
    for member in files:
        try:
            chosen.append(choose(member.path, member.size, compression))
        except OSError as error:
            raise ArtifactError(
                f"{member.path}: cannot be read: {error.strerror}", code="unreadable_file"
            ) from error
    return chosen


def _write(
    files: tuple[Member, ...],
    chosen: list[Choice],
    digest: _Digest,
    out: GzipWriter,
    progress: Progress,
) -> None:
    """Write the tar stream of the files."""
    done = written = 0
    for member, choice in zip(files, chosen, strict=True):
        digest.begin(member)
        header = _header(member)
        out.compress(header)
        take = out.store if choice.stored else out.compress
        for block in _blocks(member):
            digest.update(block)
            take(block)
            done += len(block)
            progress(done)
        padding = -member.size % tarfile.BLOCKSIZE
        out.compress(bytes(padding))
        written += len(header) + member.size + padding
    end = written + 2 * tarfile.BLOCKSIZE
    out.compress(bytes(2 * tarfile.BLOCKSIZE + -end % tarfile.RECORDSIZE))


def pack(
    files: tuple[Member, ...],
    sink: Sink,
    *,
    compression: Compression = "auto",
    progress: Progress = lambda _: None,
    threads: int = 2,
) -> Packed:
    """Write the tarball of `files` to `sink`; `progress` gets the content bytes so far.

    Raises ArtifactError where a file changed meanwhile or cannot be read, and whatever the sink
    raises. The bytes do not depend on `threads`.
    """
    from mmectl.archive.gzip_writer import GzipWriter

    content = sum(member.size for member in files)
    chosen, digest = _chosen(files, compression), _Digest()
    threads = threads if content >= _THREADED_FROM else 1
    with GzipWriter(sink, level=LEVEL, threads=threads) as out:
        _write(files, chosen, digest, out, progress)
    stored = sum(member.size for member, c in zip(files, chosen, strict=True) if c.stored)
    larger = sum(choice.larger for choice in chosen)
    return Packed(digest.hex(), content, out.written, stored, larger)


def pack_file(
    folder: Path,
    target: Path,
    *,
    compression: Compression = "auto",
    progress: Progress = lambda _: None,
) -> Packed:
    """Pack a folder into the file `target`, which appears only when complete.

    Raises ArtifactError as `pack`, and where the file cannot be written.
    """
    partial = target.with_name(target.name + ".part")
    try:
        with partial.open("wb") as stream:
            packed = pack(members(folder), stream, compression=compression, progress=progress)
        partial.replace(target)
    except OSError as error:
        raise ArtifactError(
            f"{target}: cannot be written: {error.strerror}", code="unwritable_file"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return packed

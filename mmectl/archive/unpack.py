"""Unpack a model's tar.gz into a directory, trusting nothing in it.

Multi Model Server puts the model's directory on PYTHONPATH, so a Python file in an archive
would run: such files are refused unless the owner allows them. Links, devices, paths that
leave the directory, and archives that swell beyond the limits are refused as well. What is made
is counted, not what the archive says: folders that only a name implies, and whole blocks of disk.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from isal import igzip_lib

from mmectl.archive.untar import Entry, Kind, Untar, UntarError
from mmectl.base.values import CODE_FILE

# Measured on 241 MB of weights: larger pieces leave the processor's cache
_CHUNK = _PACKED_CHUNK = 1 << 18
# From so many packed bytes on, a thread inflates while ours writes; so many pieces ahead of it
_THREADED_FROM = 1 << 22
_AHEAD = 8
_GZIP = b"\x1f\x8b"
# Few programs write gzip in members, and those that do write at least so much in each on average
_MEMBERS, _MEMBER_BYTES = 1000, 1024
_DISK_BLOCK = 4096
_SHOWN = 80  # letters of a name in a message
_DAMAGED = cast("type[Exception]", igzip_lib.error)  # its stub says it is an instance
FULL = (errno.ENOSPC, errno.EDQUOT)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW

Opener = Callable[[Path], IO[bytes]]


def _create(place: Path) -> IO[bytes]:
    """Open a new file, mode 0600, never through a link."""
    return os.fdopen(os.open(place, _NEW, 0o600), "wb", buffering=0)


class UnpackError(Exception):
    """The archive is refused; `member` names the entry, or is None for the whole."""

    def __init__(self, reason: str, member: str | None = None) -> None:
        if member is not None and len(member) > _SHOWN:
            member = member[:_SHOWN] + "..."
        super().__init__(f"{member!r} {reason}" if member is not None else reason)
        self.reason = reason
        self.member = member


class TooLargeError(UnpackError):
    """More bytes than `Limits.unpacked`."""


class BombError(UnpackError):
    """More entries, or a greater ratio, than any model has."""


class DiskFullError(UnpackError):
    """The disk ran out of room while writing."""


class StoppedError(UnpackError):
    """The work was called off."""


class FaultError(UnpackError):
    """The archive was not to blame: it could not be read, or its files not be written."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what an archive may make; `unpacked` in bytes of disk, in whole blocks.

    `members` counts the entries, `folders` the folders, `depth` how many of them lie in each
    other. `ratio` (unpacked to packed) counts only once `ratio_from` bytes were unpacked: weights
    that are all zero are small and honest.
    """

    unpacked: int = 64 << 30
    members: int = 10_000
    folders: int = 1_000
    depth: int = 16
    ratio: int = 200
    ratio_from: int = 64 << 20
    code: bool = False


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was written: number of files, their bytes, and the bytes of disk that all takes."""

    files: int
    size: int
    disk: int


def size_hint(archive: Path) -> int:
    """Bytes that the archive claims to unpack to (the gzip trailer), at least its own size.

    Only a hint: the trailer counts modulo 2**32 and is not to be trusted.
    """
    size = archive.stat().st_size
    if size < 18:
        return size
    with archive.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        return max(size, int.from_bytes(file.read(4), "little") if size < 1 << 31 else 2 * size)


def unpack(
    archive: Path,
    target: Path,
    limits: Limits | None = None,
    stop: threading.Event | None = None,
    *,
    create: Opener = _create,
) -> Unpacked:
    """Unpack `archive` to the new directory `target`, whole or not at all.

    Files get mode 0600, directories 0700. Raises UnpackError and its kinds. Blocking: call it
    in a thread; setting `stop` ends it with StoppedError.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".unpack-", dir=target.parent))
    try:
        done = _extract(archive, _Draft(draft, limits or Limits(), create), stop)
        draft.rename(target)
    except OSError as error:
        if error.errno in FULL:
            raise DiskFullError("does not fit: the disk is full") from error
        raise FaultError(f"could not be written: {error.strerror or error}") from error
    else:
        return done
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _extract(archive: Path, draft: _Draft, stop: threading.Event | None) -> Unpacked:
    try:
        file = archive.open("rb", buffering=0)
    except OSError as error:
        raise FaultError(f"the archive cannot be read: {error.strerror or error}") from error
    with file:
        packed = os.fstat(file.fileno()).st_size
        if packed == 0:
            raise UnpackError("the archive is empty (0 bytes)")
        with contextlib.closing(_inflated(file, packed)) as inflated:
            _read(_metered(inflated, packed, draft.limits, stop), draft)
    done = draft.done()
    if done.files == 0:
        raise UnpackError("the archive holds no file")
    return done


def _read(chunks: Iterator[bytes], draft: _Draft) -> None:
    try:
        _members(Untar(chunks), draft)
    except UntarError as error:
        if error.member is not None:
            raise UnpackError(error.reason, error.member) from error
        raise UnpackError(f"the archive is not a sound tar file: {error.reason}") from error


def _inflated(file: IO[bytes], packed: int) -> Generator[bytes]:
    """The bytes that a gzip file of that size holds; of a large one in a thread, some ahead."""
    return _ahead(_gunzip(file)) if packed >= _THREADED_FROM else _gunzip(file)


def _ahead(chunks: Iterator[bytes]) -> Generator[bytes]:
    """Run an iterator in a thread, in its order; what it raises comes in its order, too."""
    pool = ThreadPoolExecutor(1, "inflate")
    try:
        coming = deque(pool.submit(next, chunks, None) for _ in range(_AHEAD))
        while (chunk := coming.popleft().result()) is not None:
            coming.append(pool.submit(next, chunks, None))
            yield chunk
    finally:
        pool.shutdown(cancel_futures=True)


def _gunzip(file: IO[bytes]) -> Generator[bytes]:
    """The bytes that a gzip file holds, in one member or in several; UnpackError."""
    packed = file.read(_PACKED_CHUNK)
    if packed[:2] != _GZIP[: len(packed)]:
        raise UnpackError("the archive is not gzip; pack it with mmectl upload or tar -czf")
    members = size = 0
    while packed:
        members += 1
        if members > _MEMBERS and size < members * _MEMBER_BYTES:
            raise BombError(f"the archive is made of {members} pieces of gzip, nearly all empty")
        member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        for plain in _member(member, packed, file):
            size += len(plain)
            yield plain
        packed = _behind(member.unused_data, file)


def _member(member: igzip_lib.IgzipDecompressor, packed: bytes, file: IO[bytes]) -> Iterator[bytes]:
    while True:
        try:
            yield member.decompress(packed, _CHUNK)
        except _DAMAGED as error:
            raise UnpackError("the archive is damaged: its gzip data is corrupt") from error
        if member.eof:
            return
        packed = file.read(_PACKED_CHUNK) if member.needs_input else b""
        if member.needs_input and not packed:
            raise UnpackError("the archive is truncated: it ends too early")


def _behind(rest: bytes, file: IO[bytes]) -> bytes:
    """The begin of the next member; empty where there is only padding."""
    while len(rest := rest.lstrip(b"\0")) < len(_GZIP):
        more = file.read(_PACKED_CHUNK)
        if not more:
            break
        rest += more
    if rest and not rest.startswith(_GZIP):
        raise UnpackError("other data follows the archive: its gzip data ends before the file does")
    return rest


def _metered(
    chunks: Iterator[bytes], packed: int, limits: Limits, stop: threading.Event | None
) -> Iterator[bytes]:
    """The unpacked stream, its bytes counted against the limits."""
    count = 0
    for data in chunks:
        if stop is not None and stop.is_set():
            raise StoppedError("was not unpacked: the instance is being stopped")
        count += len(data)
        # the tar's own blocks and padding come on top of the files
        if count > limits.unpacked + (1 << 20):
            raise TooLargeError(f"the archive unpacks to more than {limits.unpacked} bytes")
        if count > max(limits.ratio_from, limits.ratio * packed):
            raise BombError(
                f"the archive swells more than {limits.ratio} times when it is unpacked"
            )
        yield data


def _members(tar: Untar, draft: _Draft) -> None:
    for number, entry in enumerate(tar, 1):
        if number > draft.limits.members:
            raise BombError(f"the archive has more than {draft.limits.members} entries")
        path = _path(entry)
        if entry.kind is Kind.FOLDER:
            draft.folder(path, entry.name)
            continue
        _refuse(entry, path, draft.limits)
        with draft.file(path, entry) as out:
            for piece in tar.data():
                _write(out, piece)


def _write(out: IO[bytes], piece: memoryview) -> None:
    while piece:
        piece = piece[out.write(piece) :]


class _Draft:
    """The directory being filled; what is made in it is counted against the limits."""

    def __init__(self, root: Path, limits: Limits, create: Opener) -> None:
        self.limits = limits
        self._root = root
        self._create = create
        self._folders = {PurePosixPath()}
        self._files: set[PurePosixPath] = set()
        self._size = self._disk = 0

    def done(self) -> Unpacked:
        """What was made so far."""
        return Unpacked(len(self._files), self._size, self._disk)

    def folder(self, path: PurePosixPath, name: str) -> None:
        """Make a folder and those it lies in; `name` is the entry's that asks for it."""
        if len(path.parts) > self.limits.depth:
            raise BombError(f"is nested in more than {self.limits.depth} folders", name)
        for one in (*reversed(path.parents), path):
            if one not in self._folders:
                self._make(one, name)

    def _make(self, path: PurePosixPath, name: str) -> None:
        if len(self._folders) > self.limits.folders:
            raise BombError(f"the archive has more than {self.limits.folders} folders")
        try:
            (self._root / path).mkdir(mode=0o700)
        except FileExistsError:
            raise UnpackError("is a file and a directory at once", name) from None
        self._folders.add(path)
        self._take(_DISK_BLOCK, name)

    def file(self, path: PurePosixPath, entry: Entry) -> IO[bytes]:
        """Make a file, to be written."""
        if path in self._files:
            raise UnpackError("stands in the archive twice", entry.name)
        self._take(_DISK_BLOCK + entry.size + -entry.size % _DISK_BLOCK, entry.name)
        self.folder(path.parent, entry.name)
        try:
            out = self._create(self._root / path)
        except FileExistsError:
            raise UnpackError("is a file and a directory at once", entry.name) from None
        self._files.add(path)
        self._size += entry.size
        return out

    def _take(self, size: int, name: str) -> None:
        self._disk += size
        if self._disk > self.limits.unpacked:
            raise TooLargeError(f"exceeds the {self.limits.unpacked} bytes allowed", name)


def _path(entry: Entry) -> PurePosixPath:
    """The entry's path inside the directory, or UnpackError."""
    name = entry.name
    if not name.isprintable():
        raise UnpackError("has a name with unprintable characters", name)
    if name.startswith("/"):
        raise UnpackError("has an absolute path", name)
    path = PurePosixPath(name)
    if ".." in path.parts:
        raise UnpackError("leads out of the model's directory ('..')", name)
    if len(name.encode()) > 4000 or any(len(part.encode()) > 255 for part in path.parts):
        raise UnpackError("has a name that is too long", name)
    return path


def _refuse(entry: Entry, path: PurePosixPath, limits: Limits) -> None:
    """Raise UnpackError for anything but a plain file that is data."""
    if entry.kind is Kind.LINK:
        raise UnpackError("is a link; pack the file itself", entry.name)
    if entry.kind is Kind.SPARSE:
        words = "is not a plain file: it is stored sparse: pack it without -S (--sparse)"
        raise UnpackError(words, entry.name)
    if entry.kind is not Kind.FILE:
        raise UnpackError("is not a plain file", entry.name)
    if not path.parts or entry.name.endswith("/"):
        raise UnpackError("is a file without a name of its own", entry.name)
    if limits.code:
        return
    if CODE_FILE.search(path.name):
        raise UnpackError("is code, which the model server would execute", entry.name)
    if path.parts[0].upper() == "MAR-INF":
        # a manifest names the handler that the server runs instead of the image's
        raise UnpackError("would replace the image's handler", entry.name)

"""Unpack a model's tar.gz into a directory, trusting nothing in it.

Multi Model Server puts the model's directory on PYTHONPATH, so a Python file in an archive
would run: such files are refused unless the owner allows them. Links, devices, paths that
leave the directory, and archives that swell beyond the limits are refused as well.
"""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import tarfile
import tempfile
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from isal import igzip, isal_zlib

from mmectl.state import CODE_FILE

if TYPE_CHECKING:
    from typing_extensions import Self

_CHUNK = 1 << 20
_DAMAGED: tuple[type[Exception], ...] = (
    gzip.BadGzipFile,
    zlib.error,
    cast("type[Exception]", isal_zlib.error),  # its stub says it is an instance
)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW

# records that tarfile reads whole into memory: names and extended headers
_IN_MEMORY = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_LONGEST_HEADER = 1 << 16

Opener = Callable[[Path], IO[bytes]]


def _create(place: Path) -> IO[bytes]:
    """Open a new file, mode 0600, never through a link."""
    return os.fdopen(os.open(place, _NEW, 0o600), "wb", buffering=0)


class UnpackError(Exception):
    """The archive is refused; `member` names the entry, or is None for the whole."""

    def __init__(self, reason: str, member: str | None = None) -> None:
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


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what an archive may hold; sizes in bytes.

    `ratio` (unpacked to packed) counts only once `ratio_from` bytes were unpacked: weights
    that are all zero are small and honest.
    """

    unpacked: int = 64 << 30
    members: int = 10_000
    ratio: int = 200
    ratio_from: int = 64 << 20
    code: bool = False


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was written: number of files and their bytes."""

    files: int
    size: int


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
        done = _extract(archive, _Draft(draft, create), limits or Limits(), stop)
        draft.rename(target)
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError("does not fit: the disk is full") from error
        raise UnpackError(f"could not be written: {error.strerror or error}") from error
    else:
        return done
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Draft:
    """The directory being filled, and how files are made in it."""

    folder: Path
    create: Opener


def _extract(
    archive: Path, draft: _Draft, limits: Limits, stop: threading.Event | None
) -> Unpacked:
    packed = archive.stat().st_size
    if packed == 0:
        raise UnpackError("the archive is empty (0 bytes)")
    try:
        with igzip.open(archive, "rb") as plain:
            source = _Metered(plain, packed, limits, stop)
            done = _members(source, draft, limits)
    except _DAMAGED as error:
        raise UnpackError(_gzip_reason(archive)) from error
    except EOFError as error:
        raise UnpackError(_gzip_reason(archive, "truncated: it ends too early")) from error
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise UnpackError(f"the archive is not a sound tar file: {error}") from error
    if done.files == 0:
        raise UnpackError("the archive holds no file")
    return done


def _gzip_reason(archive: Path, what: str = "damaged: its gzip data is corrupt") -> str:
    """Why the archive's gzip data cannot be read, `what` unless a look tells more."""
    with archive.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return "the archive is not gzip; pack it with mmectl upload or tar -czf"
        file.seek(0)
        if _is_followed(file):
            return "other data follows the archive: its gzip data ends before the file does"
    return f"the archive is {what}"


def _is_followed(file: IO[bytes]) -> bool:
    """Whether something that is no gzip stands behind whole gzip data."""
    inflate = isal_zlib.decompressobj(wbits=31)
    data = file.read(_CHUNK)
    try:
        while data:
            inflate.decompress(data, _CHUNK)
            data = inflate.unconsumed_tail or (b"" if inflate.eof else file.read(_CHUNK))
            if inflate.eof:  # zeros are padding, another gzip header goes on
                data = inflate.unused_data.lstrip(b"\0") or file.read(_CHUNK).lstrip(b"\0")
                if data and not data.startswith(b"\x1f\x8b"):
                    return True
                inflate = isal_zlib.decompressobj(wbits=31)
    except _DAMAGED:
        pass
    return False


class _Metered:
    """The unpacked stream, counting bytes against the limits."""

    def __init__(
        self, file: IO[bytes], packed: int, limits: Limits, stop: threading.Event | None
    ) -> None:
        self._file = file
        self._packed = packed
        self._limits = limits
        self._stop = stop
        self._count = 0

    def read(self, size: int) -> bytes:
        if self._stop is not None and self._stop.is_set():
            raise StoppedError("was not unpacked: the instance is being stopped")
        data = self._file.read(size)
        self._count += len(data)
        # the tar's own blocks and padding come on top of the files
        if self._count > self._limits.unpacked + (1 << 20):
            raise TooLargeError(f"the archive unpacks to more than {self._limits.unpacked} bytes")
        if self._count > max(self._limits.ratio_from, self._limits.ratio * self._packed):
            raise BombError(
                f"the archive swells more than {self._limits.ratio} times when it is unpacked"
            )
        return data


class _Header(tarfile.TarInfo):
    """A tar header whose extensions are of a sane size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """As in the standard library; UnpackError for an extension that would fill memory."""
        header = super().frombuf(buf, encoding, errors)
        if header.type in _IN_MEMORY and header.size > _LONGEST_HEADER:
            raise UnpackError(f"the archive has a header of {header.size} bytes")
        return header


def _drain(rest: IO[bytes]) -> None:
    """Read to the end: checks gzip's checksum and that only padding follows the tar."""
    while data := rest.read(_CHUNK):
        if data.strip(b"\0"):
            raise UnpackError("the archive has other data after its end")


def _members(source: _Metered, draft: _Draft, limits: Limits) -> Unpacked:
    files = size = 0
    seen: set[PurePosixPath] = set()
    with tarfile.open(fileobj=source, mode="r|", bufsize=_CHUNK, tarinfo=_Header) as tar:  # type: ignore[call-overload]
        for number, member in enumerate(tar, 1):
            if number > limits.members:
                raise BombError(f"the archive has more than {limits.members} entries")
            path = _path(member)
            if member.isdir():
                _below(draft.folder, path).mkdir(mode=0o700, parents=True, exist_ok=True)
                continue
            _refuse(member, path, limits)
            if path in seen:
                raise UnpackError("stands in the archive twice", member.name)
            seen.add(path)
            size += member.size
            if size > limits.unpacked:
                raise TooLargeError(f"exceeds the {limits.unpacked} bytes allowed", member.name)
            _write(tar, member, _below(draft.folder, path), draft.create)
            files += 1
        # what tarfile has read ahead belongs to the rest
        _drain(tar.fileobj)
    return Unpacked(files, size)


def _path(member: tarfile.TarInfo) -> PurePosixPath:
    """The member's path inside the directory, or UnpackError."""
    name = member.name
    if not name.isprintable():
        raise UnpackError("has a name with unprintable characters", name)
    if name.startswith("/"):
        raise UnpackError("has an absolute path", name)
    path = PurePosixPath(name)
    if ".." in path.parts:
        raise UnpackError("leads out of the model's directory ('..')", name)
    return path


def _refuse(member: tarfile.TarInfo, path: PurePosixPath, limits: Limits) -> None:
    """Raise UnpackError for anything but a plain file that is data."""
    if member.issym() or member.islnk():
        raise UnpackError("is a link; pack the file itself", member.name)
    if not member.isreg():
        raise UnpackError("is not a plain file", member.name)
    if member.issparse():
        words = "is not a plain file: it is stored sparse: pack it without -S (--sparse)"
        raise UnpackError(words, member.name)
    if limits.code:
        return
    if CODE_FILE.search(path.name):
        raise UnpackError("is code, which the model server would execute", member.name)
    if path.parts[0].upper() == "MAR-INF":
        # a manifest names the handler that the server runs instead of the image's
        raise UnpackError("would replace the image's handler", member.name)


def _below(folder: Path, path: PurePosixPath) -> Path:
    place = folder.joinpath(*path.parts)
    if len(os.fsencode(place)) > 4000 or any(len(os.fsencode(p)) > 255 for p in path.parts):
        raise UnpackError("has a name that is too long", str(path)[:80] + "...")
    return place


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path, create: Opener) -> None:
    source = tar.extractfile(member)
    if source is None:
        raise UnpackError("is not a plain file", member.name)
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        out = create(place)
    except (FileExistsError, NotADirectoryError) as error:
        raise UnpackError("is a file and a directory at once", member.name) from error
    with out:
        _copy(source.read, out.write, member.size)


def _copy(read: Callable[[int], bytes], write: Callable[[bytes], int | None], size: int) -> None:
    while size:
        data = read(min(size, _CHUNK))
        if not data:
            raise EOFError
        write(data)
        size -= len(data)

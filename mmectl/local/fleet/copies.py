"""Unpacks an archive once: what lies on an instance is copied to others, and under other names.

A copy is files of its own, so that what a model writes into its folder is in no other model's. File
systems that can (XFS, Btrfs) share the blocks until then; elsewhere the kernel copies, at a sixth
of inflating's cost. A folder in which a file was changed is not copied. Where models may bring
code, each is unpacked.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mmectl.archive.unpack import (
    FULL,
    DiskFullError,
    Limits,
    StoppedError,
    TooLargeError,
    Unpacked,
    unpack,
)
from mmectl.base.files import copy_range
from mmectl.local.fleet.ports import Unpack

_MOST_FILES = 200  # of a model that is remembered; real ones have a few
_MOST_FOLDERS = 3  # of one archive
_PIECE = 1 << 24  # bytes between two looks whether to stop
# whatever a model put in a file's place: no link is followed, no pipe waited for
_OLD = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW

Copy = Callable[[int, int, int, int], int]
"""See `copy_range`."""


def unpack_fresh(archive: Path, folder: Path, limits: Limits, stop: threading.Event) -> Unpacked:
    """Unpack where an earlier try may have left files."""
    shutil.rmtree(folder, ignore_errors=True)
    return unpack(archive, folder, limits, stop)


class _ChangedError(Exception):
    """A file is not any more what was unpacked."""


@dataclass(frozen=True, slots=True)
class _Stamp:
    """A file as it was unpacked."""

    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> _Stamp:
        return cls(stat.st_ino, stat.st_size, stat.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class _Original:
    """A folder with what an archive unpacked to; `files` and `folders` by their place in it."""

    root: Path
    unpacked: Unpacked
    folders: tuple[Path, ...]
    files: dict[Path, _Stamp]


class Copies:
    """An `Unpack` that copies what it unpacked before; for any number of threads.

    `most` is the number of archives whose folders are remembered.
    """

    def __init__(
        self, unpacker: Unpack = unpack_fresh, copy: Copy = copy_range, most: int = 1000
    ) -> None:
        self._unpacker = unpacker
        self._copy = copy
        self._most = most
        self._originals: dict[tuple[int, ...], tuple[_Original, ...]] = {}
        self._lock = threading.Lock()

    def __call__(
        self, archive: Path, folder: Path, limits: Limits, stop: threading.Event
    ) -> Unpacked:
        """Unpack or copy into a folder, whole or not at all; raises UnpackError."""
        key = _identity(archive)
        if limits.code or key is None:
            return self._unpacker(archive, folder, limits, stop)
        with self._lock:
            known = self._originals.get(key, ())
        done = None
        while known and (done := self._copied(known[0], folder, limits, stop)) is None:
            known = known[1:]  # it has gone, or was changed
        if done is None:
            done = self._unpacker(archive, folder, limits, stop)
        self._remember(key, folder, done, known)
        return done

    def _copied(
        self, original: _Original, folder: Path, limits: Limits, stop: threading.Event
    ) -> Unpacked | None:
        """Copy into `folder`; None where the original has gone, or was changed."""
        if original.unpacked.disk > limits.unpacked:
            raise TooLargeError(f"the archive unpacks to more than {limits.unpacked} bytes")
        try:
            with _draft(folder) as draft:
                for one in original.folders:
                    (draft / one).mkdir(mode=0o700)
                for name, stamp in original.files.items():
                    _write(original.root / name, draft / name, stamp, stop, self._copy)
                shutil.rmtree(folder, ignore_errors=True)
                draft.rename(folder)
        except OSError as error:
            if error.errno in FULL:
                raise DiskFullError("does not fit: the disk is full") from error
            return None
        except _ChangedError:
            return None
        return original.unpacked

    def _remember(
        self, key: tuple[int, ...], folder: Path, done: Unpacked, known: tuple[_Original, ...]
    ) -> None:
        if done.files > _MOST_FILES:
            return
        folders, files = _looked_at(folder)
        newest = _Original(folder, done, folders, files)
        others = [one for one in known if one.root != folder]
        with self._lock:
            self._originals.pop(key, None)
            self._originals[key] = (newest, *others)[:_MOST_FOLDERS]
            if len(self._originals) > self._most:
                del self._originals[next(iter(self._originals))]


def _identity(archive: Path) -> tuple[int, ...] | None:
    """What an object is known by; copies of one within the platform are names of one file."""
    try:
        stat = archive.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _looked_at(root: Path) -> tuple[tuple[Path, ...], dict[Path, _Stamp]]:
    folders, files = [], {}
    for place, within, names in os.walk(root):
        here = Path(place)
        folders += [(here / name).relative_to(root) for name in within]
        for name in names:
            path = here / name
            files[path.relative_to(root)] = _Stamp.of(path.lstat())
    return tuple(folders), files


@contextlib.contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".unpack-", dir=folder.parent))
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write(source: Path, target: Path, stamp: _Stamp, stop: threading.Event, copy: Copy) -> None:
    """Copy one file; raises _ChangedError unless it is what the stamp says, before and after."""
    with _opened(source, _OLD) as reader, _opened(target, _NEW) as writer:
        _check(reader, stamp)
        done = 0
        while done < stamp.size:
            if stop.is_set():
                raise StoppedError("was not unpacked: the instance is being stopped")
            moved = copy(reader, writer, min(_PIECE, stamp.size - done), done)
            if not moved:
                raise _ChangedError
            done += moved
        _check(reader, stamp)


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def _check(file: int, stamp: _Stamp) -> None:
    if _Stamp.of(os.fstat(file)) != stamp:
        raise _ChangedError

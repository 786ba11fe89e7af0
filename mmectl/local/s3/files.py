"""Files on their way into the object store: written, flushed, renamed; or gone."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mmectl.local.values import AwsError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
Opener = Callable[[Path], BinaryIO]


def create(path: Path) -> BinaryIO:
    """A new file, unbuffered: pieces are large already."""
    return path.open("xb", buffering=0)


class Incoming:
    """A file on its way in; removed again unless it is kept."""

    def __init__(self, path: Path, target: Path, opener: Opener) -> None:
        self._path, self._target = path, target
        self._file = opener(path)
        self.name = target.name

    def write(self, data: bytes) -> None:
        """Append all of it; a full disk is an AwsError."""
        view = memoryview(data)
        with disk_full():
            while view:
                view = view[self._file.write(view) or 0 :]

    def append(self, source: Path, offset: int, count: int) -> None:
        """Append a piece of another file, inside the kernel where it can (reflink)."""
        with disk_full(), source.open("rb", buffering=0) as reader:
            while count:
                moved = _copy_range(reader.fileno(), self._file.fileno(), count, offset)
                if not moved:
                    break
                offset, count = offset + moved, count - moved

    def keep(self) -> str:
        """Flush to the disk and give it its final name."""
        with disk_full():
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.rename(self._target)
        return self.name

    def discard(self) -> None:
        """Remove what was not kept."""
        with suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)


def _copy_range(source: int, target: int, count: int, offset: int) -> int:
    try:
        return os.copy_file_range(source, target, count, offset)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        return os.write(target, os.pread(source, min(count, 1 << 20), offset))


@contextmanager
def disk_full() -> Iterator[None]:
    """Turn a full disk into an answer that says so."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise _full(str(error.strerror)) from None
    except sqlite3.OperationalError as error:
        if "full" not in str(error):
            raise
        raise _full(str(error)) from None


def _full(why: str) -> AwsError:
    return AwsError(
        "StorageFull",
        f"The platform cannot store this: {why}. Nothing of it was kept; free some space.",
        507,
    )

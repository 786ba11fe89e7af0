"""Files on their way into the object store: written, flushed, renamed; or gone."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mmectl.base.files import copy_range
from mmectl.local.values import AwsError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DISK_FULL = "platform_disk_full"  # code of the PlatformError that says so
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
                moved = copy_range(reader.fileno(), self._file.fileno(), count, offset)
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


def is_full(error: BaseException) -> bool:
    """Whether that is for want of room on the disk."""
    if isinstance(error, sqlite3.OperationalError):
        return "full" in str(error)
    return isinstance(error, OSError) and error.errno in FULL


@contextmanager
def disk_full() -> Iterator[None]:
    """Turn a full disk into an answer that says so."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        if not is_full(error):
            raise
        raise _full(getattr(error, "strerror", None) or str(error)) from None


def _full(why: str) -> AwsError:
    return AwsError(
        "StorageFull",
        f"The platform cannot store this: {why}. Nothing of it was kept; free some space.",
        507,
    )

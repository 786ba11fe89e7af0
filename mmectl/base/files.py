"""Files on this machine's disk: written whole or not at all, JSON between commands, locks.

Standard library only: the supervisor of the embedded platform imports it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pwd
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmectl.base import os_errors
from mmectl.base.errors import ArtifactError

_POLL = 0.05  # seconds between two tries to lock


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner alone; raises OSError.

    Readers and a killed writer see the old file or the new one. Of two writers the last one wins.
    """
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def user_name(number: int) -> str:
    """A user by name; by number where it has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def other_owner(path: Path) -> str | None:
    """Who owns a file or folder; None where that is us, or nobody can say."""
    with contextlib.suppress(OSError):
        owner = path.stat().st_uid
        return None if owner == os.geteuid() else user_name(owner)
    return None


def write_json(path: Path, value: Any, *, indent: int | None = None) -> None:
    """Write a JSON value as `write_whole`, into a folder that is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(path, json.dumps(value, indent=indent))


def read_json(path: Path) -> Any:
    """The JSON value of a file; None where it is missing, cannot be read or is none."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads(path.read_bytes())
    return None


def copy_range(source: int, target: int, count: int, offset: int) -> int:
    """Copy bytes of one open file to the position of another; how many were, 0 at the end.

    Within the kernel where it can, on XFS and Btrfs by sharing blocks (reflink). Raises OSError.
    """
    try:
        return os.copy_file_range(source, target, count, offset)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        return os.write(target, os.pread(source, min(count, 1 << 20), offset))


class JsonFile:
    """A cache between commands: read again only where the file changed.

    A file that cannot be read is empty, one that cannot be written costs nothing but time.
    Without a file nothing is kept.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: tuple[tuple[int, ...], Any] = (), None

    @property
    def there(self) -> bool:
        """Whether anything can be kept."""
        return self._file is not None

    def read(self) -> Any:
        """The JSON value, not to be changed; None where there is none."""
        stamp = self._stamp()
        if stamp != self._known[0]:
            self._known = stamp, self._load()
        return self._known[1] if stamp else None

    def _load(self) -> Any:
        return None if self._file is None else read_json(self._file)

    def _stamp(self) -> tuple[int, ...]:
        """Tells one file from the next that takes its place; () where there is none."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                state = self._file.stat()
                return state.st_ino, state.st_mtime_ns, state.st_size
        return ()

    def write(self, value: Any) -> None:
        """Put a JSON value in its place, if that can be done."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                write_json(self._file, value)


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[int]:
    """Hold the lock of a file, after another process that holds it; `waiting` is called then.

    Yields the descriptor: a child that inherits it holds the lock, too. A lock ends with the
    processes that hold it, however they end. Its holder may remove the file. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = _flock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        handle = _flock(path, fcntl.LOCK_EX)
    try:
        yield handle
    finally:
        os.close(handle)


def lock_for_good(path: Path, seconds: float) -> bool:
    """Lock a file until this process ends; False where another holds it for `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            _flock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL)
        else:
            return True


def _flock(path: Path, operation: int) -> int:
    """A descriptor with the lock of the file that is at `path` once it is locked."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, operation)
            if _is_at(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # who held it has removed it: others lock the next file of that name


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def writing(path: Path, hint: str | None = None) -> Iterator[None]:
    """Say of what is written at `path` why it cannot be: ArtifactError for OSError.

    `hint` is what to do; None: what the error tells.
    """
    try:
        yield
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be written: {error.strerror}",
            hint=hint or os_errors.hint(error, path.absolute().parent),
            code="unwritable_file",
        ) from error

"""Writes the files of a new project: all of them or none, and never over anything."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mmectl.base.errors import MmectlError, UsageError

_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file to write: `path` relative to the project, its bytes or the file that it is copied of.

    `link`: that file and this one are to be one and the same, where the file system can.
    """

    path: str
    content: bytes | Path
    link: bool = False


class CannotWrite(MmectlError):
    """A file of a new project cannot be written; nothing is left of the others."""

    code = "unwritable_file"


def refuse_existing(folder: Path, names: Iterable[str], hint: str | None) -> None:
    """Raise UsageError that names whatever exists of `names`, and each folder that is none."""
    problems = dict.fromkeys(filter(None, (_in_the_way(folder, name) for name in names)))
    if problems:
        raise UsageError("\n".join(problems), hint=hint, code="exists")


def _in_the_way(folder: Path, name: str) -> str | None:
    path = folder / name
    for parent in reversed(path.parents):
        if os.path.lexists(parent) and not parent.is_dir():
            return f"{parent} is no folder: nothing can be written below it"
    if path.is_symlink():
        return f"{path} is a symbolic link, and is not overwritten"
    return f"{path} exists, and is not overwritten" if path.exists() else None


def write(
    folder: Path,
    entries: Sequence[Entry],
    *,
    replaced: tuple[Path, bytes] | None = None,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Write the files, the last one last; what stands is taken away again if anything fails.

    `replaced` is a file that gets other bytes. `check` looks at the whole before the last file is
    written. Raises CannotWrite, UsageError for a file that came meanwhile, and what `check` raises.
    """
    with _taken_back() as made:
        try:
            for entry in entries[:-1]:
                _write(folder, entry, made)
            check()
            if replaced is not None:
                _replace(*replaced, made)
            for entry in entries[-1:]:
                _write(folder, entry, made)
        except FileExistsError as error:
            raise UsageError(
                f"{error.filename} exists, and is not overwritten", code="exists"
            ) from None
        except OSError as error:
            raise CannotWrite(
                f"{error.filename or folder.absolute()} cannot be written: {error.strerror}",
                hint=_WAYS.get(error.errno, "name a folder that you may write: mmectl init FOLDER"),
            ) from None


_FREE = "free some space, or name a folder of another disk: mmectl init FOLDER"
_WAYS: Mapping[int | None, str] = {errno.ENOSPC: _FREE, errno.EDQUOT: _FREE}
Undo = Callable[[], object]


@contextmanager
def _taken_back() -> Iterator[list[Undo]]:
    """Collect how to undo each step, and do so where the block fails."""
    made: list[Undo] = []
    try:
        yield made
    except BaseException:
        for undo in reversed(made):
            with suppress(OSError):
                undo()
        raise


def _write(folder: Path, entry: Entry, made: list[Undo]) -> None:
    path = folder / entry.path
    _make_folder(path.parent, made)
    if isinstance(entry.content, Path) and entry.link and _linked(entry.content, path):
        made.append(path.unlink)
        return
    with path.open("xb") as file:
        made.append(path.unlink)
        if isinstance(entry.content, bytes):
            file.write(entry.content)
            return
        with entry.content.open("rb") as source:
            shutil.copyfileobj(source, file, 1 << 20)
    if entry.content.stat().st_mode & 0o100:
        path.chmod(path.stat().st_mode | 0o111)


def _linked(source: Path, path: Path) -> bool:
    try:
        os.link(source, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def _make_folder(folder: Path, made: list[Undo]) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent, made)
    folder.mkdir()
    made.append(folder.rmdir)


def _replace(path: Path, content: bytes, made: list[Undo]) -> None:
    """Give a file other bytes, in one step; its mode stays."""
    before, mode = path.read_bytes(), path.stat().st_mode

    def put(some: bytes) -> None:
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            with draft.open("xb") as file:
                file.write(some)
            draft.chmod(mode)
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    made.append(lambda: put(before))
    put(content)

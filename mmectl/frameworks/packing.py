"""What of a model's folder may be packed, file by file; the rest is the framework's concern.

Most frameworks' models are flat, with plain names. Those of scripts and of handlers may have
folders (`code/`), files of any printable name in them, and empty files.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmectl.base.values import CODE_FILE
from mmectl.frameworks.base import Problem
from mmectl.frameworks.folders import left_behind

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,98}")
_NAME_BYTES, _PATH_BYTES = 255, 4000
# what is unpacked at most (archive.unpack.Limits)
MOST_FILES, MOST_FOLDERS, DEEPEST = 10_000, 1_000, 16
# torch.onnx.export writes one beside a model all of whose tensors are in it
_MAY_BE_EMPTY = ".onnx.data"
_LINK = ("is a symbolic link", "put the file itself there")


@dataclass(frozen=True, slots=True)
class Entries:
    """What lies in a folder: by relative name what is to be packed, and what is `left` out."""

    files: Sequence[str]
    left: Sequence[Path]
    deep: bool = False
    too_many: Problem | None = None

    def problems(self, folder: Path, *, allow_code: bool) -> dict[str, Problem]:
        """By name what is wrong with files as such."""
        found: dict[str, Problem] = {} if self.too_many is None else {"": self.too_many}
        for name in self.files:
            path = folder / name
            wrong = _kind(path, self.deep) or (_deep if self.deep else _flat)(name)
            if wrong is None and CODE_FILE.search(path.name) and not allow_code:
                what = _PATHS if path.suffix.lower() == ".pth" else _code(self.deep)
                found[name] = Problem(str(path), *what, code="model_code")
                continue
            some = self.deep or name.endswith(_MAY_BE_EMPTY)
            if wrong is None and not some and path.lstat().st_size == 0:
                wrong = "is empty", "write it again or remove it"
            if wrong is not None:
                found[name] = Problem(str(path), *wrong)
        return found


def flat(paths: Sequence[Path]) -> Entries:
    """The entries of a folder that may hold files alone."""
    left = [path for path in paths if left_behind(path.name)]
    return Entries([path.name for path in paths if not left_behind(path.name)], left)


def nested(folder: Path) -> Entries:
    """All files below a folder; links to folders are not followed."""
    files: list[str] = []
    left: list[Path] = []
    folders = 0
    for here, inner, names in os.walk(folder):
        path = Path(here)
        links = [name for name in inner if (path / name).is_symlink()]
        left += sorted(path / name for name in (*inner, *names) if left_behind(name))
        inner[:] = sorted(n for n in inner if not left_behind(n) and n not in links)
        kept = [name for name in (*names, *links) if not left_behind(name)]
        files += ((path / name).relative_to(folder).as_posix() for name in kept)
        if path != folder and not kept and not inner:
            left.append(path)
        folders += len(inner)
        if len(files) > MOST_FILES or folders > MOST_FOLDERS:
            what = f"holds more than {MOST_FILES:,} files or {MOST_FOLDERS:,} folders"
            many = Problem(str(folder), what, "no instance would unpack it: pack some into one")
            return Entries((), left, deep=True, too_many=many)
    return Entries(sorted(files), left, deep=True)


Wrong = tuple[str, str]


def _kind(path: Path, deep: bool) -> Wrong | None:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return _LINK
    if stat.S_ISDIR(mode) and not deep:
        fix = "the container looks in the root only; move its files up or remove it"
        return "is a folder inside the model folder", fix
    return None if stat.S_ISREG(mode) else ("is not a regular file", "remove it")


def _flat(name: str) -> Wrong | None:
    if _NAME.fullmatch(name):
        return None
    fix = "use at most 99 letters, digits and . _ + -, not beginning with a dot; or remove it"
    return "has an unusual file name", fix


def _deep(name: str) -> Wrong | None:
    parts = name.split("/")
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        return "has a name that is not UTF-8", "give it another name"
    if not name.isprintable() or max(sizes) > _NAME_BYTES or sum(sizes) > _PATH_BYTES:
        return "has an unusual file name", "use printable letters, at most 255 bytes a name"
    if len(parts) - 1 > DEEPEST:
        return f"lies more than {DEEPEST} folders deep", "no instance would unpack it: move it up"
    return None


# a checkpoint of PyTorch's may have that ending, too
_PATHS = (
    "is code by its ending: Python runs such files at its start",
    "call it .pt where it is PyTorch's, else remove it",
)


def _code(deep: bool) -> Wrong:
    if deep:
        fix = "where you trust whoever wrote it: --allow-code; the endpoint must allow it, too"
        return "is code, which the endpoint could run", fix
    return "is code, which Multi Model Server would run", "remove it from the model folder"

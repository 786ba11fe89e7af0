"""Is a folder a model that the container can serve? Every problem at once, before any upload.

What makes a file or a folder one that may be packed is the same for all frameworks; the rest is the
look of the framework that the folder is for. Multi Model Server puts a model's folder on Python's
path, so that code lying there runs (``json.py``, ``sitecustomize.py``): code is refused unless
asked for.
"""

from __future__ import annotations

import dataclasses
import re
import stat
from collections.abc import Collection, Sequence
from pathlib import Path

from mmectl.base.errors import ArtifactError
from mmectl.base.values import CODE_FILE
from mmectl.frameworks import detect
from mmectl.frameworks.base import Look, Place, Problem, printable, summed
from mmectl.frameworks.folders import inside, left_behind
from mmectl.frameworks.values import ModelError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,98}")


def look(folder: Path, *, allow_code: bool = False, framework: str | None = None) -> Look:
    """Look at a folder that is to be packed: everything that keeps it from being served.

    What it lacks comes first, then what of it is wrong. Notes say what stays out of the tarball.
    `framework` is the name that config.yaml gives it.
    """
    try:
        paths = sorted(folder.iterdir())
    except FileNotFoundError:
        return _nothing(folder, "does not exist", "name the folder of a model")
    except NotADirectoryError:
        return _nothing(folder, "is not a folder", "name the folder that holds the model")
    except OSError as error:
        return _nothing(folder, "cannot be read", str(error.strerror))
    left = [path for path in paths if left_behind(path.name)]
    paths = [path for path in paths if not left_behind(path.name)]
    if not paths:
        return _nothing(folder, "is empty", "name the folder that holds the model")
    if (root := inside(folder)) != folder:
        return _nothing(folder, "holds only a folder", f"name {root} instead")
    bad = {path.name: problem for path in paths if (problem := _entry(path, allow_code))}
    usable = [path.name for path in paths if path.name not in bad]
    found = _of_framework(Place(folder), usable, bad, framework, allow_code)
    notes = [printable(f"{path}: is left out: it is no part of a model") for path in left]
    return dataclasses.replace(
        found, problems=(*found.problems, *bad.values()), notes=(*notes, *found.notes)
    )


def look_at_tarball(
    folder: Path, name: str, *, allow_code: bool = True, framework: str | None = None
) -> Look:
    """Look at what was unpacked of the tarball `name`, as the container does.

    What it does not read has no say; see `left_out`.
    """
    root = inside(folder)
    names = sorted(path.name for path in root.iterdir() if path.is_file())
    return _of_framework(Place(root, name, folder), names, (), framework, allow_code)


def _of_framework(
    place: Place, names: Sequence[str], bad: Collection[str], wanted: str | None, allow_code: bool
) -> Look:
    """The look of the framework; a file that is `bad` as such is named once, not as missing too."""
    try:
        framework = detect.of(place.folder, wanted)
    except ModelError as error:
        return Look() if detect.resembles(bad) else Look((place.problem(error),))
    found = framework.look(place, names, bad=bad, allow_code=allow_code)
    return dataclasses.replace(found, framework=framework.name)


def _nothing(folder: Path, what: str, fix: str) -> Look:
    return Look((Problem(str(folder), what, fix),))


def _entry(path: Path, allow_code: bool) -> Problem | None:
    """What is wrong with one directory entry of a folder that is to be packed."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return Problem(str(path), "is a symbolic link", "put the file itself there")
    if stat.S_ISDIR(mode):
        return Problem(
            str(path),
            "is a folder inside the model folder",
            "the container looks in the root only; move its files up or remove it",
        )
    if not stat.S_ISREG(mode):
        return Problem(str(path), "is not a regular file", "remove it")
    if not _NAME.fullmatch(path.name):
        return Problem(
            str(path),
            "has an unusual file name",
            "use at most 99 letters, digits and . _ + -, not beginning with a dot; or remove it",
        )
    if CODE_FILE.search(path.name) and not allow_code:
        return Problem(
            str(path),
            "is code, which Multi Model Server would run",
            "remove it from the model folder",
        )
    if path.lstat().st_size == 0:
        return Problem(str(path), "is empty", "write it again or remove it")
    return None


def left_out(folder: Path) -> tuple[str, ...]:
    """Notes on what `packing.members` does not take of a folder that was a tarball's."""
    left = [path for path in folder.iterdir() if left_behind(path.name) or not path.is_file()]
    return tuple(printable(f"{path.name}: is left out: nothing reads it") for path in sorted(left))


def check(folder: Path, *, allow_code: bool = False) -> tuple[Problem, ...]:
    """Everything that keeps the folder from being served; empty where it is a model."""
    return look(folder, allow_code=allow_code).problems


def require(folder: Path, *, allow_code: bool = False) -> None:
    """Raise ArtifactError (code ``bad_model``) where the folder is no model; see `refuse`."""
    refuse(look(folder, allow_code=allow_code))


def refuse(found: Look) -> None:
    """Raise ArtifactError (code ``bad_model``) naming its problems, of many the first few."""
    if found.problems:
        raise ArtifactError(
            "\n".join(summed([str(problem) for problem in found.problems])),
            hint=_holds(found.framework),
            code="bad_model",
        )


def _holds(framework: str) -> str:
    """What a model folder holds."""
    if framework:
        return detect.named(framework).holds
    listed = "; ".join(f"{one.name}: {', '.join(one.files)}" for one in detect.known())
    return f"a model folder holds the files of one framework ({listed})"

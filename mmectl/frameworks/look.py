"""Is a folder a model that the container can serve? Every problem at once, before any upload.

What makes a file or a folder one that may be packed is the same for all frameworks; the rest is the
look of the framework that the folder is for. Multi Model Server puts a model's folder on Python's
path, so that code lying there runs (``json.py``, ``sitecustomize.py``): code is refused unless
asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmectl.base.errors import ArtifactError
from mmectl.frameworks import detect, packing
from mmectl.frameworks.base import BAD, Look, Place, Problem, printable, summed
from mmectl.frameworks.detect import Rest
from mmectl.frameworks.folders import inside, left_behind
from mmectl.frameworks.values import ModelError


def look(
    folder: Path,
    *,
    allow_code: bool = False,
    framework: str | None = None,
    rest: Rest = Rest.NONE,
) -> Look:
    """Look at a folder that is to be packed: everything that keeps it from being served.

    What it lacks comes first, then what of it is wrong. Notes say what stays out of the tarball.
    `framework` is the name that config.yaml gives it; `rest` as in `detect.of`.
    """
    try:
        paths = sorted(folder.iterdir())
    except FileNotFoundError:
        return _nothing(folder, "does not exist", "name the folder of a model")
    except NotADirectoryError:
        return _nothing(folder, "is not a folder", "name the folder that holds the model")
    except OSError as error:
        return _nothing(folder, "cannot be read", str(error.strerror))
    if all(left_behind(path.name) for path in paths):
        return _nothing(folder, "is empty", "name the folder that holds the model")
    wish = Wish(framework, rest, allow_code)
    deep = _is_nested(folder, wish)
    if not deep and (root := inside(folder)) != folder:
        return _nothing(folder, "holds only a folder", f"name {root} instead")
    entries = packing.nested(folder) if deep else packing.flat(paths)
    bad = entries.problems(folder, allow_code=allow_code)
    usable = [name for name in entries.files if name not in bad]
    found = _of_framework(Place(folder), usable, bad, wish)
    notes = [printable(f"{path}: is left out: it is no part of a model") for path in entries.left]
    return dataclasses.replace(
        found, problems=(*found.problems, *bad.values()), notes=(*notes, *found.notes)
    )


def look_at_tarball(
    folder: Path,
    name: str,
    *,
    allow_code: bool = True,
    framework: str | None = None,
    rest: Rest = Rest.NONE,
) -> Look:
    """Look at what was unpacked of the tarball `name`, as the container does.

    What it does not read has no say; see `left_out`.
    """
    wish = Wish(framework, rest, allow_code)
    if _is_nested(folder, wish):
        return _of_framework(Place(folder, name), packing.nested(folder).files, (), wish)
    root = inside(folder)
    paths = (path for path in root.iterdir() if path.is_file())
    names = sorted(path.name for path in paths if not left_behind(path.name))
    return _of_framework(Place(root, name, folder), names, (), wish)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is said of a model beside its files; see `look`."""

    framework: str | None
    rest: Rest
    allow_code: bool


def is_nested(folder: Path, framework: str | None = None, *, rest: Rest = Rest.NONE) -> bool:
    """Whether the folders inside a model's folder are a part of the model; False in doubt."""
    return _is_nested(folder, Wish(framework, rest, allow_code=False))


def _is_nested(folder: Path, wish: Wish) -> bool:
    try:
        return detect.of(folder, wish.framework, rest=wish.rest).nested
    except (ModelError, OSError):
        return False


def _of_framework(place: Place, names: Sequence[str], bad: Collection[str], wish: Wish) -> Look:
    """The look of the framework; a file that is `bad` as such is named once, not as missing too."""
    try:
        framework = detect.of(place.folder, wish.framework, rest=wish.rest)
    except ModelError as error:
        return Look() if detect.resembles(bad) else Look((place.problem(error),))
    found = framework.look(place, names, bad=bad, allow_code=wish.allow_code)
    return dataclasses.replace(found, framework=framework.name)


def _nothing(folder: Path, what: str, fix: str) -> Look:
    return Look((Problem(str(folder), what, fix),))


def left_out(folder: Path, *, deep: bool = False) -> tuple[str, ...]:
    """Notes on what `pack.members` does not take of a folder that was a tarball's."""
    left = [path for path in folder.iterdir() if left_behind(path.name) or not path.is_file()]
    left = sorted(packing.nested(folder).left if deep else left)
    names = (path.relative_to(folder) for path in left)
    return tuple(printable(f"{name}: is left out: nothing reads it") for name in names)


def check(folder: Path, *, allow_code: bool = False) -> tuple[Problem, ...]:
    """Everything that keeps the folder from being served; empty where it is a model."""
    return look(folder, allow_code=allow_code).problems


def require(folder: Path, *, allow_code: bool = False) -> None:
    """Raise ArtifactError where the folder is no model; see `refuse`."""
    refuse(look(folder, allow_code=allow_code))


def refuse(found: Look) -> None:
    """Raise ArtifactError naming its problems, of many the first few; see `code_of`."""
    if found.problems:
        code = code_of(found.problems)
        raise ArtifactError(
            "\n".join(summed([str(problem) for problem in found.problems])),
            hint=_holds(found.framework, code),
            code=code,
        )


def code_of(problems: Sequence[Problem]) -> str:
    """The code that all of them have, ``bad_model`` where they differ."""
    codes = {problem.code for problem in problems}
    return codes.pop() if len(codes) == 1 else BAD


def _holds(framework: str, code: str) -> str:
    """What a model folder holds; where its problem lists that already, what else there is."""
    if framework:
        return detect.named(framework).holds
    if code == detect.UnknownError.code:
        return "any other model is served by a script of yours beside it: inference.py"
    listed = "; ".join(f"{one.name}: {', '.join(one.files)}" for one in detect.known())
    return f"a model folder holds the files of one framework ({listed})"

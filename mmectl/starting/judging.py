"""Whether a folder is a model that the upload takes, and why one is not; nothing of it is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmectl.frameworks import detect, look
from mmectl.frameworks.base import Framework, Problem, printable
from mmectl.frameworks.folders import describe
from mmectl.frameworks.values import ModelError

MOST_FILES = 200  # of a folder that may be a model's by its content; a script's may have more
READ = 1 << 28  # bytes of a model that are read to check it


@dataclass(frozen=True, slots=True)
class Model:
    """A model's folder or tarball, relative to the project.

    `named`: its files do not tell the framework. `code`: its owner has to allow that it runs.
    `packed`: it is a tarball.
    """

    name: str
    path: str
    framework: str
    named: bool = False
    code: bool = False
    packed: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """A path that looks like a model and is not taken; a `flag` would take it."""

    path: str
    why: str
    flag: str = ""

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.why}")


def judged(folder: Path, shown: str, framework: str | None) -> Model | Left | None:
    """A folder as a model, why it is none though it looks like one, or None."""
    try:
        found = framework_of(folder, framework)
        if found is None:
            return None
        one, named = found
        if _bytes(folder) <= READ:
            return _checked(folder, shown, one.name, one.name if named else None)
    except ModelError as error:
        return Left(shown, said(error), error.fix if error.fix.startswith("--") else "")
    except OSError as error:
        return Left(shown, f"cannot be read: {error.strerror}")
    if one.code:
        return Left(shown, "is too large to be looked at here: add it to models by hand")
    return Model("", shown, one.name, named)


def said(error: ModelError) -> str:
    """A reader's words with the fix."""
    return f"{error}: {error.fix}" if error.fix else str(error)


def framework_of(folder: Path, wanted: str | None) -> tuple[Framework, bool] | None:
    """The framework of a folder, and whether `wanted` had to tell it; None for no model.

    Raises ModelError where several may be meant, or the folder's own words are wrong.
    """
    if (name := describe(folder).framework) is not None:
        return None if name == detect.ANY else (detect.of(folder), False)
    some = detect.matching(folder)
    if len(some) < 2:
        return (some[0], False) if some else None
    for one in some:
        if one.name == wanted:
            return one, True
    names = [one.name for one in some]
    raise ModelError(f"may be for {' or '.join(names)}", "", f"--framework {names[0]}")


def _checked(folder: Path, shown: str, framework: str, named: str | None) -> Model | Left:
    plain = look.look(folder, framework=named).problems
    code = bool(plain) and not look.look(folder, allow_code=True, framework=named).problems
    if plain and not code:
        return Left(shown, _problem(plain[0], folder))
    return Model("", shown, framework, named is not None, code)


def _problem(problem: Problem, folder: Path) -> str:
    text = str(problem)
    return text.removeprefix(f"{folder}/").removeprefix(f"{folder}: ")


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in _some(folder))


def _some(folder: Path) -> Iterator[Path]:
    for number, path in enumerate(folder.iterdir()):
        if number > MOST_FILES:
            return
        if path.is_file():
            yield path

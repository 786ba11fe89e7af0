"""What lies in the folder of a project to be: models, a script, a Dockerfile; nothing is run.

The look is bounded: four folders deep, so many folders, so many files of one folder, so many
seconds. What it leaves out is told with the reason.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmectl.config.loading import CONTEXT_FILES
from mmectl.config.project import FILE_NAME
from mmectl.frameworks import detect, look
from mmectl.frameworks.base import Framework, Problem, printable
from mmectl.frameworks.custom import model_files as scripts
from mmectl.frameworks.folders import describe, left_behind, looked_at_once
from mmectl.frameworks.values import ModelError
from mmectl.starting.names import model_name

DEEPEST, MOST_FOLDERS, MOST_MODELS = 4, 2_000, 200
MOST_FILES = 200  # of a folder that may be a model's by its content; a script's may have more
SECONDS = 5.0
READ = 1 << 30  # bytes of a model that are read to check it
_NO_MODELS = {"node_modules", "site-packages", "venv", "env", "dist", "build", "tests", "test"}
_HANDLER = "handler"


@dataclass(frozen=True, slots=True)
class Model:
    """A model folder, relative to the project; `code`: its owner has to allow that it runs.

    `named`: its files do not tell the framework.
    """

    name: str
    path: str
    framework: str
    named: bool = False
    code: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """A path that looks like a model and is not taken; a `flag` would take it."""

    path: str
    why: str
    flag: str = ""

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.why}")


@dataclass(frozen=True, slots=True)
class Found:
    """What there is. `dockerfile` is the folder of one; `container`: a context beside the file."""

    models: tuple[Model, ...] = ()
    left: tuple[Left, ...] = ()
    files: tuple[str, ...] = ()
    handler: str | None = None
    dockerfile: str | None = None
    container: bool = False
    notes: tuple[str, ...] = ()


@dataclass
class Bounds:
    """How much is looked at, and whether that is used up."""

    clock: Callable[[], float] = time.monotonic
    folders: int = MOST_FOLDERS
    seconds: float = SECONDS
    ends: float = field(init=False)

    def __post_init__(self) -> None:
        self.ends = self.clock() + self.seconds

    @property
    def used_up(self) -> bool:
        """Whether nothing more is looked at."""
        return self.folders <= 0 or self.clock() > self.ends


@dataclass(frozen=True, slots=True)
class _Here:
    """One folder: what of it counts, by name."""

    path: Path
    shown: str
    files: Sequence[str]
    folders: Sequence[str]


def look_around(top: Path, framework: str | None, bounds: Bounds | None = None) -> Found:
    """Look at a folder and those in it; at nothing where it is to be made.

    `framework` is that of models whose files do not tell.
    """
    if not top.is_dir():
        return Found()
    walk = _Walk(top, framework, bounds or Bounds())
    with looked_at_once():
        walk.run()
    return walk.found()


class _Walk:
    """Folder by folder, the upper ones first."""

    def __init__(self, top: Path, framework: str | None, bounds: Bounds) -> None:
        self._top, self._framework, self._bounds = top, framework, bounds
        self._seen: set[tuple[int, int]] = set()
        self._models: dict[str, Model] = {}
        self._left: list[Left] = []
        self._notes: list[str] = []
        self._files: tuple[str, ...] = ()
        self._handler: str | None = None
        self._dockerfile: str | None = None
        self._container = False

    def found(self) -> Found:
        """What the walk found."""
        return Found(
            tuple(sorted(self._models.values(), key=lambda one: one.path)),
            tuple(self._left),
            self._files,
            self._handler,
            self._dockerfile,
            self._container,
            tuple(map(printable, self._notes)),
        )

    def run(self) -> None:
        """Walk. A folder that is a model is not gone into."""
        queue: list[tuple[Path, int]] = [(self._top, 0)]
        while queue:
            path, depth = queue.pop(0)
            if self._bounds.used_up or len(self._models) >= MOST_MODELS:
                where = self._shown(path)
                self._notes.append(f"{where}: the look ended here: add further models by hand")
                return
            here = self._read(path)
            if here is None or self._is_something(here):
                continue
            if depth < DEEPEST:
                queue += [(path / name, depth + 1) for name in here.folders]

    def _shown(self, path: Path) -> str:
        return path.relative_to(self._top).as_posix()

    def _read(self, path: Path) -> _Here | None:
        """What a folder holds; None where it was seen already, or cannot be read."""
        self._bounds.folders -= 1
        try:
            state = path.stat()
            if (state.st_dev, state.st_ino) in self._seen:
                return None
            self._seen.add((state.st_dev, state.st_ino))
            with os.scandir(path) as held:
                entries = sorted((e for e in held if not left_behind(e.name)), key=lambda e: e.name)
                folders = [e.name for e in entries if e.is_dir() and e.name not in _NO_MODELS]
                files = [e.name for e in entries if e.is_file()]
        except OSError as error:
            self._notes.append(f"{self._shown(path)}: cannot be looked at: {error.strerror}")
            return None
        return _Here(path, self._shown(path), files, folders)

    def _is_something(self, here: _Here) -> bool:
        """Note what a folder is, where it is anything."""
        if here.path == self._top:
            self._files = tuple(here.files)
            self._dockerfile = "." if "Dockerfile" in here.files else None
            return False
        if "pyvenv.cfg" in here.files:
            return True
        if here.shown == "container" and set(CONTEXT_FILES) & set(here.files):
            self._container = True
            return True
        if FILE_NAME in here.files:
            self._notes.append(f"{here.shown}/ has a {FILE_NAME} of its own: not looked at")
            return True
        if here.shown == _HANDLER and scripts.SCRIPT in here.files:
            self._handler = here.shown
            return True
        if "Dockerfile" in here.files:
            self._dockerfile = self._dockerfile or here.shown
        return self._is_model(here)

    def _is_model(self, here: _Here) -> bool:
        script = any((here.path / name).is_file() for name in scripts.IN_MODEL)
        if not script and (not here.files or len(here.files) > MOST_FILES):
            return False
        found = judged(here.path, here.shown, self._framework)
        if isinstance(found, Left):
            self._left.append(found)
        elif found is not None:
            parent, _, own = here.shown.rpartition("/")
            name = model_name(own, self._models, parent.replace("/", "-"))
            self._models[name] = Model(name, here.shown, found.framework, found.named, found.code)
        return found is not None


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

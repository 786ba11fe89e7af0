"""What lies in the folder of a project to be: models, a script, a Dockerfile; nothing is run.

The look is bounded: four folders deep, so many folders, so many files of one folder, so many
seconds. What it leaves out is told with the reason.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from mmectl.config.loading import CONTEXT_FILES
from mmectl.config.project import FILE_NAME
from mmectl.frameworks import detect
from mmectl.frameworks.base import printable, some
from mmectl.frameworks.custom import model_files as scripts
from mmectl.frameworks.folders import left_behind, looked_at_once
from mmectl.starting import tarballs
from mmectl.starting.judging import MOST_FILES, Left, Model, judged
from mmectl.starting.names import model_name

DEEPEST, MOST_FOLDERS, MOST_MODELS = 4, 2_000, 200
MOST_ENTRIES = 50_000  # of one folder
SECONDS = 20.0
_NO_MODELS = {"node_modules", "site-packages", "venv", "env", "dist", "build", "tests", "test"}
_HANDLER = "handler"


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
                kept = (e for e in islice(held, MOST_ENTRIES) if not left_behind(e.name))
                entries = sorted(kept, key=lambda e: e.name)
                folders = [e.name for e in entries if e.is_dir() and e.name not in _NO_MODELS]
                files = [e.name for e in entries if e.is_file()]
        except OSError as error:
            self._notes.append(f"{self._shown(path)}: cannot be looked at: {error.strerror}")
            return None
        closed = [name for name in files if not os.access(path / name, os.R_OK)]
        if detect.resembles(closed):
            shown = self._shown(path / some(closed))
            self._notes.append(f"{shown}: cannot be read: Permission denied")
        return _Here(path, self._shown(path), files, folders)

    def _is_something(self, here: _Here) -> bool:
        """Note what a folder is, where it is anything."""
        self._add_tarballs(here)
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
        self._note(found)
        return found is not None

    def _add_tarballs(self, here: _Here) -> None:
        packed = [name for name in here.files if name.endswith(tarballs.ENDINGS)]
        for name in packed[: tarballs.MOST]:
            if not self._bounds.used_up:
                shown = name if here.path == self._top else f"{here.shown}/{name}"
                self._note(tarballs.judged(here.path / name, shown, self._framework))

    def _note(self, found: Model | Left | None) -> None:
        if isinstance(found, Left):
            self._left.append(found)
        elif found is not None:
            parent, _, own = found.path.rpartition("/")
            name = model_name(own, self._models, parent.replace("/", "-"))
            self._models[name] = replace(found, name=name)

"""Model files and a script that lie in the project itself, where models are folders of their own.

Which files are one model's is told by trying each alone: a folder with a link to it, made and
removed where temporary files are. Nothing of the project is written.
"""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmectl.frameworks import detect, expected
from mmectl.frameworks.base import Framework, Look, Place
from mmectl.frameworks.custom import model_files as custom
from mmectl.frameworks.custom import scripts
from mmectl.frameworks.folders import DESCRIPTION, EXPECTED
from mmectl.frameworks.packing import Entries
from mmectl.frameworks.pictures import SYNSET
from mmectl.frameworks.values import ModelError
from mmectl.starting.judging import MOST_FILES, Left, framework_of, said
from mmectl.starting.names import model_name

_MOST_MODULES = 50


@dataclass(frozen=True, slots=True)
class Loose:
    """Files of the project, by name, that are one model; see looking.Model."""

    name: str
    framework: str
    files: tuple[str, ...]
    named: bool = False
    code: bool = False


def loose_models(
    top: Path, files: Sequence[str], wanted: str | None, taken: Collection[str]
) -> tuple[list[Loose], list[Left]]:
    """The models among the files of the project, and what looks like one and cannot be taken."""
    if len(files) > MOST_FILES:
        return [], [Left(".", f"has more than {MOST_FILES} files: none was looked at")]
    models: dict[tuple[str, str], list[str]] = {}
    left, named = [], set[str]()
    for file in files:
        if file in (DESCRIPTION, EXPECTED, SYNSET, custom.SCRIPT):
            continue
        try:
            found = _alone(top, file, wanted)
        except ModelError as error:
            left.append(Left(file, said(error)))
            continue
        if found is not None:
            models.setdefault((found[0].name, found[0].model_of(file)), []).append(file)
            named |= {file} if found[1] else set()
    made: list[Loose] = []
    for (framework, base), own in models.items():
        names = [*own, *_companions(top, files, own, alone=len(models) == 1)]
        name = model_name(base, {*taken, *(one.name for one in made)}, framework)
        told = framework if named & set(own) else None
        judged = _judged(top, Loose(name, framework, tuple(names), told is not None))
        (made if isinstance(judged, Loose) else left).append(judged)  # type: ignore[arg-type]
    return made, left


def _alone(top: Path, file: str, wanted: str | None) -> tuple[Framework, bool] | None:
    with tempfile.TemporaryDirectory(prefix="mmectl-") as scratch:
        Path(scratch, file).symlink_to(top.absolute() / file)
        return framework_of(Path(scratch), wanted)


def _companions(
    top: Path, files: Sequence[str], own: Sequence[str], *, alone: bool
) -> Iterator[str]:
    """Files that belong to a model's: its external data, and what the only model may have more."""
    starts = tuple(f"{name}{mark}" for name in own for mark in "._-")
    yield from (name for name in files if name.startswith(starts) and name not in own)
    if not alone:
        return
    yield from (name for name in (DESCRIPTION, SYNSET, EXPECTED) if name in files)
    try:
        asked = {one.file.name for one in expected.read(top, inside=True)}
    except Exception:  # noqa: BLE001
        return
    yield from sorted(asked & set(files))


def _judged(top: Path, model: Loose) -> Loose | Left:
    """Whether the upload takes these files as a folder; with the owner's permission or without."""
    plain = _problems(top, model, allow_code=False)
    if not plain:
        return model
    if not _problems(top, model, allow_code=True):
        return Loose(model.name, model.framework, model.files, model.named, code=True)
    return Left(model.files[0], plain[0])


def _problems(top: Path, model: Loose, *, allow_code: bool) -> list[str]:
    packed = Entries(model.files, ()).problems(top, allow_code=allow_code)
    with tempfile.TemporaryDirectory(prefix="mmectl-") as scratch:
        for name in model.files:
            Path(scratch, name).symlink_to(top.absolute() / name)
        place = Place(Path(scratch))
        found = _look(place, model, allow_code=allow_code)
    texts = [str(one) for one in (*found.problems, *packed.values())]
    return [text.replace(f"{scratch}/", "").replace(f"{top}/", "") for text in texts]


def _look(place: Place, model: Loose, *, allow_code: bool) -> Look:
    try:
        one = detect.named(model.framework)
        return one.look(place, sorted(model.files), bad=(), allow_code=allow_code)
    except ModelError as error:
        return Look((place.problem(error),))


def script_files(top: Path, files: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """inference.py of the project with what it imports of it, and why it serves no model."""
    if custom.SCRIPT not in files:
        return (), None
    try:
        if (wrong := scripts.problem((top / custom.SCRIPT).read_bytes())) is not None:
            return (), wrong[0]
        found, packages = _imported(top, set(files))
    except OSError as error:
        return (), f"cannot be read: {error.strerror}"
    if packages:
        return (), f"imports the folder {packages[0]}/: put both into a folder handler/"
    more = [custom.REQUIREMENTS] if custom.REQUIREMENTS in files else []
    return (*found, *more), None


def _imported(top: Path, files: Collection[str]) -> tuple[list[str], list[str]]:
    """inference.py with the modules beside it that it needs, and folders that it imports."""
    found, waiting, packages = list[str](), [custom.SCRIPT], set[str]()
    while waiting and len(found) < _MOST_MODULES:
        name = waiting.pop(0)
        found.append(name)
        modules = set(_modules((top / name).read_bytes()))
        waiting += sorted(({f"{one}.py" for one in modules} & set(files)) - {*found, *waiting})
        packages |= {one for one in modules if (top / one).is_dir()}
    return found, sorted(packages)


def _modules(source: bytes) -> Iterator[str]:
    """The first names of what a script imports; none of what is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.module.partition(".")[0]
            elif node.level:
                yield from (alias.name for alias in node.names)

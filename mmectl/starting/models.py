"""The models of a project to be: folders that are there, loose files, a script."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mmectl.base.errors import ArtifactError, BuildError
from mmectl.frameworks import detect, expected
from mmectl.frameworks.base import printable
from mmectl.images import handler
from mmectl.starting.asking import Ask
from mmectl.starting.judging import Left, Model
from mmectl.starting.looking import Found
from mmectl.starting.loose import Loose, loose_models, script_files
from mmectl.starting.values import HANDLER, MODELS, Start
from mmectl.starting.wishes import Wish, put
from mmectl.starting.writing import Entry

_CODE = "is code, which the endpoint would run, and its owner did not allow"


def add_models(start: Start, wish: Wish, found: Found, ask: Ask) -> None:
    """Model folders that are there, loose model files, and a script."""
    image = start.values.get("image") or {}
    if found.handler is not None and not image:
        _handler(start, wish.folder / found.handler, found.handler)
    elif not image or wish.eject:
        _script(start, wish, found, ask)
    for model in found.models:
        if _may_run(start, model, model.path, wish, ask):
            key = "source" if model.packed else "path"
            add(start, model.name, model.path, model.framework, named=model.named, key=key)
            _question(start, model.name, wish.folder / model.path, model.path)
    taken = [one["name"] for one in start.models]
    files = _unlinked(wish.folder, found)
    loose, left = loose_models(wish.folder, files, wish.framework, taken)
    start.left += left
    for one in loose:
        if _may_run(start, one, one.files[0], wish, ask):
            _loose(start, wish, one, ask)


def _may_run(start: Start, model: Model | Loose, path: str, wish: Wish, ask: Ask) -> bool:
    """Whether a model may be taken: data, or code that its owner allows; notes which."""
    handled = bool((start.values.get("image") or {}).get("handler"))
    if not model.code or (handled and model.framework not in detect.claiming()):
        return True  # a handler of the image opens it, not its framework
    allowed = wish.allow_code if wish.allow_code is not None else _trusted(path, ask)
    start.code |= allowed
    if not allowed:
        start.left.append(Left(path, _CODE, "--allow-code"))
    return allowed


def _trusted(path: str, ask: Ask) -> bool:
    question = f"{printable(path)} is code, which the endpoint would run. Do you trust it?"
    return ask.confirm(question, default=False)


def add(
    start: Start, name: str, path: str, framework: str, *, named: bool = False, key: str = "path"
) -> None:
    """Add a model to those of config.yaml; `named`: with its framework, which its files lack.

    `key` is "path" for a folder, "source" for a tarball.
    """
    told = {"framework": framework} if named else {}
    start.models.append({"name": name, key: path, **told, "#": framework})


def _question(start: Start, name: str, folder: Path, shown: str) -> None:
    """Note a request to a model, where its folder has one."""
    try:
        asked = [one.file for one in expected.read(folder)]
    except (ArtifactError, OSError):
        return
    if asked and asked[0].parent == folder:
        start.questions[name] = f"{shown}/{asked[0].name}"


def _loose(start: Start, wish: Wish, model: Loose, ask: Ask) -> None:
    """A folder of its own for files that lie in the project: the same files, by hard links."""
    path = f"{MODELS}/{model.name}"
    shown = ", ".join(model.files[:3]) + (", ..." if len(model.files) > 3 else "")
    put_there = f"link {printable(shown)} into {path}/, as a model is a folder"
    if (wish.folder / path).exists():
        start.left.append(Left(model.files[0], f"{path}/ exists already: remove one of them"))
    elif wish.link if wish.link is not None else ask.confirm(f"{_upper(put_there)}?", default=True):
        start.entries += _links(wish.folder, path, model.files)
        add(start, model.name, path, model.framework, named=model.named)
    else:
        start.left.append(Left(model.files[0], "lies loose, and a model is a folder", "--link"))


def _unlinked(folder: Path, found: Found) -> list[str]:
    """The files of the project without those that a model's folder has by hard links already."""
    held = {
        (state.st_dev, state.st_ino)
        for model in found.models
        if not model.packed
        for path in (folder / model.path).iterdir()
        if (state := path.lstat())
    }
    stats = ((name, (folder / name).stat()) for name in found.files)
    return [name for name, state in stats if (state.st_dev, state.st_ino) not in held]


def _are_there(folder: Path, path: str, files: Sequence[str]) -> bool:
    """Whether these very files were linked before."""
    pairs = ((folder / path / name, folder / name) for name in files)
    return all(there.exists() and there.samefile(own) for there, own in pairs)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _links(folder: Path, path: str, files: Sequence[str]) -> list[Entry]:
    return [Entry(f"{path}/{name}", folder / name, link=True) for name in files]


def _handler(start: Start, folder: Path, shown: str) -> None:
    """A folder with a handler, where `build` takes it."""
    try:
        handler.read(folder, shown)
    except BuildError as error:
        start.notes.append(f"{error.message.splitlines()[0]}: it is not used")
    else:
        put(start.values, "image.handler", shown)


def _refused(top: Path, files: Sequence[str]) -> str | None:
    """Why `build` would refuse a folder of these files; None where it takes it."""
    with tempfile.TemporaryDirectory(prefix="mmectl-") as scratch:
        try:
            for name in files:
                shutil.copyfile(top / name, Path(scratch, name))
            handler.read(Path(scratch), HANDLER)
        except BuildError as error:
            return error.message.splitlines()[0].removeprefix("image.handler: ")
        except OSError as error:
            return f"cannot be read: {error.strerror}"
    return None


def _script(start: Start, wish: Wish, found: Found, ask: Ask) -> None:
    """inference.py of the project as the handler of all models."""
    files, wrong = script_files(wish.folder, found.files)
    wrong = wrong or (_refused(wish.folder, files) if files else None)
    if wrong is not None:
        start.notes.append(f"inference.py: {wrong}: it is not used")
    elif files and _are_there(wish.folder, HANDLER, files):
        put(start.values, "image.handler", HANDLER)
    elif files and (wish.folder / HANDLER).exists():
        start.notes.append(f"inference.py: {HANDLER}/ exists already: it is not used")
    elif files:
        put_there = f"link {', '.join(files)} into {HANDLER}/, to serve all models"
        wanted = wish.link
        if wanted if wanted is not None else ask.confirm(f"{_upper(put_there)}?", default=True):
            start.entries += _links(wish.folder, HANDLER, files)
            put(start.values, "image.handler", HANDLER)
        else:
            start.notes.append(f"inference.py: is not used; to use it, {put_there}")

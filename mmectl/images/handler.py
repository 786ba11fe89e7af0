"""The folder of `image.handler`: what of it goes into the image, and whether it would serve.

It lies in the container at HANDLER, where runtimes/custom looks for it. Its requirements.txt is
installed as `image.requirements` are.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmectl.base.errors import BuildError
from mmectl.frameworks.base import printable, summed
from mmectl.frameworks.custom import model_files, scripts
from mmectl.frameworks.folders import left_behind

PLACE = f"runtimes/custom/{model_files.HANDLER}"  # in the container's folder
LARGE = 100 * 2**20
# PEP 508 without addresses and options of the installer
REQUIREMENT = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._, -]+\])?\s*"
    r"((===?|[<>!~]=|[<>])\s*[A-Za-z0-9.*+!_-]+\s*,?\s*)*(;[^|\n\r]*)?"
)
_COMMENT = re.compile(r"(^|\s)#.*")
_COMPILED = (".pyc", ".pyo")


@dataclass(frozen=True, slots=True)
class Handler:
    """The files of a handler's folder by relative name, and the packages that it asks for."""

    files: Mapping[str, Path] = field(hash=False)
    requirements: tuple[str, ...]
    digest: str
    notes: tuple[str, ...] = ()


def digest_of(files: Mapping[str, Path]) -> str:
    """Digest names and bytes (hex)."""
    whole = hashlib.sha256()
    for name, path in sorted(files.items()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{name}\0{content}\n".encode())
    return whole.hexdigest()


def read(folder: Path, shown: str) -> Handler:
    """Read a handler's folder; `shown` is what people call it. Raises BuildError ``bad_handler``.

    Every problem is told at once. Nothing of it is run.
    """
    try:
        left = tuple(_left(folder))
        files = dict(_files(folder))
        problems = [*_problems(folder, files), *_bad_requirements(folder)]
    except OSError as error:
        raise BuildError(
            f"image.handler: {shown} cannot be read: {error.strerror}", code="unreadable_file"
        ) from error
    if problems:
        said = [printable(f"image.handler: {shown}/{text}") for text in problems]
        raise BuildError(
            "\n".join(summed(said)),
            hint=f"correct the folder {shown}: {scripts.WRITE}",
            code="bad_handler",
        )
    notes = [*(f"{name}: is left out" for name in left), *_notes(files)]
    told = tuple(printable(f"{shown}/{note}") for note in notes)
    listed = tuple(line for _, line in _lines(folder))
    return Handler(files, listed, digest_of(files), told)


def _left(folder: Path) -> Iterator[str]:
    """What is no part of it: hidden files, .git among them, what editors and systems leave."""
    yield from (p.name for p in sorted(folder.iterdir()) if left_behind(p.name))


def _files(folder: Path, prefix: str = "") -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.iterdir()):
        if left_behind(path.name) or path.suffix in _COMPILED:
            continue
        name = f"{prefix}{path.name}"
        if path.is_dir() and not path.is_symlink():
            yield from _files(path, f"{name}/")
        else:
            yield name, path


def _problems(folder: Path, files: Mapping[str, Path]) -> Iterator[str]:
    for name, path in files.items():
        if path.is_symlink():
            yield f"{name}: is a symbolic link: put the file itself there"
        elif not path.is_file():
            yield f"{name}: is not a regular file: remove it"
        elif not name.isprintable():
            yield f"{name}: has a name that cannot be printed: give it another one"
    if other := model_files.taken(folder):
        yield f"{other}: has the name of a module of the server's: give it another one"
    script = folder / model_files.SCRIPT
    if model_files.SCRIPT not in files:
        yield f"{model_files.SCRIPT}: is missing: {scripts.WRITE}"
    elif script.is_file() and not script.is_symlink():
        yield from _worded(model_files.SCRIPT, scripts.problem(script.read_bytes()))
    for name, path in files.items():
        if name.endswith(".py") and name != model_files.SCRIPT and path.is_file():
            yield from _worded(name, scripts.syntax(path.read_bytes()))


def _worded(name: str, wrong: tuple[str, str] | None) -> Iterator[str]:
    if wrong is not None:
        yield f"{name}: {wrong[0]}: {wrong[1]}"


def _notes(files: Mapping[str, Path]) -> Iterator[str]:
    size = sum(path.stat().st_size for path in files.values())
    if size > LARGE:
        what = f"has {size // 2**20:,} MB, which each instance fetches with the image"
        yield f": {what}: what only one model needs belongs into the model"
    for name in files:
        if "/" not in name and name.endswith(".py") and name[:-3] in sys.stdlib_module_names:
            yield f"{name}: has the name of a module of Python's own, which may be imported instead"


def _lines(folder: Path) -> Iterator[tuple[int, str]]:
    path = folder / model_files.REQUIREMENTS
    if not path.is_file():
        return
    text = path.read_bytes().decode("utf-8-sig", "replace")
    for number, line in enumerate(text.splitlines(), 1):
        if kept := _COMMENT.sub("", line).strip():
            yield number, kept


def _bad_requirements(folder: Path) -> Iterator[str]:
    for number, line in _lines(folder):
        if not REQUIREMENT.fullmatch(line):
            what = f"{line[:60]!r} is not a package with its version, such as pandas==2.3.3"
            yield f"{model_files.REQUIREMENTS}:{number}: {what}"

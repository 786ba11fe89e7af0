"""The runtimes of this container, and which of them a model folder is for.

A runtime is a package beside this file with a module `runtime`; nothing names it elsewhere.
"""

from __future__ import annotations

import functools
import importlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

from runtimes import folders
from runtimes.base import Runtime
from runtimes.values import ModelError

HERE = Path(__file__).resolve().parent


@functools.lru_cache(maxsize=1)
def known() -> tuple[Runtime, ...]:
    """All runtimes, installed or not, by name."""
    names = sorted(path.parent.name for path in HERE.glob("*/runtime.py"))
    return tuple(importlib.import_module(f"runtimes.{name}.runtime").RUNTIME for name in names)


@functools.lru_cache(maxsize=1)
def installed() -> tuple[Runtime, ...]:
    """The runtimes whose frameworks are in this container."""
    return tuple(runtime for runtime in known() if runtime.installed())


def of(folder: Path, runtimes: tuple[Runtime, ...] | None = None) -> Runtime:
    """Tell which runtime a model folder is for: as its model.json says, else by its files.

    Where nothing is known of it and one runtime alone is installed, that takes it: its load says
    what is missing. Raises ModelError.
    """
    candidates = known() if runtimes is None else runtimes
    there = [one for one in candidates if one.installed()] if runtimes else [*installed()]
    found = _meant(folder, candidates)
    if found is None:
        usual = [one for one in there if not one.claims]
        if len(usual) == 1:
            return usual[0]
        wanted = "; ".join(f"{one.name}: {', '.join(one.files)}" for one in there)
        raise ModelError(f"holds no file of a framework of this image ({wanted})")
    if found not in there:
        raise ModelError(
            f"this image serves {_names(there)}; the model is {found.name}: add it to "
            "image.frameworks, build and deploy"
        )
    return found


def _meant(folder: Path, candidates: tuple[Runtime, ...]) -> Runtime | None:
    named = folders.describe(folder).framework
    if named is not None:
        anything = named == folders.ANYTHING
        found = [one for one in candidates if one.name == named or (anything and one.claims)]
        if not found:
            what = f"names the framework {named!r}, known are {_names(candidates)}"
            raise ModelError(what, folders.DESCRIPTION)
        return found[0]
    found = [runtime for runtime in candidates if runtime.detect(folder)]
    found = [one for one in found if one.claims] or found
    if len(found) > 1:
        what = f"may be for {' or '.join(one.name for one in found)}"
        raise ModelError(what, "", f'say which in {folders.DESCRIPTION}: {{"framework": "NAME"}}')
    return found[0] if found else None


def _names(runtimes: Iterable[Runtime]) -> str:
    return ", ".join(one.name for one in runtimes) or "nothing"


def rehearse() -> None:
    """Import, before any fork, what it takes to tell folders apart: each runtime looks at one."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "file").write_bytes(b"of nobody")
        for runtime in known():
            runtime.detect(Path(folder))


def template_files(runtimes: tuple[Runtime, ...]) -> str:
    """Write the runtimes' template files as the launcher reads them (launcher.TEMPLATE_FILES)."""
    return " ".join(",".join(one.template_files) for one in runtimes if one.template_files)

"""The frameworks that mmectl knows, and which of them a model folder is for, by what it holds.

A framework is a package beside this file with a module `framework`; nothing names it elsewhere.
"""

from __future__ import annotations

import difflib
import fnmatch
import functools
import importlib
import itertools
import json
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path

from mmectl.frameworks import folders, foreign
from mmectl.frameworks.anything import Anything
from mmectl.frameworks.base import Framework
from mmectl.frameworks.values import ModelError

HERE = Path(__file__).absolute().parent
ANY = folders.ANYTHING


class AmbiguousError(ModelError):
    """The folder may be for several frameworks."""

    code = "model_ambiguous_framework"


class UnknownError(ModelError):
    """The folder is for no framework that is known."""

    code = "model_unknown_framework"


class Rest(Enum):
    """Which of the models that name no framework are ANY."""

    NONE = "none: mmectl's own container"
    UNKNOWN = "those that are no known framework's: a container that mmectl does not know"
    ALL = "all but those with a script: a container with a handler of its owner's"


def names() -> tuple[str, ...]:
    """The names of all frameworks, sorted; imports none of them."""
    return tuple(sorted(path.parent.name for path in HERE.glob("*/framework.py")))


@functools.cache
def named(name: str) -> Framework:
    """The framework of that name, which is one of `names` or ANY."""
    if name == ANY:
        return Anything()
    found: Framework = importlib.import_module(f"mmectl.frameworks.{name}.framework").FRAMEWORK
    return found


def known() -> tuple[Framework, ...]:
    """All frameworks, by name."""
    return tuple(named(name) for name in names())


def claiming() -> tuple[str, ...]:
    """The names of those that take a folder whatever other framework's files are in it."""
    return tuple(one.name for one in known() if one.claims)


def without_signature() -> tuple[str, ...]:
    """The names of those whose models say nothing of what they take: a handler reads requests."""
    return (*claiming(), ANY)


def unknown(name: str) -> str | None:
    """Why that is no name of a framework or ANY, with the near miss; None where it is one."""
    if name in names() or name == ANY:
        return None
    near = difflib.get_close_matches(name, names(), 1, 0.6)
    meant = f": did you mean {near[0]}?" if near else ""
    return f"is {name!r}, known are {', '.join(names())}{meant}"


def of(
    folder: Path,
    wanted: str | None = None,
    candidates: Sequence[Framework] | None = None,
    *,
    rest: Rest = Rest.NONE,
) -> Framework:
    """Tell which framework a model folder is for: as `wanted` or model.json says, or by content.

    Raises ModelError.
    """
    some = known() if candidates is None else tuple(candidates)
    described = folders.describe(folder).framework
    if wanted and described and wanted != described:
        what = f"names the framework {described}, config.yaml names {wanted}"
        raise ModelError(what, folders.DESCRIPTION, "correct one of them")
    if name := wanted or described:
        return named(ANY) if name == ANY else _by_name(name, some)
    found = matching(folder, some)
    if rest is Rest.ALL and not any(one.claims for one in found):
        return named(ANY)
    if rest is Rest.UNKNOWN and not found:
        return named(ANY)
    if len(found) > 1:
        raise AmbiguousError(
            f"may be for {' or '.join(one.name for one in found)}",
            "",
            "say which: models[].framework in config.yaml, or a file "
            f'{folders.DESCRIPTION} beside it with {{"framework": "{found[0].name}"}}',
        )
    if not found:
        raise _unknown(folder, some)
    return found[0]


def _unknown(folder: Path, candidates: Sequence[Framework]) -> UnknownError:
    """The error of a folder that none of the frameworks takes: by its names, or by its content."""
    held = [path.name for path in folders.files(folder)]
    shown = ", ".join(held[:8]) or "no file"
    what = f"holds no model of a known framework: it holds {shown}"
    for one, name in itertools.product(candidates, held):
        if _is_named_as(one, name):
            fix = f"{name} has the name of a file of {one.name}, not its content: save it again"
            return UnknownError(what, "", fix)
    for name in held:
        if (found := foreign.way(name)) is not None:
            return UnknownError(what, "", f"{name} is {found[0]}: {found[1]}")
    wanted = "; ".join(f"{one.name}: {', '.join(one.files)}" for one in candidates)
    return UnknownError(what, "", f"give the files their usual names ({wanted})")


def _is_named_as(framework: Framework, name: str) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in framework.files)


def matching(folder: Path, candidates: Sequence[Framework] | None = None) -> list[Framework]:
    """The frameworks that a model folder may be for, by its files alone."""
    some = known() if candidates is None else candidates
    found = [one for one in some if one.detect(folder)]
    return [one for one in found if one.claims] or found


def _by_name(name: str, candidates: Sequence[Framework]) -> Framework:
    for one in candidates:
        if one.name == name:
            return one
    listed = ", ".join(one.name for one in candidates)
    raise UnknownError(f"names the framework {name!r}", folders.DESCRIPTION, f"known are {listed}")


def resembles(names: Iterable[str]) -> bool:
    """Whether one of these names is that of a well-known file of a framework."""
    return any(_is_named_as(one, name) for name in names for one in known())


def described_by(folder: Path, wanted: str | None) -> bytes | None:
    """A model.json that the folder needs beside its files, so that the container serves `wanted`.

    None where its own files tell already. Raises ModelError where another file has that name.
    """
    if wanted in (None, ANY) or folders.describe(folder).framework == wanted:
        return None
    try:
        if of(folder).name == wanted:
            return None
    except ModelError:
        pass
    if (folders.inside(folder) / folders.DESCRIPTION).exists():
        raise ModelError(
            f"is a file of the model: {wanted} cannot be named there",
            folders.DESCRIPTION,
            "give that file another name",
        )
    return json.dumps({"framework": wanted}).encode() + b"\n"

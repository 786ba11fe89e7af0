"""What any model folder is made of, and model.json, in which its owner may describe it; pure.

::

    {"framework": "sklearn", "method": "predict_proba"}

A model.json without `framework` is no description: XGBoost's users call a model so. ``"isolation":
"model"`` gives the model a process of its own, where small ones share one. The other keys are the
framework's options. mmectl reads folders by this very module.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

# relative: mmectl/frameworks links here, and beside it to these values
from .values import ModelError

DESCRIPTION, EXPECTED = "model.json", "expected.json"
KEY = b'"framework"'
# the framework of any folder, in a container with a handler of its owner's for all models
ANYTHING = "any"
# auto: as its size and format allow; model: a process of its own
AUTO, MODEL = "auto", "model"
# Files that systems and editors leave beside others, AppleDouble's ._<name> among them
_LEFT_BEHIND = {"__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini"}
_FORM = '{"framework": "NAME"}'
_LARGEST = 1 << 20
_FIRST_BYTES = 512


_Look = TypeVar("_Look", bound="Callable[..., Any]")
_seen: dict[Any, Any] | None = None


@contextlib.contextmanager
def looked_at_once() -> Iterator[None]:
    """Take what model folders hold as unchanged until the end of the block.

    Every framework looks at a folder, and the load does so again: some twenty times in all.
    """
    global _seen
    before, _seen = _seen, {} if _seen is None else _seen
    try:
        yield
    finally:
        _seen = before


def once(look: _Look) -> _Look:
    """Remember what a look found, inside of `looked_at_once`."""

    @functools.wraps(look)
    def looked(*arguments: Any) -> Any:
        if _seen is None:
            return look(*arguments)
        key = (look.__name__, *arguments)
        if key not in _seen:
            _seen[key] = look(*arguments)
        return _seen[key]

    return looked  # type: ignore[return-value]


def left_behind(name: str) -> bool:
    """Whether a file of that name is no part of a model: hidden, or an editor's or system's."""
    edited = name.endswith("~") or (name.startswith("#") and name.endswith("#"))
    return name.startswith(".") or name in _LEFT_BEHIND or edited


@once
def inside(folder: Path) -> Path:
    """The folder that holds the files: the only one in `folder` where there is nothing else."""
    while True:
        held = [path for path in folder.iterdir() if not left_behind(path.name)]
        if len(held) != 1 or held[0].is_symlink() or not held[0].is_dir():
            return folder
        folder = held[0]


def files(folder: Path) -> list[Path]:
    """The files at the top of a model folder that may be a framework's, sorted by name."""
    return list(_files(folder))


@once
def _files(folder: Path) -> tuple[Path, ...]:
    held = sorted(p for p in inside(folder).iterdir() if p.is_file() and not left_behind(p.name))
    return tuple(path for path in held if path.name != EXPECTED and not _describes(path))


def _describes(path: Path) -> bool:
    try:
        return path.name == DESCRIPTION and _described(path) is not None
    except ModelError:
        return True


def single(folder: Path, is_model: Callable[[Path], bool], whose: str, fix: str) -> Path:
    """The one file at the top of a folder that is a model.

    `whose` files these are, and how to make one (`fix`), is said where there is none. Raises
    ModelError.
    """
    held = files(folder)
    found = [path for path in held if is_model(path)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(path.name for path in found)
        raise ModelError(f"holds {len(found)} models, {listed}", "", "keep one of them")
    listed = ", ".join(path.name for path in held[:8]) or "nothing"
    raise ModelError(f"holds no file of {whose}: it holds {listed}", "", fix)


@once
def first_bytes(path: Path, count: int = _FIRST_BYTES) -> bytes:
    """How a file begins; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError:
        return b""


@dataclass(frozen=True)
class Description:
    """What model.json says: the framework's name, and `options` that the framework knows."""

    framework: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    isolation: str = AUTO

    def only(self, known: Collection[str]) -> Mapping[str, Any]:
        """The options, all of them `known`; raises ModelError for another."""
        for name in self.options:
            if name not in known:
                words = ", ".join(sorted(known)) or "none"
                what = f"has the unknown key {name!r}"
                raise ModelError(what, DESCRIPTION, f"keys of {self.framework} are: {words}")
        return self.options


def prediction(options: Mapping[str, Any], known: Collection[str]) -> str | None:
    """What is to be predicted, as the option `predict` says, one of `known`. Raises ModelError."""
    wanted = options.get("predict")
    if wanted is not None and wanted not in known:
        what = f"has the unknown prediction {wanted!r}"
        raise ModelError(what, DESCRIPTION, f"write one of {', '.join(known)}")
    return None if wanted is None else str(wanted)


def describe(folder: Path) -> Description:
    """Read model.json; an empty description where there is none. Raises ModelError."""
    return _described(inside(folder) / DESCRIPTION) or Description()


@once
def _described(path: Path) -> Description | None:
    """The description in a file; None where it is another file: frameworks call theirs so, too."""
    if not path.is_file() or path.stat().st_size > _LARGEST:
        return None
    content = path.read_bytes()
    if not content:  # what it said is lost: a guess could be answered wrong
        raise ModelError("is empty", DESCRIPTION, f"write {_FORM}, or remove it")
    if KEY not in content:
        return None
    try:
        value = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"is not JSON ({error})", DESCRIPTION, f"write {_FORM}") from None
    if not isinstance(value, dict) or "framework" not in value:
        return None
    name = value.pop("framework")
    if not isinstance(name, str):
        raise ModelError(f"names the framework {name!r}", DESCRIPTION, f"write {_FORM}")
    isolation = value.pop("isolation", AUTO)
    if isolation not in (AUTO, MODEL):
        what = f"has the isolation {isolation!r}"
        raise ModelError(what, DESCRIPTION, f'write "{AUTO}" or "{MODEL}"')
    return Description(name, value, isolation)

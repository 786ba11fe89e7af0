"""Is a folder a model that the container can serve? Every problem at once, before any upload.

The container looks for ``*-symbol.json``, ``*-0000.params``, ``*-shapes.json`` and, where there
are labels, ``synset.txt``, flat in the archive's root. Multi Model Server puts a model's folder
on Python's path, so that code lying there runs (``json.py``, ``sitecustomize.py``): code is
refused unless asked for.
"""

from __future__ import annotations

import json
import math
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmectl.errors import ArtifactError
from mmectl.model import params, shapes, symbols
from mmectl.model.symbols import Symbol
from mmectl.state import CODE_FILE

SYMBOL, PARAMS, SHAPES, SYNSET = "-symbol.json", "-0000.params", "-shapes.json", "synset.txt"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,98}")
_EPOCH = re.compile(r"-\d{4}\.params$")
_SHAPES_FORM = '[{"shape": [1, 3, 224, 224], "name": "data"}]'
_DTYPES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")
_TEXT_LIMIT = 16 << 20
_LISTED = 5
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend; reads ``path: what: fix``."""

    path: str
    what: str
    fix: str

    def __str__(self) -> str:
        text = f"{self.path}: {self.what}: {self.fix}"
        # names come from files: what would move a terminal's cursor or cannot be printed is escaped
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _some(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:_LISTED])
    more = len(names) - _LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def _entry(path: Path, allow_code: bool) -> Problem | None:
    """What is wrong with one directory entry."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return Problem(str(path), "is a symbolic link", "put the file itself there")
    if stat.S_ISDIR(mode):
        return Problem(
            str(path),
            "is a folder inside the model folder",
            "the container looks in the root only; move its files up or remove it",
        )
    if not stat.S_ISREG(mode):
        return Problem(str(path), "is not a regular file", "remove it")
    if not _NAME.fullmatch(path.name):
        return Problem(
            str(path),
            "has an unusual file name",
            "use at most 99 letters, digits and . _ + -, not beginning with a dot; or remove it",
        )
    if CODE_FILE.search(path.name) and not allow_code:
        return Problem(
            str(path),
            "is code, which Multi Model Server would run",
            "remove it from the model folder",
        )
    if path.lstat().st_size == 0:
        return Problem(str(path), "is empty", "write it again or remove it")
    return None


def _one(folder: Path, names: list[str], suffix: str) -> tuple[Path | None, Problem | None]:
    """The one file of that suffix, or what to do about none or several."""
    found = [name for name in names if name.endswith(suffix)]
    if len(found) == 1:
        return folder / found[0], None
    if found:
        listed = ", ".join(found)
        return None, Problem(str(folder), f"has several *{suffix}: {listed}", "keep one of them")
    fix = {
        SYMBOL: "save the network with MXNet's save_checkpoint or export",
        PARAMS: "save the parameters with MXNet's save_checkpoint, as epoch 0",
        SHAPES: f"write <name>{SHAPES} holding {_SHAPES_FORM}",
    }[suffix]
    others = [name for name in names if suffix == PARAMS and _EPOCH.search(name)]
    if others:
        fix = f"rename {others[0]} to {_EPOCH.sub(PARAMS, others[0])}"
    return None, Problem(str(folder), f"has no *{suffix}", fix)


def _text(path: Path) -> tuple[str, Problem | None]:
    try:
        if path.stat().st_size > _TEXT_LIMIT:
            return "", Problem(str(path), "is larger than 16 MiB", "this is no text file")
        return path.read_text(encoding="utf-8"), None
    except UnicodeDecodeError as error:
        what = f"is not UTF-8 (at byte {error.start:,})"
        return "", Problem(str(path), what, "save it as UTF-8")
    except OSError as error:
        return "", Problem(str(path), "cannot be read", str(error.strerror))


def _input_shape(entry: Any) -> tuple[str, tuple[int, ...]] | None:
    """Name and shape of one entry of the shapes file where it has the right form."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return None
    shape = entry.get("shape")
    if not isinstance(shape, list) or not shape or not entry["name"]:
        return None
    good = all(isinstance(n, int) and not isinstance(n, bool) and 0 < n < 1 << 31 for n in shape)
    return (entry["name"], tuple(shape)) if good else None


def _read_shapes(path: Path) -> tuple[shapes.Inputs, Problem | None]:
    """The data inputs with their shapes."""
    text, problem = _text(path)
    if problem:
        return (), problem
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        return (), Problem(str(path), f"is not JSON ({error})", f"write {_SHAPES_FORM}")
    found = [_input_shape(entry) for entry in raw] if isinstance(raw, list) else []
    inputs = tuple(pair for pair in found if pair)
    if not found or len(dict(inputs)) != len(found):
        what = "is not a list of input shapes with a name each"
        return (), Problem(str(path), what, f"write it like {_SHAPES_FORM}")
    if odd := [entry["dtype"] for entry in raw if entry.get("dtype") not in (None, *_DTYPES)]:
        what = f"gives an input the dtype {odd[0]!r}"
        return (), Problem(str(path), what, f"write one of {', '.join(_DTYPES)}")
    return inputs, None


def _read_symbol(path: Path) -> tuple[Symbol | None, Problem | None]:
    text, problem = _text(path)
    if problem:
        return None, problem
    try:
        return symbols.parse(text), None
    except symbols.SymbolProblem as error:
        return None, Problem(str(path), "is not a symbol file", str(error))


def _read_params(path: Path) -> tuple[tuple[params.Array, ...] | None, Problem | None]:
    try:
        return params.read(path), None
    except ArtifactError as error:
        what = error.message.removeprefix(f"{path}: ")
        return None, Problem(str(path), what, error.hint or "save it again")


def _mismatches(
    path: Path, symbol: Symbol, data: set[str], arrays: tuple[params.Array, ...]
) -> list[Problem]:
    """Where the parameters at `path` are not those that the symbol asks for."""
    problems = []
    bare = {a.name for a in arrays if not a.name.startswith(("arg:", "aux:"))}
    if bare:
        what = f"names without 'arg:' or 'aux:': {_some(bare) or 'none at all'}"
        problems.append(Problem(str(path), what, "save it with MXNet's save_checkpoint or export"))
        return problems
    given = {a.name[4:]: a.shape for a in arrays}
    wanted = symbol.parameters(data)
    same = "symbol and parameters must come from the same network"
    if missing := wanted - set(given):
        problems.append(Problem(str(path), f"lacks {_some(missing)} of the symbol", same))
    if extra := set(given) - wanted:
        problems.append(Problem(str(path), f"has {_some(extra)}, unknown to the symbol", same))
    for name, expected in symbol.shapes().items():
        shape = given.get(name)
        if shape is not None and not _fits(shape, expected):
            wish = "x".join("?" if n is None else str(n) for n in expected)
            what = f"{name} is {'x'.join(map(str, shape))} where the symbol says {wish}"
            problems.append(Problem(str(path), what, same))
    return problems


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    pairs = zip(shape, expected, strict=False)
    return len(shape) == len(expected) and all(e in (None, n) for n, e in pairs)


def _misfits(
    path: Path, symbol: Symbol, inputs: shapes.Inputs, arrays: tuple[params.Array, ...]
) -> list[Problem]:
    """Where the input shapes at `path` are not those that network and parameters take."""
    found = shapes.infer(symbol, inputs)
    fix = "write the input shapes that the network was trained with"
    given = {a.name[4:]: a.shape for a in arrays}
    problems = []
    for name, shape in found.parameters.items():
        if name in given and given[name] != shape:
            needed = f"the input makes {name} {shapes.text(shape)}"
            what = f"{needed}, the parameters have {shapes.text(given[name])}"
            problems.append(Problem(str(path), what, fix))
    if found.misfit:
        problems.append(Problem(str(path), f"does not fit: {found.misfit}", fix))
    return problems[:1]  # the first is the cause of the others


def _item(symbol: Symbol | None, inputs: shapes.Inputs) -> tuple[int, ...] | None:
    """The shape of the first output for one item, where that can be told."""
    if symbol is None:
        return None
    output = next(iter(shapes.infer(symbol, inputs).outputs), None) if inputs else None
    if output is not None:
        return output[1:]
    classes = symbol.classes()
    return None if classes is None else (classes,)


def _labels(path: Path, item: tuple[int, ...] | None) -> Problem | None:
    """What is wrong with synset.txt."""
    text, problem = _text(path)
    if problem:
        return problem
    lines = text.rstrip("\n").split("\n")
    blank = next((number for number, line in enumerate(lines, 1) if not line.strip()), None)
    if blank is not None:
        return Problem(str(path), f"line {blank} is blank", "write one label on each line")
    if item is None or math.prod(item) == len(lines):
        return None
    if sum(size > 1 for size in item) > 1:
        what = f"has {len(lines):,} labels, the network answers {shapes.text(item)} numbers"
        return Problem(str(path), f"{what} (boxes, maps or steps)", "leave synset.txt out")
    what = f"has {len(lines):,} labels for {math.prod(item):,} classes of the symbol"
    return Problem(str(path), what, "write one label on each line, in the order of training")


def _contents(folder: Path, names: list[str]) -> list[Problem]:
    """Problems of the files themselves and of one with another."""
    found = {suffix: _one(folder, names, suffix) for suffix in (SYMBOL, PARAMS, SHAPES)}
    problems = [problem for _, problem in found.values() if problem]
    (symbol_path, _), (params_path, _), (shapes_path, _) = found.values()
    symbol, bad_symbol = _read_symbol(symbol_path) if symbol_path else (None, None)
    inputs, bad_shapes = _read_shapes(shapes_path) if shapes_path else ((), None)
    arrays, bad_params = _read_params(params_path) if params_path else (None, None)
    problems += [problem for problem in (bad_symbol, bad_shapes, bad_params) if problem]
    data = {name for name, _ in inputs}
    if symbol and data and (unknown := data - set(symbol.inputs())):
        what = f"names {_some(unknown)}, which is no input of the symbol"
        problems.append(Problem(str(shapes_path), what, "name its data input, usually 'data'"))
    elif symbol and data and arrays is not None and params_path:
        mismatches = _mismatches(params_path, symbol, data, arrays)
        problems += mismatches
        if not mismatches and shapes_path:
            problems += _misfits(shapes_path, symbol, inputs, arrays)
    if SYNSET in names:
        bad_labels = _labels(folder / SYNSET, _item(symbol, inputs))
        problems += [bad_labels] if bad_labels else []
    return problems


def check(folder: Path, *, allow_code: bool = False) -> tuple[Problem, ...]:
    """Everything that keeps the folder from being served; empty where it is a model.

    What it lacks comes first, then what of it is wrong.
    """
    try:
        paths = sorted(folder.iterdir())
    except FileNotFoundError:
        return (Problem(str(folder), "does not exist", "name the folder of a model"),)
    except NotADirectoryError:
        return (Problem(str(folder), "is not a folder", "name the folder that holds the model"),)
    except OSError as error:
        return (Problem(str(folder), "cannot be read", str(error.strerror)),)
    if not paths:
        return (Problem(str(folder), "is empty", "name the folder that holds the model"),)
    bad = {path.name: problem for path in paths if (problem := _entry(path, allow_code))}
    inner = [path for path in paths if path.is_dir() and not path.is_symlink()]
    if len(inner) == len(paths) == 1:
        return (Problem(str(folder), "holds only a folder", f"name {inner[0]} instead"),)
    # a file that is bad as such is named once, not again as missing
    usable = [path.name for path in paths if path.name not in bad]
    hidden = {s for s in (SYMBOL, PARAMS, SHAPES) if any(name.endswith(s) for name in bad)}
    problems = _contents(folder, usable)
    keep = [p for p in problems if not any(p.what == f"has no *{s}" for s in hidden)]
    return (*keep, *bad.values())


def summed(problems: Sequence[str]) -> list[str]:
    """Problems as lines for people: the first few, and how many more there are."""
    more = len(problems) - _SHOWN
    return [*problems[:_SHOWN], *([f"... and {more:,} more problems"] if more > 0 else [])]


def require(folder: Path, *, allow_code: bool = False) -> None:
    """Raise ArtifactError (code ``bad_model``) naming its problems, of many the first few."""
    if problems := check(folder, allow_code=allow_code):
        raise ArtifactError(
            "\n".join(summed([str(problem) for problem in problems])),
            hint="a model folder holds <name>-symbol.json, <name>-0000.params, "
            "<name>-shapes.json and, for labels, synset.txt",
            code="bad_model",
        )

"""Is a folder a model that the container can serve? Every problem at once, before any upload.

The files are found and read by `model_files`, which is the container's own module. Multi Model
Server puts a model's folder on Python's path, so that code lying there runs (``json.py``,
``sitecustomize.py``): code is refused unless asked for.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmectl.base.errors import ArtifactError
from mmectl.base.values import CODE_FILE
from mmectl.frameworks.mxnet import params, shapes, symbols
from mmectl.frameworks.mxnet.model_files import (
    PARAMS,
    SHAPES,
    SYMBOL,
    SYNSET,
    ModelError,
    bare,
    choose,
    inside,
    lacking,
    left_behind,
    parse_shapes,
    parse_synset,
    read_text,
)
from mmectl.frameworks.mxnet.symbols import Symbol

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,98}")
_TEXT_LIMIT = 16 << 20
_LISTED = 5
_SHOWN = 10
_ENDS = (SYMBOL, PARAMS, SHAPES)
_SAME = "symbol and parameters must come from the same network"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to fix; reads ``path: what: fix``."""

    path: str
    what: str
    fix: str

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.what}: {self.fix}")


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a model finds: what keeps it from being served, and what is only told."""

    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A model's folder, and how people call it: by its path, or as a tarball and its members."""

    folder: Path
    tarball: str | None = None
    top: Path | None = None

    def whole(self) -> str:
        """The folder or the tarball itself."""
        return self.tarball or str(self.folder)

    def file(self, name: str) -> str:
        """One file of it."""
        path = self.folder / name
        if self.tarball is None:
            return str(path)
        return f"{self.tarball}: {path.relative_to(self.top or self.folder)}"

    def problem(self, error: ModelError) -> Problem:
        """What the container's reader says of it."""
        where = self.file(error.file) if error.file else self.whole()
        return Problem(where, error.what, error.fix)


def printable(text: str) -> str:
    """Text from files: what would move a terminal's cursor or cannot be printed is escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _some(names: Iterable[str]) -> str:
    shown = sorted(names)
    more = len(shown) - _LISTED
    return ", ".join(shown[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _entry(path: Path, allow_code: bool) -> Problem | None:
    """What is wrong with one directory entry of a folder that is to be packed."""
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


class _Reading:
    """One model read as the container reads it; problems and notes are collected."""

    def __init__(self, place: Place, names: Sequence[str]) -> None:
        self.place, self.names = place, names
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.found = {end: self._found(end) for end in _ENDS}
        self.symbol = self._symbol()
        self.inputs = self._inputs()
        self.arrays = self._arrays()

    def look(self) -> Look:
        """Everything: the files themselves, and one with another."""
        data = {name for name, _ in self.inputs}
        if self.symbol and data and (unknown := data - set(self.symbol.inputs())):
            what = f"names {_some(unknown)}, which is no input of the symbol"
            self._wrong(SHAPES, what, "name its data input, usually 'data'")
        elif self.symbol and data and self.arrays is not None:
            weights = {bare(a.name): a.shape for a in self.arrays}
            self._match(self.symbol, data, weights)
        if SYNSET in self.names:
            self._labels()
        return Look(tuple(self.problems), tuple(printable(note) for note in self.notes))

    def _wrong(self, end: str, what: str, fix: str) -> None:
        name = self.found.get(end) or end
        self.problems.append(Problem(self.place.file(name), what, fix))

    def _found(self, end: str) -> str | None:
        try:
            return choose(self.names, end)
        except ModelError as error:
            self.problems.append(self.place.problem(error))
            return None

    def _text(self, name: str | None) -> str | None:
        if name is None:
            return None
        path = self.place.folder / name
        try:
            if path.stat().st_size <= _TEXT_LIMIT:
                return read_text(path)
            self._wrong(name, "is larger than 16 MiB", "this is no text file")
        except ModelError as error:
            self.problems.append(self.place.problem(error))
        except OSError as error:
            self._wrong(name, "cannot be read", str(error.strerror))
        return None

    def _symbol(self) -> Symbol | None:
        text = self._text(self.found[SYMBOL])
        try:
            return None if text is None else symbols.parse(text)
        except symbols.SymbolProblem as error:
            self._wrong(SYMBOL, "is not a symbol file", str(error))
            return None

    def _inputs(self) -> shapes.Inputs:
        """The data inputs with their shapes."""
        text = self._text(self.found[SHAPES])
        try:
            inputs = () if text is None else parse_shapes(text, self.found[SHAPES] or "")
        except ModelError as error:
            self.problems.append(self.place.problem(error))
            return ()
        return tuple((one.name, one.shape) for one in inputs)

    def _arrays(self) -> tuple[params.Array, ...] | None:
        name = self.found[PARAMS]
        if name is None:
            return None
        path, label = self.place.folder / name, self.place.file(name)
        if not path.stat().st_size:
            self._wrong(name, "is empty", "write it again or remove it")
            return None
        try:
            return params.read(path, label)
        except ArtifactError as error:
            what = error.message.removeprefix(f"{label}: ")
            self._wrong(name, what, error.hint or "save it again")
            return None

    def _match(self, symbol: Symbol, data: set[str], given: dict[str, tuple[int, ...]]) -> None:
        """Symbol, parameters and input shapes, one with another."""
        before = len(self.problems)
        wanted = symbol.parameters() - data
        weights = {name: shape for name, shape in given.items() if name in wanted}
        if missing := lacking(wanted, weights, ()):
            self._wrong(PARAMS, f"lacks {_some(missing)} of the symbol", self._why_missing(given))
        if unused := set(given) - set(symbol.inputs()) - wanted:
            name = self.place.file(self.found[PARAMS] or "")
            self.notes.append(f"{name}: has {_some(unused)}, which the symbol does not use")
        for name, expected in symbol.shapes().items():
            shape = weights.get(name)
            if shape is not None and not _fits(shape, expected):
                wish = "x".join("?" if n is None else str(n) for n in expected)
                what = f"{name} is {'x'.join(map(str, shape))} where the symbol says {wish}"
                self._wrong(PARAMS, what, _SAME)
        if len(self.problems) == before and self.inputs:
            self._misfits(symbol, weights)

    def _why_missing(self, given: Iterable[str]) -> str:
        """What to do about missing weights: the whole file may have names of another kind."""
        prefixed = any(a.name != bare(a.name) for a in self.arrays or ())
        if given and not prefixed:
            return "its names are without 'arg:' or 'aux:': save it with save_checkpoint or export"
        return _SAME

    def _misfits(self, symbol: Symbol, weights: dict[str, tuple[int, ...]]) -> None:
        """Where the input shapes are not those that network and parameters take."""
        found = shapes.infer(symbol, self.inputs)
        fix = "write the input shapes that the network was trained with"
        wrong = []
        for name, shape in found.parameters.items():
            if name in weights and weights[name] != shape:
                needed = f"the input makes {name} {shapes.text(shape)}"
                wrong.append((f"{needed}, the parameters have {shapes.text(weights[name])}", fix))
        if found.misfit:
            wrong.append((f"does not fit: {found.misfit}", fix))
        if wrong:  # the first is the cause of the others
            self._wrong(SHAPES, *wrong[0])

    def _labels(self) -> None:
        """The labels of synset.txt against the network's classes."""
        text = self._text(SYNSET)
        if text is None:
            return
        try:
            lines = parse_synset(text)
        except ModelError as error:
            self.problems.append(self.place.problem(error))
            return
        item = _item(self.symbol, self.inputs)
        if item is not None and math.prod(item) != len(lines):
            self._wrong(SYNSET, *_unlabelled(len(lines), item))
        elif "" in lines:
            number = lines.index("") + 1
            self.notes.append(f"{self.place.file(SYNSET)}: line {number} is blank: so is its class")


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    pairs = zip(shape, expected, strict=False)
    return len(shape) == len(expected) and all(e in (None, n) for n, e in pairs)


def _item(symbol: Symbol | None, inputs: shapes.Inputs) -> tuple[int, ...] | None:
    """The shape of the first output for one item, where that can be told."""
    if symbol is None:
        return None
    output = next(iter(shapes.infer(symbol, inputs).outputs), None) if inputs else None
    if output is not None:
        return output[1:]
    classes = symbol.classes()
    return None if classes is None else (classes,)


def _unlabelled(lines: int, item: tuple[int, ...]) -> tuple[str, str]:
    """Why so many labels are none of an output of that shape (of one item), and what to do."""
    if sum(size > 1 for size in item) > 1:
        what = f"has {lines:,} labels, the network answers {shapes.text(item)} numbers"
        return f"{what} (boxes, maps or steps)", "leave synset.txt out"
    what = f"has {lines:,} labels for {math.prod(item):,} classes of the symbol"
    return what, "write one label on each line, in the order of training"


def look(folder: Path, *, allow_code: bool = False) -> Look:
    """Look at a folder that is to be packed: everything that keeps it from being served.

    What it lacks comes first, then what of it is wrong. Notes say what stays out of the tarball.
    """
    try:
        paths = sorted(folder.iterdir())
    except FileNotFoundError:
        return _nothing(folder, "does not exist", "name the folder of a model")
    except NotADirectoryError:
        return _nothing(folder, "is not a folder", "name the folder that holds the model")
    except OSError as error:
        return _nothing(folder, "cannot be read", str(error.strerror))
    left = [path for path in paths if left_behind(path.name)]
    paths = [path for path in paths if not left_behind(path.name)]
    if not paths:
        return _nothing(folder, "is empty", "name the folder that holds the model")
    if (root := inside(folder)) != folder:
        return _nothing(folder, "holds only a folder", f"name {root} instead")
    bad = {path.name: problem for path in paths if (problem := _entry(path, allow_code))}
    # a file that is bad as such is named once, not again as missing
    usable = [path.name for path in paths if path.name not in bad]
    hidden = [end for end in _ENDS if any(name.endswith(end) for name in bad)]
    found = _Reading(Place(folder), usable).look()
    keep = [p for p in found.problems if not any(p.what.startswith(f"has no *{e}") for e in hidden)]
    notes = [printable(f"{path}: is left out: it is no part of a model") for path in left]
    return Look((*keep, *bad.values()), (*notes, *found.notes))


def _nothing(folder: Path, what: str, fix: str) -> Look:
    return Look((Problem(str(folder), what, fix),))


def look_at_tarball(folder: Path, name: str) -> Look:
    """Look at what was unpacked of the tarball `name`, as the container does.

    What it does not read has no say; see `left_out`.
    """
    root = inside(folder)
    names = sorted(path.name for path in root.iterdir() if path.is_file())
    return _Reading(Place(root, name, folder), names).look()


def left_out(folder: Path) -> tuple[str, ...]:
    """Notes on what `packing.members` does not take of a folder that was a tarball's."""
    left = [path for path in folder.iterdir() if left_behind(path.name) or not path.is_file()]
    return tuple(printable(f"{path.name}: is left out: nothing reads it") for path in sorted(left))


def check(folder: Path, *, allow_code: bool = False) -> tuple[Problem, ...]:
    """Everything that keeps the folder from being served; empty where it is a model."""
    return look(folder, allow_code=allow_code).problems


def summed(problems: Sequence[str], what: str = "problems") -> list[str]:
    """Problems as lines for people: the first few, and how many more there are."""
    more = len(problems) - _SHOWN
    return [*problems[:_SHOWN], *([f"... and {more:,} more {what}"] if more > 0 else [])]


def require(folder: Path, *, allow_code: bool = False) -> None:
    """Raise ArtifactError (code ``bad_model``) where the folder is no model; see `refuse`."""
    refuse(look(folder, allow_code=allow_code))


def refuse(found: Look) -> None:
    """Raise ArtifactError (code ``bad_model``) naming its problems, of many the first few."""
    if found.problems:
        raise ArtifactError(
            "\n".join(summed([str(problem) for problem in found.problems])),
            hint="a model folder holds <name>-symbol.json, <name>-0000.params, "
            "<name>-shapes.json and, for labels, synset.txt",
            code="bad_model",
        )

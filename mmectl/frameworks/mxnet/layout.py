"""MXNet's files of a model, one with another: everything that keeps it from being served.

The files are found and read by `model_files`, which is the container's own module.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from mmectl.base.errors import ArtifactError
from mmectl.base.text import counted
from mmectl.frameworks.base import Look, Place, Problem, Signature, printable, some
from mmectl.frameworks.mxnet import params, shapes, symbols
from mmectl.frameworks.mxnet.model_files import (
    PARAMS,
    SHAPES,
    SYMBOL,
    SYNSET,
    Input,
    ModelError,
    bare,
    choose,
    lacking,
    parse_shapes,
    parse_synset,
    read_text,
)
from mmectl.frameworks.mxnet.symbols import Symbol

_TEXT_LIMIT = 16 << 20
_ENDS = (SYMBOL, PARAMS, SHAPES)
_SAME = "symbol and parameters must come from the same network"


def look(place: Place, names: Sequence[str], bad: Collection[str]) -> Look:
    """Look at the files `names` of a model; what is `bad` is not named again as missing."""
    found = _Reading(place, names).look()
    hidden = [end for end in _ENDS if any(name.endswith(end) for name in bad)]
    keep = [p for p in found.problems if not any(p.what.startswith(f"has no *{e}") for e in hidden)]
    return Look(tuple(keep), found.notes, signature=found.signature)


class _Reading:
    """One model read as the container reads it; problems and notes are collected."""

    def __init__(self, place: Place, names: Sequence[str]) -> None:
        self.place, self.names = place, names
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.labels: int | None = None
        self.found = {end: self._found(end) for end in _ENDS}
        self.symbol = self._symbol()
        self.inputs = self._inputs()
        self.arrays = self._arrays()

    def look(self) -> Look:
        """Everything: the files themselves, and one with another."""
        data = {name for name, _ in self.inputs}
        if self.symbol and data and (unknown := data - set(self.symbol.inputs())):
            what = f"names {some(unknown)}, which is no input of the symbol"
            self._wrong(SHAPES, what, "name its data input, usually 'data'")
        elif self.symbol and data and self.arrays is not None:
            weights = {bare(a.name): a.shape for a in self.arrays}
            self._match(self.symbol, data, weights)
        if SYNSET in self.names:
            self._labels()
        notes = tuple(printable(note) for note in self.notes)
        return Look(tuple(self.problems), notes, signature=self._signature())

    def _signature(self) -> Signature:
        item = _item(self.symbol, self.inputs)
        inputs = tuple(Input(name, shape) for name, shape in self.inputs)
        outputs = None if item is None else math.prod(item)
        return Signature(inputs=inputs, outputs=outputs, classes=self.labels)

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
            self._wrong(name, "is larger than 16 MiB", "this is not a text file")
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
            self._wrong(PARAMS, f"lacks {some(missing)} of the symbol", self._why_missing(given))
        if unused := set(given) - set(symbol.inputs()) - wanted:
            name = self.place.file(self.found[PARAMS] or "")
            self.notes.append(f"{name}: has {some(unused)}, which the symbol does not use")
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
        self.labels = len(lines)
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
        what = f"has {counted(lines, 'label')}, the network answers {shapes.text(item)} numbers"
        return f"{what} (boxes, maps or steps)", "leave synset.txt out"
    what = f"has {counted(lines, 'label')} for {math.prod(item):,} classes of the symbol"
    return what, "write one label on each line, in the order of training"

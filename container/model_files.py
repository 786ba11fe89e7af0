"""What a model folder holds: finding, reading and checking its files; no MXNet needed.

The layout is the one of the MXNet model zoo and of SageMaker's MXNet samples::

    <any>-symbol.json   the network
    <any>-0000.params   its weights
    <any>-shapes.json   [{"name": "data", "shape": [1, 3, 224, 224]}]
    synset.txt          one class a line, in the order of the outputs (optional)
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SYNSET = "synset.txt"
MOST_ARRAYS = 100_000  # the largest networks have some thousands
MOST_NUMBERS = 2**31 - 1  # MXNet's wheels count them in 32 bits
_MOST_AXES = 32
# of inputs, by mshadow's type flag
DTYPES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")

_LIST_MAGIC = 0x112
_DENSE_V1, _DENSE_V2, _DENSE_V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
# bytes an element, by mshadow's type flag (3rdparty/mshadow/mshadow/base.h)
_ITEM_SIZES = {0: 4, 1: 8, 2: 2, 3: 1, 4: 4, 5: 1, 6: 8, 7: 1, 8: 2, 9: 2, 10: 4, 11: 8, 12: 2}


class ModelError(Exception):
    """The model folder cannot be served; the text names the file and what is wrong."""


@dataclass(frozen=True)
class Input:
    """One input of the network; `shape` has the batch axis first.

    `dtype` is numpy's name of its type; None where the shapes file says nothing of it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str | None = None


@dataclass(frozen=True)
class NetworkFiles:
    """The files that every model has, found, and the shapes of its inputs, read."""

    name: str
    symbol: Path
    params: Path
    inputs: tuple[Input, ...]


@dataclass(frozen=True)
class ModelFiles(NetworkFiles):
    """The files of one model, found and read; `labels` is None without a synset.txt."""

    labels: tuple[str, ...] | None


def find(folder: Path) -> ModelFiles:
    """Find and check the files of the model in `folder`; raises ModelError."""
    network = find_network(folder)
    synset = folder / SYNSET
    labels = parse_synset(_text(synset)) if synset.is_file() else None
    return ModelFiles(**vars(network), labels=labels)


def find_network(folder: Path) -> NetworkFiles:
    """Find and check what does not depend on the labels; raises ModelError."""
    symbol = _only(folder, "-symbol.json")
    params = _only(folder, "-0000.params")
    shapes = _only(folder, "-shapes.json")
    return NetworkFiles(
        name=symbol.name[: -len("-symbol.json")],
        symbol=symbol,
        params=params,
        inputs=parse_shapes(_text(shapes), shapes.name),
    )


def _only(folder: Path, suffix: str) -> Path:
    found = sorted(p for p in folder.iterdir() if p.name.endswith(suffix) and p.is_file())
    if len(found) == 1:
        return found[0]
    if not found:
        held = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
        raise ModelError(f"no *{suffix} in the model folder: it holds {held}")
    names = ", ".join(p.name for p in found)
    raise ModelError(f"more than one *{suffix} in the model folder: {names}")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ModelError(f"{path.name} is not UTF-8 text: {error}") from None


def parse_shapes(text: str, name: str) -> tuple[Input, ...]:
    """Read a shapes file: ``[{"name": "data", "shape": [1, 3, 224, 224]}]``."""
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{name} is not JSON: {error}") from None
    if not isinstance(rows, list) or not rows:
        raise ModelError(f"{name} is not a list with at least one input")
    inputs = tuple(_parse_input(row, name) for row in rows)
    if len({i.name for i in inputs}) != len(inputs):
        raise ModelError(f"{name} names an input twice")
    return inputs


def _parse_input(row: Any, name: str) -> Input:
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        raise ModelError(f'{name}: an input is not {{"name": ..., "shape": [...]}}')
    shape = row.get("shape")
    whole = isinstance(shape, list) and all(type(n) is int and n > 0 for n in shape)
    if not whole or not shape:
        raise ModelError(f"{name}: the shape of {row['name']!r} is not a list of positive integers")
    if len(shape) > _MOST_AXES or math.prod(shape) > MOST_NUMBERS:
        raise ModelError(
            f"{name}: the shape of {row['name']!r} is too large: at most {_MOST_AXES} axes and "
            f"{MOST_NUMBERS} numbers"
        )
    dtype = row.get("dtype")
    if dtype is not None and dtype not in DTYPES:
        raise ModelError(f"{name}: the dtype of {row['name']!r} is not one of {', '.join(DTYPES)}")
    return Input(row["name"], tuple(shape), dtype)


def parse_synset(text: str) -> tuple[str, ...]:
    """Read the class names, one a line; blank lines at the end do not count."""
    return tuple(line.strip() for line in text.rstrip().splitlines())


@dataclass(frozen=True)
class Tensor:
    """Where an array lies in a .params file: `kind` is mshadow's type flag, `offset` in bytes."""

    shape: tuple[int, ...]
    kind: int
    offset: int


def read_tensors(data: Any) -> dict[str, Tensor]:
    """Read where the arrays of a .params file lie, by name without ``arg:`` and ``aux:``.

    `data` is any buffer of the whole file. The format is that of NDArray::Save in
    src/ndarray/ndarray.cc of MXNet 1.9; sparse arrays are refused. Raises ModelError.
    """
    reader = _Reader(data)
    try:
        if reader.take("<Q") != _LIST_MAGIC:
            raise ModelError("the .params file is not in MXNet's format")
        reader.take("<Q")
        tensors = [reader.tensor() for _ in range(_bounded(reader.take("<Q")))]
        names = [reader.name() for _ in range(_bounded(reader.take("<Q")))]
    except (struct.error, UnicodeDecodeError, OverflowError):
        raise ModelError("the .params file is damaged or cut short") from None
    if len(names) != len(tensors):
        raise ModelError(f"the .params file has {len(tensors)} arrays and {len(names)} names")
    bare = (n.split(":", 1)[1] if n[:4] in ("arg:", "aux:") else n for n in names)
    found = dict(zip(bare, tensors))  # noqa: B905 - Python 3.8
    if len(found) != len(names):
        raise ModelError("the .params file has two arrays of the same name")
    return found


def _bounded(count: int) -> int:
    if count > MOST_ARRAYS:
        raise ModelError(f"the .params file declares {count} arrays, at most {MOST_ARRAYS}")
    return count


class _Reader:
    def __init__(self, data: Any) -> None:
        self.view = memoryview(data).cast("B")
        self.offset = 0

    def take(self, layout: str) -> int:
        (value,) = struct.unpack_from(layout, self.view, self.offset)
        self.offset += struct.calcsize(layout)
        return int(value)

    def skip(self, count: int) -> None:
        self.offset += count
        if self.offset > len(self.view):
            raise struct.error("beyond the end")

    def name(self) -> str:
        start = self.offset + 8
        self.skip(8 + self.take_at("<Q"))
        return bytes(self.view[start : self.offset]).decode("utf-8")

    def take_at(self, layout: str) -> int:
        (value,) = struct.unpack_from(layout, self.view, self.offset)
        return int(value)

    def tensor(self) -> Tensor:
        magic = self.take("<I")
        if magic in (_DENSE_V2, _DENSE_V3) and self.take("<i") != 0:
            raise ModelError(
                "the .params file holds sparse arrays: convert them: tostype('default')"
            )
        modern = magic in (_DENSE_V1, _DENSE_V2, _DENSE_V3)
        axes = self.take("<i") if modern else magic  # files before 0.11 start with the rank
        if axes > _MOST_AXES:
            raise ModelError(f"the .params file holds an array of {axes} axes")
        shape = tuple(self.take("<q" if modern else "<I") for _ in range(axes))
        if axes < 0 or (not shape and magic != _DENSE_V3):  # numpy's shape () is one number
            return Tensor((), 0, self.offset)
        if min(shape, default=0) < 0:
            raise struct.error("a negative size")
        self.skip(8)  # the device it was saved from
        kind = self.take("<i")
        if kind not in _ITEM_SIZES:
            raise ModelError(f"the .params file holds an array of the unknown type {kind}")
        start = self.offset
        self.skip(math.prod(shape) * _ITEM_SIZES[kind])
        return Tensor(shape, kind, start)

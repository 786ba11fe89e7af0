"""What a model folder holds: finding, reading and checking its files; no MXNet needed.

The layout is the one of the MXNet model zoo and of SageMaker's MXNet samples::

    <any>-symbol.json   the network
    <any>-0000.params   its weights
    <any>-shapes.json   [{"name": "data", "shape": [1, 3, 224, 224]}]
    synset.txt          one class a line, in the order of the outputs (optional)

`mmectl models check` reads the files with this very module, so that it finds what serving finds.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

# relative: mmectl/frameworks/mxnet links here, and beside it to these values
from ..folders import inside as inside  # noqa: TID252
from ..folders import left_behind as left_behind  # noqa: TID252
from ..values import Input as Input  # noqa: TID252
from ..values import ModelError as ModelError  # noqa: TID252

SYMBOL, PARAMS, SHAPES, SYNSET = "-symbol.json", "-0000.params", "-shapes.json", "synset.txt"
SHAPES_FORM = '[{"shape": [1, 3, 224, 224], "name": "data"}]'
MOST_ARRAYS = 100_000  # the largest networks have some thousands
MOST_NUMBERS = 2**31 - 1  # MXNet's wheels count them in 32 bits
# of inputs, by mshadow's type flag
DTYPES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")
_NO_FILE = {
    SYMBOL: "save the network with MXNet's save_checkpoint or export",
    PARAMS: "save the parameters with MXNet's save_checkpoint, as epoch 0",
    SHAPES: f"write <name>{SHAPES} holding {SHAPES_FORM}",
}
_EPOCH = re.compile(r"-\d{4}\.params$")
_LINE_END = re.compile(r"\r\n|\r|\n")
_BLANKS = " \t"
_BOM = b"\xef\xbb\xbf"
_HELD = 8
# Layers that compare with a label when they are trained; what they answer does not depend on it
_OUTPUT_LAYERS = {
    "LinearRegressionOutput",
    "LogisticRegressionOutput",
    "MAERegressionOutput",
    "SVMOutput",
    "Softmax",
    "SoftmaxOutput",
}

_LIST_MAGIC = 0x112
_DENSE_V1, _DENSE_V2, _DENSE_V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_MAX_RANK = 32
_MAX_NAME = 1024
# bytes an element, by mshadow's type flag (3rdparty/mshadow/mshadow/base.h)
_ITEM_SIZES = {0: 4, 1: 8, 2: 2, 3: 1, 4: 4, 5: 1, 6: 8, 7: 1, 8: 2, 9: 2, 10: 4, 11: 8, 12: 2}


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


def detect(folder: Path) -> bool:
    """Whether a folder holds one of the files of a network, by names that may be misspelt.

    Labels beside other files may be those of another framework's model.
    """
    names = [path.name.lower() for path in inside(folder).iterdir() if not left_behind(path.name)]
    return names == [SYNSET] or any(name.endswith((SYMBOL, ".params", SHAPES)) for name in names)


def find(folder: Path) -> ModelFiles:
    """Find and check the files of the model in `folder`; raises ModelError."""
    network = find_network(folder)
    synset = network.symbol.with_name(SYNSET)
    labels = parse_synset(read_text(synset), SYNSET) if synset.is_file() else None
    return ModelFiles(**vars(network), labels=labels)


def find_network(folder: Path) -> NetworkFiles:
    """Find and check what does not depend on the labels; raises ModelError."""
    folder = inside(folder)
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    symbol, params, shapes = (folder / choose(names, end) for end in (SYMBOL, PARAMS, SHAPES))
    return NetworkFiles(
        name=symbol.name[: -len(SYMBOL)],
        symbol=symbol,
        params=params,
        inputs=parse_shapes(read_text(shapes), shapes.name),
    )


def choose(names: Sequence[str], suffix: str) -> str:
    """The one of the files' names that ends so, hidden ones left out; raises ModelError."""
    names = [name for name in names if not left_behind(name)]
    found = [name for name in names if name.endswith(suffix)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(found)
        raise ModelError(f"has several *{suffix}: {listed}", "", "keep one of them")
    held = ", ".join(names[:_HELD]) or "nothing"
    what = f"has no *{suffix} in the model folder: it holds {held}"
    raise ModelError(what, "", _missing(names, suffix))


def _missing(names: Sequence[str], suffix: str) -> str:
    """What to do where there is no file of that ending."""
    for name in names:
        if name.lower().endswith(suffix):
            return f"rename {name} to {name[: -len(suffix)]}{suffix}"
        if suffix == PARAMS and _EPOCH.search(name):
            return f"rename {name} to {_EPOCH.sub(PARAMS, name)}"
    return _NO_FILE[suffix]


def read_text(path: Path) -> str:
    """Read a file of text, without a byte order mark; raises ModelError."""
    return plain(path.read_bytes(), path.name).decode()


def plain(data: bytes, name: str) -> bytes:
    """Check that `data` is text, and leave out a byte order mark; raises ModelError."""
    data = data[len(_BOM) :] if data.startswith(_BOM) else data
    try:
        data.decode()
    except UnicodeDecodeError as error:
        what = f"is not UTF-8 (at byte {error.start:,})"
        raise ModelError(what, name, "save it as UTF-8") from None
    return data


def parse_shapes(text: str, name: str) -> tuple[Input, ...]:
    """Read a shapes file: ``[{"name": "data", "shape": [1, 3, 224, 224]}]``."""
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"is not JSON ({error})", name, f"write {SHAPES_FORM}") from None
    if not isinstance(rows, list) or not rows:
        raise _no_shapes(name, "at least one input is needed")
    inputs = tuple(_parse_input(row, name) for row in rows)
    if len({i.name for i in inputs}) != len(inputs):
        raise _no_shapes(name, "it names an input twice")
    return inputs


def _no_shapes(name: str, why: str) -> ModelError:
    what = f"is not a list of input shapes with a name each ({why})"
    return ModelError(what, name, f"write it like {SHAPES_FORM}")


def _parse_input(row: Any, name: str) -> Input:
    if not isinstance(row, dict) or not isinstance(row.get("name"), str) or not row["name"]:
        raise _no_shapes(name, 'one is not {"name": ..., "shape": [...]}')
    shape = row.get("shape")
    whole = isinstance(shape, list) and all(type(n) is int and 0 < n < 1 << 31 for n in shape)
    if not whole or not shape:
        raise _no_shapes(name, f"the shape of {row['name']} is not a list of positive integers")
    if len(shape) > _MAX_RANK or math.prod(shape) > MOST_NUMBERS:
        most = f"MXNet takes {_MAX_RANK} axes and {MOST_NUMBERS:,} numbers"
        fix = "write the input shapes that the network was trained with"
        raise ModelError(f"gives {row['name']} a shape that is too large: {most}", name, fix)
    dtype = row.get("dtype")
    if dtype not in (None, *DTYPES):
        what = f"gives an input the dtype {dtype!r}"
        raise ModelError(what, name, f"write one of {', '.join(DTYPES)}")
    return Input(row["name"], tuple(shape), dtype)


def parse_synset(text: str, name: str = SYNSET) -> tuple[str, ...]:
    """Read the class names, one a line, which ends at LF, CRLF or CR and nowhere else.

    Blanks around a name and blank lines at the end do not count. Raises ModelError.
    """
    lines = [line.strip(_BLANKS) for line in _LINE_END.split(text)]
    while lines and not lines[-1]:
        del lines[-1]
    if not lines:
        raise ModelError("holds no label", name, "write one label on each line, or remove it")
    return tuple(lines)


def labels_of(
    nodes: Sequence[tuple[str, str, Sequence[int]]], heads: Iterable[int]
) -> frozenset[str]:
    """Name the inputs that only training needs: none of the outputs depends on them.

    Each node is its operator (``null``: an input), its name and the numbers of the nodes that it
    takes; it comes behind them. An output layer's label has no say, whatever it is called.
    """
    needed = set(heads)
    for number in range(len(nodes) - 1, -1, -1):
        if number in needed:
            op, _, sources = nodes[number]
            needed.update(sources[:1] if op in _OUTPUT_LAYERS else sources)
    return frozenset(
        name for number, (op, name, _) in enumerate(nodes) if op == "null" and number not in needed
    )


def lacking(wanted: Iterable[str], known: Collection[str], labels: Collection[str]) -> list[str]:
    """Name what a network wants and neither its inputs nor its weights give, labels left out.

    Inputs whose names end in ``label`` belong to the training loss, too, where no weights have
    that name.
    """
    return [n for n in wanted if n not in known and n not in labels and not n.endswith("label")]


class Tensor(NamedTuple):
    """Where an array lies in a .params file: `kind` is mshadow's type flag, `offset` in bytes."""

    shape: tuple[int, ...]
    kind: int
    offset: int
    size: int = 0


def read_tensors(data: Any, name: str = "the .params file") -> dict[str, Tensor]:
    """Read where the arrays of a .params file lie, by name without ``arg:`` and ``aux:``.

    `data` is any buffer of the whole file. Raises ModelError.
    """
    return {bare(full): tensor for full, tensor in read_arrays(data, name)}


def bare(name: str) -> str:
    """The name of an array without ``arg:`` and ``aux:``."""
    return name[4:] if name.startswith(("arg:", "aux:")) else name


def read_arrays(data: Any, name: str) -> list[tuple[str, Tensor]]:
    """Read where the arrays of a .params file lie, with their names as they are.

    The format is that of NDArray::Save and NDArray::Load in src/ndarray/ndarray.cc of MXNet 1.9,
    which reads no further than the last name. Sparse arrays are refused.
    """
    reader = _Reader(data, name)
    magic = reader.take("<Q", "the list header")
    if magic != _LIST_MAGIC:
        raise reader.fail(f"it begins with {magic:#x}, not {_LIST_MAGIC:#x}", 0)
    reader.take("<Q", "the list header")
    count = reader.take("<Q", "the list header")
    if count > len(reader.view) // 4:
        raise reader.fail(f"it declares {count:,} arrays in {len(reader.view):,} bytes", 16)
    if count > MOST_ARRAYS:
        raise reader.fail(f"it declares {count:,} arrays, at most {MOST_ARRAYS:,}", 16)
    tensors = [reader.tensor(number) for number in range(count)]
    found = reader.take("<Q", "the number of names")
    if found != count:
        raise reader.fail(f"{found:,} names for {count:,} arrays", reader.offset - 8)
    pairs = [(reader.name(), tensor) for tensor in tensors]
    seen = set()
    for full, _ in pairs:
        if bare(full) in seen:
            raise ModelError(f"holds '{bare(full)}' twice", name, "save the model again")
        seen.add(bare(full))
    return pairs


class _Reader:
    """Reads fields in order and knows where it stands, for messages that say so."""

    def __init__(self, data: Any, file: str) -> None:
        self.view = memoryview(data).cast("B")
        self.file = file
        self.offset = 0

    def fail(self, why: str, offset: int | None = None) -> ModelError:
        at = self.offset if offset is None else offset
        what = f"not a readable MXNet parameter file: {why} (at byte {at:,})"
        fix = "save the model again, or fetch the file again if it was downloaded"
        return ModelError(what, self.file, fix)

    def take(self, layout: str, what: str) -> int:
        try:
            (value,) = struct.unpack_from(layout, self.view, self.offset)
        except struct.error:
            raise self.fail(f"the file ends inside {what}") from None
        self.offset += struct.calcsize(layout)
        return int(value)

    def name(self) -> str:
        start = self.offset + 8
        length = self.take("<Q", "the length of a name")
        if length > _MAX_NAME:
            raise self.fail(f"a name declares {length:,} bytes", start - 8)
        self.offset += length
        if self.offset > len(self.view):
            raise self.fail("the file ends inside a name", start)
        try:
            return bytes(self.view[start : self.offset]).decode()
        except UnicodeDecodeError:
            raise self.fail("a name is not UTF-8", start) from None

    def tensor(self, number: int) -> Tensor:
        shape = self.shape()
        if shape is None:  # an array that was never given a shape
            return Tensor((), 0, self.offset)
        self.take("<q", "a device")  # that it was saved from
        kind = self.take("<i", "a type flag")
        if kind not in _ITEM_SIZES:
            why = f"array {number} has the unknown type flag {kind}"
            raise self.fail(why, self.offset - 4)
        size, start = math.prod(shape) * _ITEM_SIZES[kind], self.offset
        if size > len(self.view) - start:
            left = f"{size:,} bytes and {len(self.view) - start:,} are left"
            raise self.fail(f"array {number} of shape {shape} declares {left}")
        self.offset += size
        return Tensor(shape, kind, start, size)

    def shape(self) -> tuple[int, ...] | None:
        start = self.offset
        magic = self.take("<I", "an array's header")
        if magic in (_DENSE_V2, _DENSE_V3):
            self.storage(start)
        modern = magic in (_DENSE_V1, _DENSE_V2, _DENSE_V3)
        if not modern and magic > _MAX_RANK:
            raise self.fail(f"no array begins with {magic:#x}", start)
        axes = self.take("<i", "a rank") if modern else magic  # the first form begins with it
        if axes > _MAX_RANK:
            raise self.fail(f"an array declares {axes:,} dimensions")
        shape = tuple(self.take("<q" if modern else "<I", "a shape") for _ in range(axes))
        if any(size < 0 for size in shape):
            raise self.fail(f"an array declares the shape {shape}")
        return shape if axes > 0 or (axes == 0 and magic == _DENSE_V3) else None

    def storage(self, start: int) -> None:
        kind = self.take("<i", "a storage type")
        if kind in (1, 2):
            what = f"an array is sparse, only dense ones are served (at byte {start:,})"
            fix = "convert them: tostype('default') of each array, and save the model again"
            raise ModelError(f"{what}: {fix}", self.file, fix)
        if kind != 0:
            raise self.fail(f"an array is stored as type {kind}", start)

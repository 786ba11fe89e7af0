"""The files of an ONNX model, found and read as far as serving needs; pure, no ONNX Runtime needed.

A folder holds one ``*.onnx`` (or one file of any name that is an ONNX model by its content), the
files with its weights where it has them outside (external data), and for labels synset.txt.
`mmectl models check` reads folders by this very module.

model.json may say ``{"framework": "onnx", "output": "probabilities"}``: that output alone is
answered; and ``"image": {"mean": [..], "std": [..], "scale": 0.00392}``: how a picture's values,
0 to 255, become the numbers that the network was trained with: (value * scale - mean) / std.
"""

from __future__ import annotations

import functools
import mmap
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

# relative: mmectl/frameworks/onnx links here, and beside it to these values
from ..folders import describe, files, first_bytes, inside  # noqa: TID252
from ..pictures import SYNSET, check_type, labels, pixels  # noqa: TID252
from ..values import TEXT, ModelError, Pixels  # noqa: TID252
from . import graph
from .graph import BITS, External, ModelProto, Size, Tensor, Value
from .proto import ProtoError

ENDING = ".onnx"
OPTIONS = ("output", "image")
# types of numpy that requests and answers can have
TYPES = frozenset(name for name, bits in BITS.items() if bits >= 8) - {
    "complex64", "complex128", "bfloat16",
}  # fmt: skip
MAPS = "sequence of maps"
_EXPORT = "export it again"
# where a tensor of an operator's attribute lies in another file its entry holds this
_LOCATION = b"\x0a\x08location"


@dataclass(frozen=True)
class ModelFiles:
    """A model: its file, what is in it, its labels, and what model.json says."""

    path: Path
    proto: ModelProto
    labels: tuple[str, ...] | None
    output: str | None = None
    pixels: Pixels | None = None

    @property
    def inputs(self) -> tuple[Value, ...]:
        """What a request must have."""
        return self.proto.graph.fed()

    @property
    def outputs(self) -> tuple[Value, ...]:
        """What is answered."""
        every = tuple(self.proto.graph.outputs)
        return every if self.output is None else tuple(v for v in every if v.name == self.output)

    def every_file(self) -> tuple[Path, ...]:
        """The file and those of its weights."""
        names = {away.location for away in graph.external(self.proto.graph)}
        return (self.path, *(self.path.parent / name for name in sorted(names)))


def detect(folder: Path) -> bool:
    """Whether a file is an ONNX model, by its name or its content."""
    return bool(candidates(folder))


def candidates(folder: Path) -> list[Path]:
    """The files that may be the model."""
    held = files(folder)
    named = [path for path in held if path.suffix.lower() == ENDING]
    return named or [path for path in held if _is_model(path)]


def _is_model(path: Path) -> bool:
    if not graph.begins(first_bytes(path, 16)):
        return False
    try:
        return bool(open_proto(path).opsets)
    except ModelError:
        return False


def find(folder: Path) -> Path:
    """The file of the model. Raises ModelError."""
    found = candidates(folder)
    if not found:
        what = "holds no *.onnx file"
        if any(first_bytes(path, 8)[4:] == b"ORTM" for path in files(folder)):
            what += ", and the ORT format is not served"
        raise ModelError(what, "", "put the .onnx file there")
    if len(found) > 1:
        listed = ", ".join(path.name for path in found[:4])
        raise ModelError(f"holds {len(found)} models: {listed}", "", "leave one of them there")
    return found[0]


def open_proto(path: Path, *, nodes: bool = False) -> ModelProto:
    """Read a file; its operators where `nodes` says so. Raises ModelError.

    The last one is remembered: a load asks for the same several times.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise ModelError(f"cannot be read ({error.strerror})", path.name, _EXPORT) from None
    return _opened(path, nodes, (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))


@functools.lru_cache(maxsize=1)
def _opened(path: Path, nodes: bool, identity: tuple[int, ...]) -> ModelProto:
    del identity
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = graph.read(data, nodes=nodes)
            # else operators are passed over: they are read where one of them may refer to a file
            if not nodes and _may_refer(data, found):
                found = graph.read(data, nodes=True)
            return found
    except ValueError:  # nothing to map
        raise ModelError("is empty", path.name, _EXPORT) from None
    except ProtoError as error:
        raise ModelError(f"is not an ONNX model: it {error}", path.name, _EXPORT) from None


def _may_refer(data: mmap.mmap, found: ModelProto) -> bool:
    held = found.graph.node_fields
    return any(data.find(_LOCATION, one.start, one.end) >= 0 for one in held)


def read(folder: Path, *, nodes: bool = False) -> ModelFiles:
    """Read a model folder. Raises ModelError for what cannot be served."""
    path = find(folder)
    held = labels(inside(folder) / SYNSET)
    proto = open_proto(path, nodes=nodes or held is not None)
    options = describe(folder).only(OPTIONS)
    made = ModelFiles(path, proto, held, options.get("output"), pixels(options.get("image")))
    check_values(made)
    check_external(path, graph.external(proto.graph))
    return made


def check_values(model: ModelFiles) -> None:
    """Raise ModelError for inputs and outputs that are not served."""
    name = model.path.name
    _check_description(model)
    if not model.outputs:
        raise ModelError("has no output", name, _EXPORT)
    if not model.inputs:
        raise ModelError("has no input: there is nothing to ask", name, _EXPORT)
    for value in model.inputs:
        _check_input(value, name)
    for value in model.outputs:
        tensor = value.kind == "tensor" and value.dtype in (*TYPES, TEXT)
        if not tensor and value.kind != MAPS:
            raise ModelError(
                f"answers {_called(value)} as {value.name}, which a response cannot hold", name,
                'let numbers come out, or name another output in model.json: {"framework": '
                '"onnx", "output": "NAME"}',
            )  # fmt: skip


def _check_description(model: ModelFiles) -> None:
    """Raise ModelError where model.json says what the model does not have."""
    names = [value.name for value in model.proto.graph.outputs]
    if model.output is not None and model.output not in names:
        what = f"names the output {model.output!r}, the model has {', '.join(names)}"
        raise ModelError(what, "model.json", "name one of them")
    if model.pixels is not None and not _takes(model.inputs, model.pixels):
        what = 'says "image", and the model takes no picture of so many channels and one size'
        raise ModelError(what, "model.json", 'correct "image", or take it out')
    if model.pixels is not None:
        check_type(model.pixels, model.inputs[0].dtype)


def _check_input(value: Value, name: str) -> None:
    if value.kind != "tensor" or value.dtype not in (*TYPES, TEXT):
        raise ModelError(
            f"takes {_called(value)} as {value.name}, which a request cannot hold", name,
            "export the model without it: numbers and texts go in",
        )  # fmt: skip
    if value.shape is None:
        what = f"does not say how many axes {value.name} has"
        raise ModelError(what, name, "export it with the shapes of its inputs")
    if any(size == 0 for size in value.shape):
        raise ModelError(f"takes {value.name} with an axis of length 0", name, _EXPORT)


def is_rows(model: ModelFiles) -> bool:
    """Whether a model takes a table as one input: rows of floating-point numbers."""
    inputs = model.inputs
    kinds = ("float32", "float64")
    return len(inputs) == 1 and inputs[0].dtype in kinds and _is_table(model)


def says_rows(model: ModelFiles) -> bool:
    """Whether the file says that all outputs are of as many rows as the inputs, of any number."""
    rows = (model.inputs[0].shape or (None,))[0]
    return isinstance(rows, str) and all((one.shape or (None,))[0] == rows for one in model.outputs)


def is_columns(model: ModelFiles) -> bool:
    """Whether a model takes a table whose columns, or whose texts, are inputs of their own.

    So pipelines are exported that take a data frame.
    """
    inputs = model.inputs
    if len(inputs) == 1:
        # of (rows, any) nobody knows how many columns they are
        known = all(isinstance(size, int) for size in (inputs[0].shape or ())[1:])
        return inputs[0].dtype == TEXT and known and _is_table(model, (1, 2))
    narrow = all((value.shape or (0, 0))[1:] in ((1,), ()) for value in inputs)
    return bool(inputs) and narrow and _is_table(model, (1, 2))


def _is_table(model: ModelFiles, axes: Collection[int] = (2,)) -> bool:
    """Whether all that goes in is of (rows, columns), or (rows), and what comes out is a row's."""
    if model.labels is not None or model.pixels is not None:
        return False
    rows = {(value.shape or (0,))[0] for value in model.inputs}
    if len(rows) != 1 or any(len(value.shape or ()) not in axes for value in model.inputs):
        return False
    # converters of trees say that labels are of the shape (1), and they are of (rows)
    converted = "ai.onnx.ml" in model.proto.opsets
    return all(_of_rows(value, *rows, converted=converted) for value in model.outputs)


def _of_rows(value: Value, rows: Size, *, converted: bool) -> bool:
    if value.kind == MAPS:
        return True
    first = (value.shape or (0,))[0]
    if first == 1 and converted and not isinstance(rows, int):
        first = None
    fixed = isinstance(first, int) or isinstance(rows, int)
    same = first == rows if fixed else None in (first, rows) or first == rows
    return len(value.shape or ()) in (1, 2) and same


def _takes(inputs: Sequence[Value], pixels: Pixels) -> bool:
    """Whether a model takes pictures as they are described."""
    shape = inputs[0].shape or () if len(inputs) == 1 else ()
    if len(shape) != 4 or not all(isinstance(size, int) for size in shape[1:]):
        return False
    channels = shape[1] if shape[1] in (1, 3) else shape[3]
    return channels in (1, 3) and all(len(n) in (1, channels) for n in (pixels.mean, pixels.std))


def _called(value: Value) -> str:
    if value.kind == "unknown":
        return "what has no known type"
    if value.kind == "tensor":
        return f"a tensor of {value.dtype}"
    return f"an {value.kind}" if value.kind[0] in "aeiou" else f"a {value.kind}"


def check_external(path: Path, places: Sequence[External]) -> None:
    """Raise ModelError for weights outside of the folder, and for what is not there."""
    for away in places:
        where = away.location
        if not where or where in (".", "..") or re.search(r"[/\\\0]", where):
            raise ModelError(
                f"has the tensor {away.tensor} in {where[:80]!r}, outside of its folder",
                path.name,
                "save it again with its external data beside it: onnx.save(model, 'model.onnx', "
                "save_as_external_data=True, location='model.onnx.data')",
            )
        file = path.parent / where
        if file.is_symlink() or not file.is_file():
            what = "is a symbolic link" if file.is_symlink() else "is missing"
            raise ModelError(f"{what}: {path.name} has weights in it", where, "put the file there")
        size, end = file.stat().st_size, away.offset + (away.length or 0)
        if away.offset < 0 or (away.length or 0) < 0 or end > size:
            raise ModelError(
                f"ends at byte {size:,}: {away.tensor} would end at {end:,}", where, _EXPORT
            )


def tensor_problem(tensor: Tensor) -> str | None:
    """Say why a tensor's content cannot be of its shape; None where it may be."""
    bits = BITS.get(tensor.dtype)
    if bits is None:
        return None
    wanted = (tensor.count * bits + 7) // 8
    if tensor.external is not None:
        held = tensor.external.length
    elif tensor.end or not tensor.held:
        held = tensor.end - tensor.start
    else:
        return None  # in typed fields, whose lengths differ
    if held is None or held == wanted:
        return None
    shape = "x".join(map(str, tensor.dims)) or "one number"
    return f"{tensor.name} is {shape} of {tensor.dtype}, {wanted:,} bytes, and has {held:,}"

"""What an ONNX file holds: its graph's inputs, outputs, tensors and operators; pure.

Fields are numbered as in onnx/onnx.proto of ONNX 1.23. Nothing of a tensor's content is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from . import proto
from .proto import BYTES, Field, ProtoError

DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    8: "string", 9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
    14: "complex64", 15: "complex128", 16: "bfloat16", 17: "float8e4m3fn", 18: "float8e4m3fnuz",
    19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4e2m1",
    24: "float8e8m0", 25: "uint2", 26: "int2",
}  # fmt: skip
BITS = {
    "float32": 32, "uint8": 8, "int8": 8, "uint16": 16, "int16": 16, "int32": 32, "int64": 64,
    "bool": 8, "float16": 16, "float64": 64, "uint32": 32, "uint64": 64, "complex64": 64,
    "complex128": 128, "bfloat16": 16, "uint4": 4, "int4": 4, "uint2": 2, "int2": 2,
    "float4e2m1": 4,
}  # fmt: skip
_FLOAT = 1
DEEPEST = 32
Size = Any  # int, str (a name for any number), or None: nothing is known
# kinds of values that are no tensors, by the field of TypeProto
_OTHERS = {4: "sequence", 5: "map", 8: "sparse tensor", 9: "optional", 7: "opaque"}


class External(NamedTuple):
    """Where a tensor lies that is not in the file: the file's `location`, bytes of it."""

    tensor: str
    location: str
    offset: int
    length: int | None


@dataclass(frozen=True)
class Value:
    """An input or output: `kind` "tensor", "map", ...; `shape` None: nothing is said of it."""

    name: str
    kind: str
    dtype: str | None = None
    shape: tuple[Size, ...] | None = None


@dataclass(frozen=True)
class Tensor:
    """A constant; `start` to `end` are its bytes in the file, where they lie there in one piece.

    `field` is where its message is.
    """

    name: str
    dtype: str
    dims: tuple[int, ...]
    field: Field
    start: int = 0
    end: int = 0
    held: int = 0
    external: External | None = None

    @property
    def count(self) -> int:
        """How many numbers it has."""
        made = 1
        for size in self.dims:
            made *= size
        return made


@dataclass(frozen=True)
class Node:
    """One operator; `graphs` are those of its attributes."""

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    graphs: tuple[Graph, ...] = ()
    external: tuple[External, ...] = ()


@dataclass
class Graph:
    """A graph; `nodes` are read where they were asked for."""

    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    sparse: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    node_fields: list[Field] = field(default_factory=list)

    def fed(self) -> tuple[Value, ...]:
        """The inputs that a request must have; before IR version 4 constants were inputs, too."""
        constant = {tensor.name for tensor in self.tensors} | set(self.sparse)
        return tuple(value for value in self.inputs if value.name not in constant)


@dataclass
class ModelProto:
    """A file: `opsets` by domain, `place` is the graph's field, `functions` are (domain, name)."""

    ir_version: int = 0
    producer: str = ""
    opsets: dict[str, int] = field(default_factory=dict)
    functions: set[tuple[str, str]] = field(default_factory=set)
    graph: Graph = field(default_factory=Graph)
    place: Field | None = None


def begins(start: bytes) -> bool:
    """Whether a file that begins so may be a ModelProto: its IR version comes first."""
    return len(start) > 4 and start[0] == 0x08 and 0 < start[1] < 64 and start[2] in _SECOND


# keys of producer_name to opset_import and of metadata, which follow the IR version
_SECOND = {0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72, 0xA2, 0xCA}


def read(data: Any, *, nodes: bool = False) -> ModelProto:
    """Read a file; its operators, too, where `nodes` says so. Raises ProtoError."""
    made, version = ModelProto(), ""
    for one in proto.fields(data, 0, len(data)):
        if one.number == 1:
            made.ir_version = one.value
        elif one.number == 2:
            made.producer = proto.text(data, one)
        elif one.number == 3:
            version = proto.text(data, one)
        elif one.number == 7:
            if made.place is not None:
                raise ProtoError("has two graphs")
            made.place = _message(one)
        elif one.number == 8:
            made.opsets.update([_opset(data, one)])
        elif one.number == 25:
            made.functions.add(_function(data, one))
    made.producer = f"{made.producer} {version}".strip()
    if made.place is None:
        raise ProtoError("has no graph")
    made.graph = _graph(data, made.place, nodes, 0)
    return made


def _message(one: Field) -> Field:
    if one.wire != BYTES:
        raise ProtoError(f"is damaged at byte {one.head:,}")
    return one


def _inside(data: Any, one: Field) -> Iterator[Field]:
    return proto.fields(data, _message(one).start, one.end)


def _opset(data: Any, one: Field) -> tuple[str, int]:
    domain, version = "", 0
    for part in _inside(data, one):
        if part.number == 1:
            domain = proto.text(data, part)
        elif part.number == 2:
            version = proto.signed(part.value)
    return ("" if domain == "ai.onnx" else domain), version


def _function(data: Any, one: Field) -> tuple[str, str]:
    texts = {part.number: part for part in _inside(data, one) if part.number in (1, 10)}
    found = {number: proto.text(data, part) for number, part in texts.items()}
    return found.get(10, ""), found.get(1, "")


def _graph(data: Any, place: Field, nodes: bool, depth: int) -> Graph:
    if depth > DEEPEST:
        raise ProtoError("has graphs nested too deeply")
    made = Graph()
    for one in _inside(data, place):
        if one.number == 1:
            made.node_fields.append(_message(one))
            if nodes:
                made.nodes.append(_node(data, one, depth))
        elif one.number == 5:
            made.tensors.append(_tensor(data, one))
        elif one.number == 11:
            made.inputs.append(_value(data, one))
        elif one.number == 12:
            made.outputs.append(_value(data, one))
        elif one.number == 15:
            made.sparse += [_tensor(data, p).name for p in _inside(data, one) if p.number == 1]
    return made


def _node(data: Any, place: Field, depth: int) -> Node:
    names: dict[int, list[str]] = {1: [], 2: []}
    texts = {3: "", 4: "", 7: ""}
    graphs: list[Graph] = []
    external: list[External] = []
    for one in _inside(data, place):
        if one.number in names:
            names[one.number].append(proto.text(data, one))
        elif one.number in texts:
            texts[one.number] = proto.text(data, one)
        elif one.number == 5:
            _attribute(data, one, depth, graphs, external)
    domain = "" if texts[7] == "ai.onnx" else texts[7]
    ends = tuple(names[1]), tuple(names[2])
    return Node(texts[4], domain, texts[3], *ends, tuple(graphs), tuple(external))


def _attribute(
    data: Any, place: Field, depth: int, graphs: list[Graph], external: list[External]
) -> None:
    for one in _inside(data, place):
        if one.number in (6, 11):
            graphs.append(_graph(data, one, True, depth + 1))
        elif one.number in (5, 10):
            tensor = _tensor(data, one)
            external += [tensor.external] if tensor.external else []
        elif one.number in (22, 23):
            parts = [_tensor(data, p) for p in _inside(data, one) if p.number in (1, 2)]
            external += [part.external for part in parts if part.external]


def _tensor(data: Any, place: Field) -> Tensor:
    name, kind, dims, raw, floats, outside = "", 0, [], None, [], False
    entries: dict[str, str] = {}
    held = 0
    for one in _inside(data, place):
        if one.number == 1:
            dims += proto.whole_numbers(data, one)
        elif one.number == 2:
            kind = one.value
        elif one.number == 8:
            name = proto.text(data, one)
        elif one.number == 9:
            raw = _message(one)
        elif one.number == 13:
            entries.update([_entry(data, one)])
        elif one.number == 14:
            outside = one.value == 1
        elif one.number in (4, 5, 6, 7, 10, 11):
            held += 1
            floats += [one] if one.number == 4 and one.wire == BYTES else []
    if kind not in DTYPES or min(dims, default=1) < 0:
        raise ProtoError(f"has a damaged tensor at byte {place.head:,}")
    # floats of one packed field lie there as raw ones do
    piece = raw or (floats[0] if kind == _FLOAT and len(floats) == held == 1 else None)
    start, end = (piece.start, piece.end) if piece else (0, 0)
    away = _external(name, entries) if outside else None
    return Tensor(name, DTYPES[kind], tuple(dims), place, start, end, held, away)


def _external(name: str, entries: Mapping[str, str]) -> External:
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries["length"]) if entries.get("length") else None
    except ValueError:
        raise ProtoError(f"does not say where the tensor {name} lies") from None
    return External(name, entries.get("location", ""), offset, length)


def _entry(data: Any, place: Field) -> tuple[str, str]:
    found = {one.number: proto.text(data, one) for one in _inside(data, place)}
    return found.get(1, ""), found.get(2, "")


def _value(data: Any, place: Field) -> Value:
    name, kind = "", Value("", "unknown")
    for one in _inside(data, place):
        if one.number == 1:
            name = proto.text(data, one)
        elif one.number == 2:
            kind = _type(data, one)
    return Value(name, kind.kind, kind.dtype, kind.shape)


def _type(data: Any, place: Field) -> Value:
    for one in _inside(data, place):
        if one.number in _OTHERS:
            inner = [_type(data, part) for part in _inside(data, one) if part.wire == BYTES]
            of_maps = one.number == 4 and inner and inner[0].kind == "map"
            return Value("", "sequence of maps" if of_maps else _OTHERS[one.number])
        if one.number == 1:
            return _tensor_type(data, one)
    return Value("", "unknown")


def _tensor_type(data: Any, place: Field) -> Value:
    kind, shape = 0, None
    for one in _inside(data, place):
        if one.number == 1:
            kind = one.value
        elif one.number == 2:
            sizes = [_size(data, part) for part in _inside(data, one) if part.number == 1]
            shape = tuple(sizes)
    return Value("", "tensor", DTYPES.get(kind, f"type {kind}"), shape)


def _size(data: Any, place: Field) -> Size:
    found: Size = None
    for one in _inside(data, place):
        if one.number == 1:
            found = proto.signed(one.value)
        elif one.number == 2:
            found = proto.text(data, one) or None
    return None if isinstance(found, int) and found < 0 else found


def every_graph(graph: Graph) -> Iterator[Graph]:
    """A graph and those inside of it, whose nodes were read."""
    yield graph
    for node in graph.nodes:
        for inner in node.graphs:
            yield from every_graph(inner)


def external(graph: Graph) -> Sequence[External]:
    """Where all tensors lie that are in other files."""
    found: list[External] = []
    for one in every_graph(graph):
        found += [tensor.external for tensor in one.tensors if tensor.external]
        found += [away for node in one.nodes for away in node.external]
    return found

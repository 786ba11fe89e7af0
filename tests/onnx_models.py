"""ONNX models for tests, written message by message: no onnx package needed.

`model([node("Relu", ["x"], ["y"])], [value("x", "float32", ("N", 4))], [value("y", ...)])` gives
the bytes of a file. Runs in the serving environment, too.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

KINDS = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7,
    "string": 8, "bool": 9, "float16": 10, "float64": 11, "uint32": 12, "uint64": 13,
    "complex64": 14, "bfloat16": 16,
}  # fmt: skip
FLOAT, INT, STRING, TENSOR, GRAPH, FLOATS, INTS, STRINGS = 1, 2, 3, 4, 5, 6, 7, 8
MAPS = "maps"


def written_varint(number: int) -> bytes:
    """A number in 7 bits a byte."""
    number &= (1 << 64) - 1
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    return bytes([*made, number])


def written(number: int, content: bytes | int) -> bytes:
    """A field: a number, or bytes."""
    if isinstance(content, int):
        return written_varint(number << 3) + written_varint(content)
    return written_varint(number << 3 | 2) + written_varint(len(content)) + content


def _fixed(number: int, one: float) -> bytes:
    return written_varint(number << 3 | 5) + struct.pack("<f", one)


def _attribute(name: str, given: Any) -> bytes:
    if isinstance(given, bool):
        raise TypeError("ONNX has no bool attributes")
    if isinstance(given, int):
        kind, body = INT, written(3, given)
    elif isinstance(given, float):
        kind, body = FLOAT, _fixed(2, given)
    elif isinstance(given, str):
        kind, body = STRING, written(4, given.encode())
    elif isinstance(given, np.ndarray):
        kind, body = TENSOR, written(5, tensor("", given))
    elif isinstance(given, bytes):  # of graph()
        kind, body = GRAPH, written(6, given)
    elif all(isinstance(one, int) for one in given):
        kind, body = INTS, b"".join(written(8, one) for one in given)
    elif all(isinstance(one, str) for one in given):
        kind, body = STRINGS, b"".join(written(9, one.encode()) for one in given)
    else:
        kind, body = FLOATS, b"".join(_fixed(7, float(one)) for one in given)
    return written(1, name.encode()) + body + written(20, kind)


def node(
    op: str, inputs: Sequence[str], outputs: Sequence[str], domain: str = "", **attributes: Any
) -> bytes:
    """An operator."""
    made = b"".join(written(1, one.encode()) for one in inputs)
    made += b"".join(written(2, one.encode()) for one in outputs)
    made += written(4, op.encode())
    made += b"".join(written(5, _attribute(name, one)) for name, one in attributes.items())
    return made + (written(7, domain.encode()) if domain else b"")


def tensor(name: str, array: Any, typed: bool = False) -> bytes:
    """A constant; `typed`: its numbers in a field of floats instead of as they lie in memory."""
    array = np.ascontiguousarray(array)
    made = b"".join(written(1, size) for size in array.shape)
    made += written(2, KINDS[array.dtype.name]) + written(8, name.encode())
    return made + written(4 if typed else 9, array.tobytes())


def outside(name: str, array: Any, location: str, offset: int = 0, length: int = -1) -> bytes:
    """A constant that lies in another file."""
    made = b"".join(written(1, size) for size in array.shape)
    made += written(2, KINDS[array.dtype.name]) + written(8, name.encode()) + written(14, 1)
    length = array.nbytes if length < 0 else length
    for key, one in (("location", location), ("offset", offset), ("length", length)):
        made += written(13, written(1, key.encode()) + written(2, str(one).encode()))
    return made


def value(name: str, dtype: str, shape: Sequence[Any] | None) -> bytes:
    """An input or output; None of a shape is a size that nobody knows, a text one with a name."""
    if dtype == MAPS:  # what a ZipMap answers: a dictionary a row
        floats = written(1, written(1, KINDS["float32"]))
        kind = written(4, written(1, written(5, written(1, KINDS["int64"]) + written(2, floats))))
        return written(1, name.encode()) + written(2, kind)
    body = written(1, KINDS[dtype])
    if shape is not None:
        body += written(2, b"".join(written(1, _size(size)) for size in shape))
    return written(1, name.encode()) + written(2, written(1, body))


def _size(size: Any) -> bytes:
    if size is None:
        return b""
    return written(2, size.encode()) if isinstance(size, str) else written(1, size)


def graph(
    nodes: Sequence[bytes],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
    tensors: Sequence[bytes] = (),
) -> bytes:
    """A graph, for a model or an attribute."""
    made = b"".join(written(1, one) for one in nodes) + written(2, b"graph")
    made += b"".join(written(5, one) for one in tensors)
    made += b"".join(written(11, one) for one in inputs)
    return made + b"".join(written(12, one) for one in outputs)


def model(
    nodes: Sequence[bytes],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
    tensors: Sequence[bytes] = (),
    opset: int = 17,
    **opsets: int,
) -> bytes:
    """A file; other sets of operators by domain, with _ for a dot."""
    made = written(1, 8) + written(2, b"tests") + written(7, graph(nodes, inputs, outputs, tensors))
    made += written(8, written(2, opset))
    for domain, version in opsets.items():
        made += written(8, written(1, domain.replace("_", ".").encode()) + written(2, version))
    return made


def linear(columns: int = 3, outputs: int = 2, rows: Any = "N", seed: int = 0) -> bytes:
    """y = x w + b."""
    random = np.random.RandomState(seed)
    weights = random.randn(columns, outputs).astype(np.float32)
    bias = random.randn(outputs).astype(np.float32)
    return model(
        [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "b"], ["y"])],
        [value("x", "float32", (rows, columns))],
        [value("y", "float32", (rows, outputs))],
        [tensor("w", weights), tensor("b", bias)],
    )

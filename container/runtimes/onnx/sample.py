"""A model of two operators, to have one at hand: y = relu(x) + x, of rows of four numbers; pure."""

from __future__ import annotations

# relative: mmectl/frameworks/onnx links here
from .proto import written

ROW, ANSWER = (1.0, 2.0, 3.0, -4.0), (2.0, 4.0, 6.0, -4.0)
_FLOAT, _IR, _OPSET = 1, 7, 13


def model() -> bytes:
    """Its file."""
    graph = written(1, _node("Relu", "x", "r")) + written(1, _node("Add", "r", "x", "y"))
    graph += written(2, b"sample")
    graph += written(11, _value("x")) + written(12, _value("y"))
    return written(1, _IR) + written(7, graph) + written(8, written(2, _OPSET))


def _value(name: str) -> bytes:
    sizes = written(1, written(2, b"N")) + written(1, written(1, len(ROW)))
    tensor = written(1, _FLOAT) + written(2, sizes)
    return written(1, name.encode()) + written(2, written(1, tensor))


def _node(op: str, *names: str) -> bytes:
    *inputs, output = names
    made = b"".join(written(1, name.encode()) for name in inputs)
    return made + written(2, output.encode()) + written(4, op.encode())

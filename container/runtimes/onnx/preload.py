"""What is made before any fork: ONNX Runtime imported, and a small model loaded and asked."""

from __future__ import annotations

from runtimes.onnx import proto, sessions

_FLOAT = 1


def _value(name: str) -> bytes:
    sizes = b"".join(proto.written(1, proto.written(1, size)) for size in (1, 4))
    tensor = proto.written(1, _FLOAT) + proto.written(2, sizes)
    return proto.written(1, name.encode()) + proto.written(2, proto.written(1, tensor))


def _node(op: str, *names: str) -> bytes:
    *inputs, output = names
    made = b"".join(proto.written(1, name.encode()) for name in inputs)
    return made + proto.written(2, output.encode()) + proto.written(4, op.encode())


def model() -> bytes:
    """A model of two operators: y = relu(x) + x, of shape (1, 4)."""
    graph = proto.written(1, _node("Relu", "x", "r"))
    graph += proto.written(1, _node("Add", "r", "x", "y"))
    graph += proto.written(2, b"preload")
    graph += proto.written(11, _value("x")) + proto.written(12, _value("y"))
    opset = proto.written(8, proto.written(2, 13))
    return proto.written(1, 7) + proto.written(7, graph) + opset


def compute() -> None:
    """Load and ask it, with one thread: the process is to be forked."""
    import numpy as np

    session = sessions.open_session(model(), sessions.options(1), "preload")
    sessions.compute(session, ["y"], {"x": np.ones((1, 4), np.float32)})

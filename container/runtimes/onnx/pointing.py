"""An ONNX model whose large tensors are bytes of the very file that it came from; pure.

ONNX Runtime maps such tensors instead of copying them twice on the way in: a 54 MB network loads
in half the time, and what no kernel rearranges stays a page of the file.
"""

from __future__ import annotations

from typing import Any

from . import proto
from .graph import ModelProto, Tensor

LEAST_BYTES = 1024
_INITIALIZER = 5
_CONTENT = {4, 9, 13, 14}  # float_data, raw_data, external_data, data_location
_BITS = {"float32": 32, "float16": 16, "float64": 64, "int8": 8, "uint8": 8, "int32": 32,
         "int64": 64}  # fmt: skip


def pointed(data: Any, model: ModelProto, name: str) -> bytes | None:
    """The model in `data` without its large tensors, which lie in the file `name`.

    None where there are none.
    """
    tensors = [tensor for tensor in model.graph.tensors if _is_large(tensor)]
    if not tensors or model.place is None:
        return None
    graph, at = bytearray(), model.place.start
    for tensor in tensors:
        graph += data[at : tensor.field.head]
        graph += _written(data, tensor, name)
        at = tensor.field.end
    graph += data[at : model.place.end]
    made = bytearray(data[: model.place.head])
    made += proto.head(model.place.number, len(graph))
    made += graph
    made += data[model.place.end :]
    return bytes(made)


def _is_large(tensor: Tensor) -> bool:
    bits = _BITS.get(tensor.dtype)
    size = tensor.end - tensor.start
    return bits is not None and size >= LEAST_BYTES and size * 8 == tensor.count * bits


def _written(data: Any, tensor: Tensor, name: str) -> bytes:
    parts = proto.fields(data, tensor.field.start, tensor.field.end)
    content = b"".join(bytes(data[p.head : p.end]) for p in parts if p.number not in _CONTENT)
    place = {"location": name, "offset": str(tensor.start)}
    place["length"] = str(tensor.end - tensor.start)
    for key, value in place.items():
        entry = proto.written(1, key.encode()) + proto.written(2, value.encode())
        content += proto.written(13, entry)
    content += proto.written(14, 1)
    return proto.written(_INITIALIZER, content)

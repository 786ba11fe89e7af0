"""A model of mmectl's own, and a picture for it: 8 x 8 pixels, one dense layer, two classes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

from mmectl.frameworks.base import Sample

_SIDE = 8
_WEIGHTS = 3 * _SIDE * _SIDE


def sample() -> Sample:
    """A model that tells light images from dark ones, in MXNet's own formats, and a light one."""
    shapes = [{"name": "data", "shape": [1, 3, _SIDE, _SIDE]}]
    weight = [0.0] * _WEIGHTS + [1.0 / 255 / _WEIGHTS] * _WEIGHTS
    arrays = {"arg:fc_weight": ((2, _WEIGHTS), weight), "arg:fc_bias": ((2,), [0.5, 0.0])}
    files = {
        "smoke-symbol.json": json.dumps(_symbol()).encode(),
        "smoke-shapes.json": json.dumps(shapes).encode(),
        "synset.txt": b"dark\nlight\n",
        "smoke-0000.params": _params(arrays),
    }
    return Sample(files, picture(), "image/bmp", "")


def write_model(folder: Path) -> None:
    """Write the model into a new folder."""
    sample().write(folder)


def _symbol() -> dict[str, object]:
    names = ("data", "fc_weight", "fc_bias")
    nodes: list[dict[str, object]] = [{"op": "null", "name": n, "inputs": []} for n in names]
    inputs = [[0, 0, 0], [1, 0, 0], [2, 0, 0]]
    layer = {"op": "FullyConnected", "name": "fc", "attrs": {"num_hidden": "2"}, "inputs": inputs}
    head = {"op": "softmax", "name": "prob", "inputs": [[3, 0, 0]]}
    return {
        "nodes": [*nodes, layer, head],
        "arg_nodes": [0, 1, 2],
        "node_row_ptr": [0, 1, 2, 3, 4, 5],
        "heads": [[4, 0, 0]],
        "attrs": {"mxnet_version": ["int", 10901]},
    }


def _params(arrays: Mapping[str, tuple[tuple[int, ...], list[float]]]) -> bytes:
    """Encode as NDArray::Save does: dense float32 arrays on the CPU, then their names."""
    data = struct.pack("<QQQ", 0x112, 0, len(arrays))
    for shape, values in arrays.values():
        data += struct.pack(f"<IiI{len(shape)}q", 0xF993FAC9, 0, len(shape), *shape)
        data += struct.pack(f"<iii{len(values)}f", 1, 0, 0, *values)
    data += struct.pack("<Q", len(arrays))
    for name in arrays:
        data += struct.pack("<Q", len(name)) + name.encode()
    return data


def picture() -> bytes:
    """Draw a white BMP of 8 x 8 pixels."""
    pixels = b"\xff" * (_SIDE * _SIDE * 3)
    header = struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54)
    return header + struct.pack("<IiiHHIIiiII", 40, _SIDE, _SIDE, 1, 24, 0, 0, 0, 0, 0, 0) + pixels

"""A small, valid model folder for tests to break."""

from __future__ import annotations

import json
import struct

from mmectl.frameworks.mxnet import params

CLASSES = 3


def floats(count, value=0.5):
    return struct.pack("<f", value) * count


ARRAYS = [
    ("arg:conv_weight", (4, 3, 3, 3), floats(108)),
    ("arg:fc_weight", (CLASSES, 4), floats(12)),
    ("arg:fc_bias", (CLASSES,), floats(3)),
]


def node(op, name, *inputs, **attrs):
    return {"op": op, "name": name, "attrs": attrs, "inputs": [[i, 0, 0] for i in inputs]}


def symbol():
    nodes = [
        node("null", "data"),
        node("null", "conv_weight"),
        node("Convolution", "conv", 0, 1, kernel="(3, 3)", num_filter="4", no_bias="True"),
        node("Pooling", "pool", 2, global_pool="True", kernel="(1, 1)"),
        node("null", "fc_weight"),
        node("null", "fc_bias"),
        node("FullyConnected", "fc", 3, 4, 5, num_hidden=str(CLASSES)),
        node("null", "softmax_label"),
        node("SoftmaxOutput", "softmax", 6, 7),
    ]
    return {"nodes": nodes, "arg_nodes": [0, 1, 4, 5, 7], "heads": [[8, 0, 0]]}


def write_params(path, arrays=ARRAYS, legacy=False):
    with path.open("wb") as stream:
        params.write(stream, arrays, legacy=legacy)


def make_model(folder, stem="net"):
    folder.mkdir(parents=True)
    (folder / f"{stem}-symbol.json").write_text(json.dumps(symbol()))
    write_params(folder / f"{stem}-0000.params")
    shapes = [{"shape": [1, 3, 8, 8], "name": "data"}]
    (folder / f"{stem}-shapes.json").write_text(json.dumps(shapes))
    (folder / "synset.txt").write_text("red\ngreen\nblue\n")
    return folder

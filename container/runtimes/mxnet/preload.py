"""A small network of the operators that image networks are made of, run once in the nursery.

What MXNet and oneDNN make at first use (operator tables, temporary space, random states of
Dropout, kernels) is then made before the fork, once for all workers.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image
from serving.handler import codecs, images

from runtimes.mxnet.capi import Array, Executor, Graph
from runtimes.mxnet.model_files import Input

INPUT = (1, 3, 32, 32)
ORIENTATION = 0x0112  # of EXIF


class _Builder:
    """Nodes of a network's JSON, one after the other; each is known by its number."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []

    def variable(self, name: str) -> int:
        return self._add("null", name, {}, [])

    def layer(self, kind: str, name: str, weights: str = "", *inputs: int, **attrs: str) -> int:
        """Add an operator with its weights as variables of their own."""
        own = [self.variable(f"{name}_{word}") for word in weights.split()]
        return self._add(kind, name, attrs, [*inputs, *own])

    def _add(self, kind: str, name: str, attrs: dict[str, str], inputs: list[int]) -> int:
        sources = [[number, 0, 0] for number in inputs]
        self.nodes.append({"op": kind, "name": name, "attrs": attrs, "inputs": sources})
        return len(self.nodes) - 1


def network() -> str:
    """Describe the network as JSON."""
    made = _Builder()
    layer = made.layer
    pool = {"kernel": "(2, 2)", "stride": "(2, 2)"}
    norm = "gamma beta moving_mean moving_var"
    x = made.variable("data")
    x = layer("BatchNorm", "bn0", norm, x)
    x = layer(
        "Convolution", "conv1", "weight bias", x, kernel="(3, 3)", num_filter="16", pad="(1, 1)"
    )
    x = layer("Activation", "relu1", "", x, act_type="relu")
    x = layer("Pooling", "pool1", "", x, pool_type="max", **pool)
    x = layer("Convolution", "conv2", "weight bias", x, kernel="(1, 1)", num_filter="16")
    y = layer(
        "Convolution", "conv3", "weight bias", x, kernel="(3, 3)", num_filter="16", pad="(1, 1)"
    )
    z = layer("Concat", "concat", "", x, y, num_args="2", dim="1")
    w = layer("Convolution", "conv4", "weight", z, kernel="(1, 1)", num_filter="16", no_bias="True")
    x = layer("elemwise_add", "plus", "", w, y)
    x = layer("BatchNorm", "bn1", norm, x, fix_gamma="False")
    x = layer("Activation", "relu2", "", x, act_type="relu")
    x = layer("Dropout", "drop", "", x, p="0.5")
    x = layer("Pooling", "pool2", "", x, pool_type="avg", global_pool="True", kernel="(1, 1)")
    x = layer("Flatten", "flat", "", x)
    x = layer("FullyConnected", "fc", "weight bias", x, num_hidden="16")
    x = layer("SoftmaxOutput", "softmax", "label", x)
    variables = [i for i, node in enumerate(made.nodes) if node["op"] == "null"]
    attrs = {"mxnet_version": ["int", 10901]}
    return json.dumps(
        {"nodes": made.nodes, "arg_nodes": variables, "heads": [[x, 0, 0]], "attrs": attrs}
    )


def warm_up() -> None:
    """Run the network and answer some requests; raises EngineError or MemoryError."""
    _compute()
    for body, kind in _requests():
        for _ in range(2):
            feed = codecs.parse(body, kind, [Input("data", INPUT)])
            for accepted in (codecs.JSON, codecs.NPY):
                scores = np.full((1, 5), 0.2, np.float32)
                codecs.answer([scores], feed, accepted, [str(n) for n in range(5)])


def _compute() -> None:
    first = Graph(network().encode())
    graph = Graph(first.text())
    arrays = {name: Array(shape, 0) for name, shape in graph.shapes({"data": INPUT}).items()}
    for array in arrays.values():
        array.view().fill(0.5)
    executor = Executor(graph, arrays)
    for _ in range(2):
        arrays["data"].fill(np.zeros(INPUT, np.float32))
        executor.run()
    first.free()
    graph.free()


def _requests() -> Iterator[tuple[bytes, str]]:
    """Make a request of every kind that is served; photographs come with EXIF data."""
    item = np.zeros(INPUT[1:], np.float32)
    yield json.dumps(item.tolist()).encode(), codecs.JSON
    stream = io.BytesIO()
    np.save(stream, item)
    yield stream.getvalue(), codecs.NPY
    picture, exif = Image.new("RGB", (64, 48)), Image.Exif()
    exif[ORIENTATION] = 3
    for name in images.FORMATS:
        stream = io.BytesIO()
        picture.save(stream, name, **({"exif": exif} if name in ("JPEG", "PNG", "WEBP") else {}))
        yield stream.getvalue(), "image/any"

"""A small network of the operators that image networks are made of, run once before any fork.

What MXNet and oneDNN make at first use (operator tables, temporary space, random states of
Dropout, kernels) is then made before the fork, once for all workers.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from runtimes.mxnet.capi import Array, Executor, Graph

INPUT = (1, 3, 32, 32)


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


def compute() -> None:
    """Run the network; raises EngineError or MemoryError."""
    first = Graph(network().encode())
    graph = Graph(first.text())
    shapes = graph.shapes({"data": INPUT})
    arrays = {name: Array(shape, 0) for name, shape in shapes.items() if shape is not None}
    for array in arrays.values():
        array.view().fill(0.5)
    executor = Executor(graph, arrays)
    for _ in range(2):
        arrays["data"].fill(np.zeros(INPUT, np.float32))
        executor.run()
    first.free()
    graph.free()

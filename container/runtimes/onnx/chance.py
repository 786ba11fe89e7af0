"""Whether a graph draws random numbers: voices, samplers and generators of pictures do; pure."""

from __future__ import annotations

from runtimes.onnx import graph as graphs

_DRAWS = {
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial",
    "Bernoulli", "Sampling",
}  # fmt: skip
_TRAINING = 2  # the input of Dropout that says whether it drops anything


def of(graph: graphs.Graph) -> bool:
    """Tell it for a graph whose operators were read."""
    nodes = [node for one in graphs.every_graph(graph) for node in one.nodes]
    return any(node.op in _DRAWS or _drops(node) for node in nodes)


def _drops(node: graphs.Node) -> bool:
    return node.op == "Dropout" and bool("".join(node.inputs[_TRAINING:]))

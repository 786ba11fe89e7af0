"""How the numbers of an output become probabilities, by the operator that makes them; pure."""

from __future__ import annotations

from runtimes.onnx import graph as graphs
from runtimes.values import Likelihood

_KINDS = {
    "Softmax": Likelihood.PROBABILITY,
    "Sigmoid": Likelihood.PROBABILITY,
    "HardSigmoid": Likelihood.PROBABILITY,
    "LogSoftmax": Likelihood.LOGARITHM,
}
# what leaves the numbers as they are
_SAME = {"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast", "Dropout"}


def of(graph: graphs.Graph, output: str) -> Likelihood:
    """Tell it for an output of a graph whose operators were read."""
    nodes = graph.nodes
    makers = {name: node for node in nodes for name in node.outputs}
    name, left = output, len(nodes)
    while name in makers and left:
        node, left = makers[name], left - 1
        if node.op not in _SAME or not node.inputs:
            return _KINDS.get(node.op, Likelihood.SCORE)
        name = node.inputs[0]
    return Likelihood.SCORE

"""What a network's first output is; tests/platform/test_labelled.py has MXNet's own graphs."""

from __future__ import annotations

from typing import Any

import pytest
from runtimes.mxnet import likelihood
from runtimes.values import Likelihood

Node = dict[str, Any]


def graph(*layers: tuple[str, list[int], dict[str, str]]) -> dict[str, Any]:
    """A graph of `data`, a dense layer (node 1), and further nodes; the last one is the output."""
    nodes: list[Node] = [
        {"op": "null", "name": "data", "inputs": []},
        {"op": "FullyConnected", "name": "fc", "inputs": [[0, 0, 0]], "attrs": {}},
    ]
    for number, (op, inputs, attributes) in enumerate(layers):
        sources = [[source, 0, 0] for source in inputs]
        nodes.append({"op": op, "name": f"n{number}", "inputs": sources, "attrs": attributes})
    return {"nodes": nodes, "heads": [[len(nodes) - 1, 0, 0]]}


EXP = ("exp", [1], {})
CASES = {
    "a dense layer": (graph(), Likelihood.SCORE),
    "a sigmoid": (graph(("sigmoid", [1], {})), Likelihood.PROBABILITY),
    "an operator that nobody knows": (graph(("Mystery", [1], {})), Likelihood.SCORE),
    "1 / (1 + exp)": (
        graph(EXP, ("_plus_scalar", [2], {"scalar": "1"}), ("_rdiv_scalar", [3], {"scalar": "1"})),
        Likelihood.PROBABILITY,
    ),
    "5 / (1 + exp) is beyond 1": (
        graph(EXP, ("_plus_scalar", [2], {"scalar": "1"}), ("_rdiv_scalar", [3], {"scalar": "5"})),
        Likelihood.SCORE,
    ),
    "5 / (5 + exp): the constants are not one value": (
        graph(EXP, ("_plus_scalar", [2], {"scalar": "5"}), ("_rdiv_scalar", [3], {"scalar": "6"})),
        Likelihood.SCORE,
    ),
    "exp / sum(exp)": (
        graph(EXP, ("sum", [2], {"axis": "1"}), ("broadcast_div", [2, 3], {})),
        Likelihood.PROBABILITY,
    ),
    "exp / sum(another exp)": (
        graph(EXP, ("FullyConnected", [0], {}), ("exp", [3], {}), ("sum", [4], {}),
              ("broadcast_div", [2, 5], {})),
        Likelihood.SCORE,
    ),
    "exp / (sum + 1000) is smaller still": (
        graph(EXP, ("sum", [2], {}), ("_plus_scalar", [3], {"scalar": "1000"}),
              ("broadcast_div", [2, 4], {})),
        Likelihood.PROBABILITY,
    ),
    "scores / (sum + 1000) are none": (
        graph(("sum", [1], {}), ("_plus_scalar", [2], {"scalar": "1000"}),
              ("broadcast_div", [1, 3], {})),
        Likelihood.SCORE,
    ),
    "one half of a split over the other": (
        graph(EXP, ("SliceChannel", [2], {"num_outputs": "2"}), ("elemwise_div", [3, 3], {})),
        Likelihood.PROBABILITY,
    ),
    "an attribute that is not a number": (
        graph(("clip", [1], {"a_min": "None", "a_max": "1"})),
        Likelihood.SCORE,
    ),
    "a power beyond all numbers": (
        graph(("_maximum_scalar", [1], {"scalar": "1e300"}), ("square", [2], {})),
        Likelihood.SCORE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_graph_decides(case):
    network, meaning = CASES[case]
    assert likelihood.of(network) is meaning


def test_the_two_outputs_of_one_operator_are_not_the_same_value():
    network = graph(EXP, ("SliceChannel", [2], {"num_outputs": "2"}), ("elemwise_div", [3, 3], {}))
    network["nodes"][4]["inputs"] = [[3, 0, 0], [3, 1, 0]]
    assert likelihood.of(network) is Likelihood.SCORE


def test_a_deep_network_is_read_without_recursion():
    layers = [("sigmoid", [1], {}), *(("_copy", [n], {}) for n in range(2, 5000))]
    assert likelihood.of(graph(*layers)) is Likelihood.PROBABILITY


def test_several_outputs_are_told_by_the_first():
    network = graph(("sigmoid", [1], {}))
    network["heads"] = [[1, 0, 0], [2, 0, 0]]
    assert likelihood.of(network) is Likelihood.SCORE

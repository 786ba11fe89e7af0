"""What an MXNet symbol file asks of its parameters. Pure: JSON text in, values out.

Reads both forms: nnvm's (``attrs``, moving statistics listed as inputs) and the one before it
(``param``, moving statistics unlisted; ``src/nnvm/legacy_json_util.cc`` adds them on loading).
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmectl.frameworks.mxnet.model_files import labels_of

# operators that keep the number of classes, so that it can be read off the layer before them
_PASSING = {
    "Activation",
    "BatchNorm",
    "Cast",
    "Dropout",
    "Flatten",
    "LeakyReLU",
    "LinearRegressionOutput",
    "LogisticRegressionOutput",
    "MAERegressionOutput",
    "Pooling",
    "SVMOutput",
    "SoftmaxActivation",
    "SoftmaxOutput",
    "identity",
    "log_softmax",
    "sigmoid",
    "softmax",
}
_WHOLE = re.compile(r"[0-9]{1,9}")
_TUPLE = re.compile(r"\s*[(\[]((?:\s*[0-9]{1,9}L?\s*,)*(?:\s*[0-9]{1,9}L?\s*)?)[)\]]\s*")
MOST_NODES = 100_000  # the largest networks have some thousands
_LAYERS = {"Convolution": "num_filter", "FullyConnected": "num_hidden"}


class SymbolProblem(Exception):
    """The text is not a symbol; the message says why."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its operator (``null`` for an input), name, attributes, input numbers.

    `ports` says of each input which output of that node it is; 0 nearly always.
    """

    op: str
    name: str
    attributes: Mapping[str, str]
    inputs: tuple[int, ...]
    ports: tuple[int, ...] = ()

    def number(self, key: str) -> int | None:
        """An attribute as a whole number, or None."""
        value = self.attributes.get(key, "")
        return int(value) if _WHOLE.fullmatch(value) else None

    def numbers(self, key: str) -> tuple[int, ...]:
        """An attribute such as ``(3, 3)``; empty where it is absent or no tuple."""
        found = _TUPLE.fullmatch(self.attributes.get(key, ""))
        return tuple(map(int, _WHOLE.findall(found[1]))) if found else ()


@dataclass(frozen=True, slots=True, eq=False)  # told apart as objects, for caches
class Symbol:
    """A graph in topological order; `heads` are the numbers of its output nodes."""

    nodes: tuple[Node, ...]
    heads: tuple[int, ...]

    def inputs(self) -> tuple[str, ...]:
        """Every input by name: data, labels and parameters."""
        return tuple(node.name for node in self.nodes if node.op == "null")

    def labels(self) -> frozenset[str]:
        """Inputs that only training needs; see `model_files.labels_of`."""
        return labels_of([(n.op, n.name, n.inputs) for n in self.nodes], self.heads)

    def parameters(self) -> set[str]:
        """Every input but labels, and the moving statistics: what the parameter file may hold."""
        wanted = set(self.inputs()) - self.labels()
        for node in self.nodes:
            if node.op == "BatchNorm" and len(node.inputs) == 3:  # the form before nnvm
                wanted |= {f"{node.name}_moving_mean", f"{node.name}_moving_var"}
        return wanted

    def shapes(self) -> dict[str, tuple[int | None, ...]]:
        """What layers say of their parameters' shapes; None where any size will do."""
        known: dict[str, tuple[int | None, ...]] = {}
        for node in self.nodes:
            width = node.number(_LAYERS.get(node.op, ""))
            plain = node.attributes.get("layout", "None") in ("None", "NCHW", "NCW", "NCDHW")
            if width is None or not plain or len(node.inputs) < 2:
                continue
            known[self.nodes[node.inputs[1]].name] = (
                (width, None, *node.numbers("kernel"))
                if node.op == "Convolution"
                else (width, None)
            )
            if len(node.inputs) > 2:
                known[self.nodes[node.inputs[2]].name] = (width,)
        return known

    def classes(self) -> int | None:
        """How many probabilities come out, where the last layers tell."""
        if len(self.heads) != 1:
            return None
        node = self.nodes[self.heads[0]]
        while node.op in _PASSING and node.inputs:
            node = self.nodes[node.inputs[0]]
        return node.number(_LAYERS.get(node.op, ""))


def _node(raw: Any, number: int) -> Node:
    if not isinstance(raw, dict):
        raise SymbolProblem(f"node {number} is not an object")
    op, name = raw.get("op"), raw.get("name")
    if not isinstance(op, str) or not isinstance(name, str):
        raise SymbolProblem(f"node {number} has no 'op' and 'name'")
    attributes: dict[str, str] = {}
    for key in ("attr", "param", "attrs"):
        if isinstance(raw.get(key), dict):
            attributes |= {k: _attribute(v, number) for k, v in raw[key].items()}
    edges = raw.get("inputs", [])
    inputs = _edges(edges, number, f"node '{name}'")
    ports = tuple(e[1] if isinstance(e, list) and len(e) > 1 else 0 for e in edges)
    return Node(op, name, attributes, inputs, ports)


def _attribute(value: Any, number: int) -> str:
    if isinstance(value, (dict, list)):
        raise SymbolProblem(f"node {number} has an attribute that is not text")
    return str(value)


def _edges(raw: Any, bound: int, where: str) -> tuple[int, ...]:
    """The node numbers of ``[[number, output, ...], ...]``, each below `bound`."""
    if not isinstance(raw, list):
        raise SymbolProblem(f"{where} has no list of inputs")
    numbers = [edge[0] if isinstance(edge, list) and edge else edge for edge in raw]
    for number in numbers:
        if type(number) is not int or not 0 <= number < bound:
            raise SymbolProblem(f"{where} refers to node {number}, which is not before it")
    return tuple(numbers)


@functools.lru_cache(maxsize=64)  # thousands of models share a network
def parse(text: str) -> Symbol:
    """Read a symbol file's text; raises SymbolProblem saying what is wrong with it."""
    try:
        raw = json.loads(text)
    except RecursionError as error:
        raise SymbolProblem("it is nested too deeply") from error
    except ValueError as error:
        raise SymbolProblem(f"it is not JSON: {error}") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("nodes"), list) or not raw["nodes"]:
        raise SymbolProblem("it has no list of 'nodes', so it is not an MXNet symbol")
    if len(raw["nodes"]) > MOST_NODES:
        raise SymbolProblem(f"it has {len(raw['nodes']):,} nodes, at most {MOST_NODES:,}")
    nodes = tuple(_node(node, number) for number, node in enumerate(raw["nodes"]))
    heads = _edges(raw.get("heads"), len(nodes), "'heads'")
    if not heads:
        raise SymbolProblem("it has no output ('heads' is empty)")
    return Symbol(nodes, heads)

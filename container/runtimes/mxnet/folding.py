"""Folds batch normalisation into the convolution before it; graphs and numpy, no MXNet needed.

In inference BatchNorm is a scale and a shift per channel, fixed by its statistics; a convolution
whose result goes nowhere else takes both into its weights and its bias. The network then has a
pass over the activations less, and no arrays for what the pass would have written.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_EPSILON = 1e-3  # BatchNorm's default (src/operator/nn/batch_norm-inl.h)


@dataclass(frozen=True)
class Fold:
    """One BatchNorm taken into a convolution; the fields are names of parameters."""

    weight: str
    bias: str
    had_bias: bool
    gamma: str
    beta: str
    mean: str
    var: str
    epsilon: float
    fix_gamma: bool

    def factors(self, gamma: Any, var: Any) -> Any:
        """What each channel is multiplied by, float64."""
        scale = 1 / np.sqrt(np.asarray(var, np.float64) + self.epsilon)
        return scale if self.fix_gamma else scale * gamma

    def new_bias(self, factors: Any, beta: Any, mean: Any, bias: Any) -> Any:
        """The bias of the convolution with the normalisation in it; `bias` may be 0."""
        return (np.asarray(bias, np.float64) - mean) * factors + beta


def fold(text: bytes, fed: Collection[str] = ()) -> tuple[bytes, list[Fold]]:
    """Fold what can be folded in a network's JSON (as MXNet 1.9 writes it).

    What is fed has no values yet, so that a layer that computes with it stays as it is.
    """
    graph = json.loads(text)
    nodes, heads = graph["nodes"], graph["heads"]
    uses = Counter(source[0] for node in nodes for source in node["inputs"])
    uses.update(head[0] for head in heads)
    uses.update(number for number, node in enumerate(nodes) if node["name"] in fed)
    kept = {head[0] for head in heads}
    kept.update(source[0] for node in nodes for source in node["inputs"] if source[1])
    pairs = {
        number: node["inputs"][0][0]
        for number, node in enumerate(nodes)
        if number not in kept and _foldable(node, nodes, uses)
    }
    if not pairs:
        return text, []
    folds = [_describe(nodes, norm, convolution) for norm, convolution in pairs.items()]
    return json.dumps(_rewritten(graph, pairs, folds)).encode(), folds


def _attributes(node: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = node.get("attrs", {})
    return found


def _true(value: str) -> bool:
    return value.lower() in ("1", "true")


def _foldable(node: Mapping[str, Any], nodes: Sequence[Any], uses: Mapping[int, int]) -> bool:
    if node["op"] != "BatchNorm" or len(node["inputs"]) != 5:
        return False
    attributes = _attributes(node)
    if attributes.get("axis", "1") != "1" or _true(attributes.get("output_mean_var", "0")):
        return False
    source, output = node["inputs"][0][:2]
    convolution = nodes[source]
    layout = _attributes(convolution).get("layout", "None")
    return (
        convolution["op"] == "Convolution"
        and output == 0
        and layout in ("None", "NCHW")
        and uses[source] == 1
        # weights that other nodes use as well must stay as they are
        and all(uses[i[0]] == 1 for i in (*convolution["inputs"][1:], *node["inputs"][1:]))
        and all(
            nodes[i[0]]["op"] == "null" for i in (*convolution["inputs"][1:], *node["inputs"][1:])
        )
    )


def _describe(nodes: Sequence[Any], norm: int, convolution: int) -> Fold:
    names = [nodes[source[0]]["name"] for source in nodes[norm]["inputs"]]
    own = [nodes[source[0]]["name"] for source in nodes[convolution]["inputs"]]
    attributes = _attributes(nodes[norm])
    return Fold(
        weight=own[1],
        bias=own[2] if len(own) > 2 else f"{nodes[convolution]['name']}_folded_bias",
        had_bias=len(own) > 2,
        gamma=names[1],
        beta=names[2],
        mean=names[3],
        var=names[4],
        epsilon=float(attributes.get("eps", _EPSILON)),
        fix_gamma=_true(attributes.get("fix_gamma", "1")),
    )


def _rewritten(
    graph: Mapping[str, Any], pairs: Mapping[int, int], folds: Sequence[Fold]
) -> dict[str, Any]:
    """Leave the normalisations and their parameters out, and give the convolutions a bias."""
    nodes = graph["nodes"]
    biases = {pairs[norm]: one for norm, one in zip(pairs, folds)}  # noqa: B905 - Python 3.8
    left_out = set(pairs) | {s[0] for norm in pairs for s in nodes[norm]["inputs"][1:]}
    kept: list[dict[str, Any]] = []
    places: dict[int, int] = {}
    for number, node in enumerate(nodes):
        if number in left_out:
            continue
        inputs = [[places[pairs.get(s[0], s[0])], *s[1:]] for s in node["inputs"]]
        made = {**node, "inputs": inputs}
        if number in biases:
            made["attrs"] = {**_attributes(node), "no_bias": "False"}
            if not biases[number].had_bias:
                inputs.append([len(kept), 0, 0])
                kept.append({"op": "null", "name": biases[number].bias, "inputs": []})
        places[number] = len(kept)
        kept.append(made)
    return {
        **{key: value for key, value in graph.items() if key != "node_row_ptr"},
        "nodes": kept,
        "arg_nodes": [i for i, node in enumerate(kept) if node["op"] == "null"],
        "heads": [[places[head[0]], *head[1:]] for head in graph["heads"]],
    }

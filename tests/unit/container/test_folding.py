"""Batch normalisation folded into convolutions, on graphs and numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from runtimes.mxnet import folding


def null(name: str) -> dict:
    return {"op": "null", "name": name, "inputs": []}


def graph(*, bias: bool = False, second_use: bool = False, **attributes: str) -> bytes:
    """data -> conv -> bn -> relu, as MXNet writes it."""
    nodes = [null("data"), null("w")]
    own = [[0, 0, 0], [1, 0, 0]]
    if bias:
        nodes.append(null("b"))
        own.append([2, 0, 0])
    conv = len(nodes)
    nodes.append(
        {"op": "Convolution", "name": "conv", "attrs": {"kernel": "(1, 1)"}, "inputs": own}
    )
    start = len(nodes)
    nodes += [null(name) for name in ("gamma", "beta", "mean", "var")]
    sources = [[conv, 0, 0], *([start + i, 0, 0] for i in range(4))]
    nodes.append({"op": "BatchNorm", "name": "bn", "attrs": attributes, "inputs": sources})
    nodes.append({"op": "Activation", "name": "relu", "inputs": [[start + 4, 0, 0]]})
    heads = [[start + 5, 0, 0]]
    if second_use:
        heads.append([conv, 0, 0])
    variables = [i for i, node in enumerate(nodes) if node["op"] == "null"]
    return json.dumps({"nodes": nodes, "arg_nodes": variables, "heads": heads}).encode()


def test_the_normalisation_is_gone_and_the_convolution_has_a_bias():
    text, (one,) = folding.fold(graph(eps="2e-05", fix_gamma="False"))
    made = json.loads(text)
    assert [n["name"] for n in made["nodes"]] == ["data", "w", "conv_folded_bias", "conv", "relu"]
    conv, relu = made["nodes"][3:]
    assert conv["attrs"] == {"kernel": "(1, 1)", "no_bias": "False"}
    assert conv["inputs"] == [[0, 0, 0], [1, 0, 0], [2, 0, 0]]
    assert relu["inputs"] == [[3, 0, 0]]
    assert (made["arg_nodes"], made["heads"]) == ([0, 1, 2], [[4, 0, 0]])
    assert (one.weight, one.bias, one.had_bias, one.epsilon) == (
        "w",
        "conv_folded_bias",
        False,
        2e-5,
    )


def test_a_bias_that_was_there_is_kept():
    text, (one,) = folding.fold(graph(bias=True))
    assert [n["name"] for n in json.loads(text)["nodes"]] == ["data", "w", "b", "conv", "relu"]
    assert (one.bias, one.had_bias, one.fix_gamma, one.epsilon) == ("b", True, True, 1e-3)


@pytest.mark.parametrize(
    "kept", [graph(second_use=True), graph(axis="3"), graph(output_mean_var="True")]
)
def test_what_is_needed_elsewhere_stays(kept):
    assert folding.fold(kept) == (kept, [])


@pytest.mark.parametrize("name", ["w", "b", "gamma", "beta", "mean", "var"])
def test_what_is_an_input_stays(name):
    kept = graph(bias=True)
    assert folding.fold(kept, {name}) == (kept, [])
    assert len(folding.fold(kept, {"data"})[1]) == 1


def test_a_normalisation_whose_other_outputs_are_used_stays():
    raw = json.loads(graph())
    raw["nodes"].append({"op": "negative", "name": "mean_of", "inputs": [[7, 1, 0]]})
    raw["heads"].append([9, 0, 0])
    kept = json.dumps(raw).encode()
    assert folding.fold(kept) == (kept, [])


@pytest.mark.parametrize("fix_gamma", [True, False])
def test_the_numbers_are_those_of_both_layers(fix_gamma):
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=5), rng.normal(size=(3, 5)), rng.normal(size=3)
    gamma, beta, mean, var = (rng.uniform(0.5, 2, 3) for _ in range(4))
    one = folding.Fold("w", "b", True, "gamma", "beta", "mean", "var", 1e-3, fix_gamma)
    factors = one.factors(gamma, var)
    folded = (w * factors[:, None]) @ x + one.new_bias(factors, beta, mean, b)
    scale = 1 if fix_gamma else gamma
    assert np.allclose(folded, (w @ x + b - mean) / np.sqrt(var + 1e-3) * scale + beta)

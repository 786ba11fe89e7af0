"""Shapes followed through a network: what fits, what does not, and what cannot be known."""

from __future__ import annotations

import json

import pytest
from model_folders import make_model, node, symbol

from mmectl.frameworks import look
from mmectl.frameworks.mxnet import shapes, symbols


def network(*nodes, head=None):
    heads = [[len(nodes) - 1 if head is None else head, 0, 0]]
    return symbols.parse(json.dumps({"nodes": list(nodes), "heads": heads}))


def one(op, *weights, **attributes):
    """A network of one layer on 'data'."""
    inputs = [node("null", "data"), *(node("null", name) for name in weights)]
    return network(*inputs, node(op, "layer", *range(len(inputs)), **attributes))


def out(graph, shape):
    found = shapes.infer(graph, (("data", shape),))
    return found.misfit or found.outputs[0]


CONV = {"kernel": "(3, 3)", "num_filter": "8"}
# each as MXNet 1.9.1 infers it
LAYERS = [
    ("Convolution", CONV, (2, 3, 9, 8), (2, 8, 7, 6)),
    ("Convolution", {**CONV, "stride": "(2, 2)", "pad": "(1, 1)"}, (1, 3, 9, 8), (1, 8, 5, 4)),
    ("Convolution", {**CONV, "dilate": "(2, 2)"}, (1, 3, 9, 9), (1, 8, 5, 5)),
    ("Convolution", {"kernel": "(3,)", "num_filter": "4"}, (1, 3, 9), (1, 4, 7)),
    ("Convolution", {**CONV, "layout": "NHWC"}, (1, 9, 9, 3), None),
    ("Pooling", {"kernel": "(3, 3)", "stride": "(2, 2)"}, (1, 4, 8, 8), (1, 4, 3, 3)),
    (
        "Pooling",
        {"kernel": "(3, 3)", "stride": "(2, 2)", "pooling_convention": "full"},
        (1, 4, 8, 8),
        (1, 4, 4, 4),
    ),
    ("Pooling", {"global_pool": "True", "kernel": "(7, 7)"}, (1, 4, 2, 2), (1, 4, 1, 1)),
    ("FullyConnected", {"num_hidden": "5"}, (2, 3, 4), (2, 5)),
    ("FullyConnected", {"num_hidden": "5", "flatten": "False"}, (2, 3, 4), (2, 3, 5)),
    ("Flatten", {}, (2, 3, 4), (2, 12)),
    ("BatchNorm", {}, (2, 3, 4, 4), (2, 3, 4, 4)),
    ("softmax", {}, (2, 3), (2, 3)),
    ("Foreign", {}, (2, 3), None),
]


@pytest.mark.parametrize(("op", "attributes", "shape", "expected"), LAYERS)
def test_layers(op, attributes, shape, expected):
    assert out(one(op, "w", **attributes), shape) == expected


def test_parameters_follow_from_the_input():
    graph = one("Convolution", "w", "b", **CONV, num_group="2")
    found = shapes.infer(graph, (("data", (1, 6, 9, 9)),))
    assert found.parameters == {"w": (8, 3, 3, 3), "b": (8,)}


@pytest.mark.parametrize(
    ("graph", "shape", "why"),
    [
        (one("Convolution", "w", **CONV), (1, 3, 2, 2), "layer: its kernel 3x3 exceeds 2x2"),
        (one("Convolution", "w", **CONV), (1, 3), "layer takes 4 dimensions, gets 1x3"),
        (one("Convolution", "w", **CONV, num_group="2"), (1, 3, 9, 9), "2 equal groups"),
        (one("Pooling", kernel="(3, 3)"), (1, 3, 2, 2), "its kernel 3x3 exceeds 2x2"),
        (one("identity"), (1, 3, 70_000, 70_000), "MXNet takes 2,147,483,647 numbers"),
        (
            network(
                node("null", "data"),
                node("Pooling", "a", 0, kernel="(2, 2)"),
                node("elemwise_add", "sum", 0, 1),
            ),
            (1, 3, 8, 8),
            "sum joins 1x3x8x8 and 1x3x7x7",
        ),
        (
            network(
                node("null", "data"),
                node("Pooling", "a", 0, kernel="(2, 2)"),
                node("Concat", "both", 0, 1, dim="1"),
            ),
            (1, 3, 8, 8),
            "both joins",
        ),
    ],
)
def test_what_does_not_fit(graph, shape, why):
    assert why in out(graph, shape)


def test_an_unknown_layer_ends_what_is_known():
    graph = network(
        node("null", "data"),
        node("Foreign", "f", 0),
        node("null", "w"),
        node("FullyConnected", "fc", 1, 2, num_hidden="3"),
    )
    assert shapes.infer(graph, (("data", (1, 4)),)) == shapes.Inferred({}, (None,))


def wrong(tmp_path, text):
    folder = make_model(tmp_path / "model")
    (folder / "net-shapes.json").write_text(text)
    return [str(problem) for problem in look.check(folder)]


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ([1, 1, 8, 8], "makes conv_weight 4x1x3x3, the parameters have 4x3x3x3"),
        ([1, 3, 2, 2], "conv: its kernel 3x3 exceeds 2x2"),
        ([1, 3, 8], "conv takes 4 dimensions, gets 1x3x8"),
        ([1, 3, 2_000_000_000, 2_000_000_000], "MXNet takes"),
    ],
)
def test_input_shapes_that_fail_only_at_load_are_found_before(tmp_path, shape, said):
    (problem,) = wrong(tmp_path, json.dumps([{"name": "data", "shape": shape}]))
    assert "net-shapes.json: " in problem
    assert said in problem
    assert "write the input shapes that the network was trained with" in problem


def test_labels_are_counted_against_the_output(tmp_path):
    folder = make_model(tmp_path / "model")
    raw = symbol()
    raw["nodes"].append(node("Concat", "twice", 8, 8, dim="1"))
    raw["heads"] = [[9, 0, 0]]
    (folder / "net-symbol.json").write_text(json.dumps(raw))
    assert [p.what for p in look.check(folder)] == ["has 3 labels for 6 classes of the symbol"]

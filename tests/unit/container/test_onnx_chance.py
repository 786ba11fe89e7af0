"""Which graphs draw random numbers."""

from __future__ import annotations

import onnx_models as made
import pytest
from runtimes.onnx import chance, graph

X, Y = (made.value(name, "float32", ("N", 2)) for name in "xy")


def drawn(*nodes: bytes) -> bool:
    return chance.of(graph.read(made.model(nodes, [X], [Y]), nodes=True).graph)


@pytest.mark.parametrize("op", ["RandomNormal", "RandomUniformLike", "Multinomial", "Bernoulli"])
def test_operators_that_draw(op):
    node = made.node(op, ["x"], ["y"])
    assert drawn(node)
    inner = made.graph([node], [], [Y])
    assert drawn(made.node("If", ["c"], ["y"], then_branch=inner, else_branch=inner))


def test_dropout_draws_in_training_alone():
    assert drawn(made.node("Dropout", ["x", "ratio", "training"], ["y"]))
    assert drawn(made.node("Dropout", ["x", "", "training"], ["y"]))
    for inputs in (["x"], ["x", "ratio"], ["x", "ratio", ""]):
        assert not drawn(made.node("Dropout", inputs, ["y"]))
    assert not drawn(made.node("Relu", ["x"], ["y"]))

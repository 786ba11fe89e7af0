"""What is said of an ONNX model before any upload."""

from __future__ import annotations

import numpy as np
import onnx_models as made
import pytest

from mmectl.frameworks import look
from mmectl.frameworks.values import ANY

X, Y = made.value("x", "float32", ("N", 3)), made.value("y", "float32", ("N", 3))


def looked(tmp_path, data, **others):
    (tmp_path / "model.onnx").write_bytes(data)
    for name, content in others.items():
        (tmp_path / name.replace("__", ".")).write_bytes(content)
    return look.look(tmp_path)


def said(tmp_path, data, **others):
    return "\n".join(map(str, looked(tmp_path, data, **others).problems))


def test_a_sound_model_and_its_signature(tmp_path):
    found = looked(tmp_path, made.linear(), synset__txt=b"a\nb\n")
    assert found.problems == ()
    assert found.framework == "onnx"
    signature = found.signature
    assert [(i.name, i.shape, i.dtype) for i in signature.inputs] == [("x", (ANY, 3), "float32")]
    assert (signature.version, signature.outputs) == ("tests, opset 17", 2)


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([made.node("Add", ["x", "lost"], ["y"])], "lacks lost, which Add takes"),
        ([made.node("Relu", ["x"], ["z"])], "answers y, which no operator makes"),
        ([made.node("Relu", ["x"], ["y"])] * 2, "makes y twice"),
        ([made.node("Mine", ["x"], ["y"], "my.own")], "a library of its own, which is not loaded"),
        ([made.node("Scaler", ["x"], ["y"], "ai.onnx.ml")], "which version of ai.onnx.ml"),
        ([], "has no operator"),
    ],
)
def test_graphs_that_cannot_be_computed(tmp_path, nodes, words):
    assert words in said(tmp_path, made.model(nodes, [X], [Y]))


def test_names_of_the_outer_graph_are_known_inside(tmp_path):
    branch = made.graph([made.node("Relu", ["x"], ["z"])], [], [made.value("z", "float32", None)])
    nodes = [made.node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)]
    inputs = [X, made.value("c", "bool", ())]
    assert said(tmp_path, made.model(nodes, inputs, [Y])) == ""


def test_external_data_may_be_empty_where_no_tensor_is_in_it(tmp_path):
    (tmp_path / "model.onnx.data").touch()  # as torch.onnx.export leaves it beside small models
    found = looked(tmp_path, made.linear())
    assert (found.problems, found.framework) == ((), "onnx")
    (tmp_path / "rows.csv").touch()
    assert "rows.csv: is empty" in said(tmp_path, made.linear())


def test_tensors_are_as_long_as_their_shapes(tmp_path):
    short = made.tensor("w", np.ones((3, 3), np.float32))[:-4]
    short = short.replace(b"\x4a\x24", b"\x4a\x20")
    data = made.model([made.node("MatMul", ["x", "w"], ["y"])], [X], [Y], [short])
    assert "w is 3x3 of float32, 36 bytes, and has 32" in said(tmp_path, data)


def test_labels_are_as_many_as_classes(tmp_path):
    words = said(tmp_path, made.linear(), synset__txt=b"a\nb\nc\n")
    assert "synset.txt: has 3 labels for 2 classes" in words


def test_damage_is_named_once(tmp_path):
    data = made.linear()
    found = looked(tmp_path, data[: len(data) // 2])
    assert len(found.problems) == 1
    assert "is not an ONNX model: it is damaged or cut short" in str(found.problems[0])


def test_other_files_are_told(tmp_path):
    found = looked(tmp_path, made.linear(), config__pbtxt=b"name", cat__jpg=b"asked")
    assert [note for note in found.notes if "config.pbtxt: is not a file of the model" in note]
    assert len(found.notes) == 1

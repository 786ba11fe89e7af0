"""ONNX files, read by the module that both the check and the container read them with."""

from __future__ import annotations

import json
import random

import numpy as np
import onnx_models as made
import pytest
from runtimes.onnx import model_files, pointing
from runtimes.onnx.graph import read
from runtimes.onnx.proto import ProtoError, written
from runtimes.onnx.sample import model as sample
from runtimes.values import ModelError, Pixels

RELU = made.node("Relu", ["x"], ["y"])
X, Y = made.value("x", "float32", ("N", 3)), made.value("y", "float32", ("N", 3))


def folder(tmp_path, data=None, name="model.onnx", **others):
    (tmp_path / name).write_bytes(made.linear() if data is None else data)
    for other, content in others.items():
        (tmp_path / other.replace("__", ".")).write_bytes(content)
    return tmp_path


def refused(tmp_path, *arguments, **others):
    with pytest.raises(ModelError) as caught:
        model_files.read(folder(tmp_path, *arguments, **others))
    return str(caught.value)


def test_inputs_outputs_and_sets_of_operators(tmp_path):
    found = model_files.read(folder(tmp_path))
    (one,), (other,) = found.inputs, found.outputs
    assert (one.name, one.dtype, one.shape) == ("x", "float32", ("N", 3))
    assert (other.name, other.dtype, other.shape) == ("y", "float32", ("N", 2))
    assert found.proto.opsets == {"": 17}
    assert (found.proto.ir_version, found.proto.producer) == (8, "tests")
    assert [tensor.dims for tensor in found.proto.graph.tensors] == [(3, 2), (2,)]


def test_constants_that_are_listed_as_inputs_are_no_question(tmp_path):
    weights = np.ones((3, 3), np.float32)
    inputs = [made.value("w", "float32", (3, 3)), X]
    data = made.model(
        [made.node("MatMul", ["x", "w"], ["y"])], inputs, [Y], [made.tensor("w", weights)]
    )
    assert [value.name for value in model_files.read(folder(tmp_path, data)).inputs] == ["x"]


def test_the_sample_is_a_model():
    assert [value.shape for value in read(sample()).graph.fed()] == [("N", 4)]


def test_a_model_of_any_name_is_told_by_its_content(tmp_path):
    assert model_files.detect(folder(tmp_path, name="network", notes__txt=b"hello"))
    assert model_files.find(tmp_path).name == "network"


@pytest.mark.parametrize(
    "start", [b"", b"\x08", b"{}", b"\x80\x04", b"\x08\x07\x12\x05tests", b"CBM1" * 9]
)
def test_what_is_no_model_is_not_taken_for_one(tmp_path, start):
    (tmp_path / "file").write_bytes(start)
    assert not model_files.detect(tmp_path)


def test_two_models_are_one_too_many(tmp_path):
    said = refused(tmp_path, other__onnx=made.linear())
    assert "holds 2 models: model.onnx, other.onnx" in said


def test_the_ort_format_is_named(tmp_path):
    (tmp_path / "model.ort").write_bytes(b"\x10\0\0\0ORTM\0\0\0\0")
    with pytest.raises(ModelError, match="the ORT format is not served"):
        model_files.read(tmp_path)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("../weights", "outside of its folder"),
        ("/etc/passwd", "outside of its folder"),
        ("a/b", "outside of its folder"),
        ("", "outside of its folder"),
        ("..", "outside of its folder"),
        ("absent", "absent: is missing"),
        ("link", "link: is a symbolic link"),
        ("short", "short: ends at byte 4"),
    ],
)
@pytest.mark.parametrize("in_attribute", [False, True])
def test_weights_in_other_files_must_lie_beside_it(tmp_path, where, said, in_attribute):
    (tmp_path / "link").symlink_to("/etc/passwd")
    away = made.outside("w", np.ones((3, 2), np.float32), where)
    data = made.linear()
    if in_attribute:
        constant = made.node("Constant", [], ["w"]) + written(
            5, written(1, b"value") + written(5, away) + written(20, 4)
        )
        nodes = [constant, made.node("MatMul", ["x", "w"], ["y"])]
        data = made.model(nodes, [X], [made.value("y", "float32", ("N", 2))])
    else:
        data = made.model([made.node("MatMul", ["x", "w"], ["y"])], [X], [Y], [away])
    assert said in refused(tmp_path, data, short=b"1234")


def test_weights_beside_it_are_files_of_the_model(tmp_path):
    weights = np.ones((3, 2), np.float32)
    data = made.model(
        [made.node("MatMul", ["x", "w"], ["y"])], [X], [Y], [made.outside("w", weights, "w.bin", 8)]
    )
    found = model_files.read(folder(tmp_path, data, w__bin=b"8 bytes." + weights.tobytes()))
    assert [path.name for path in found.every_file()] == ["model.onnx", "w.bin"]


@pytest.mark.parametrize(
    ("inputs", "outputs", "said"),
    [
        ([made.value("x", "complex64", ("N", 1))], [Y], "takes a tensor of complex64 as x"),
        ([made.value("x", "bfloat16", ("N", 1))], [Y], "takes a tensor of bfloat16 as x"),
        ([made.value("x", "maps", None)], [Y], "takes a sequence of maps as x"),
        ([written(1, b"x") + written(2, written(9, b""))], [Y], "takes an optional as x"),
        ([made.value("x", "float32", (0, 3))], [Y], "an axis of length 0"),
        ([made.value("x", "float32", None)], [Y], "does not say how many axes x has"),
        ([], [Y], "has no input"),
        ([X], [made.value("y", "complex64", ("N", 3))], "answers a tensor of complex64 as y"),
        ([X], [], "has no output"),
    ],
)
def test_what_no_request_or_answer_can_hold_is_named(tmp_path, inputs, outputs, said):
    assert said in refused(tmp_path, made.model([RELU], inputs, outputs))


def test_one_output_of_several_may_be_named(tmp_path):
    data = made.model([RELU], [X], [made.value("label", "complex64", ("N",)), Y])
    options = {"framework": "onnx", "output": "y"}
    found = model_files.read(folder(tmp_path, data, model__json=json.dumps(options).encode()))
    assert [value.name for value in found.outputs] == ["y"]
    options["output"] = "z"
    assert "names the output 'z', the model has label, y" in refused(
        tmp_path, data, model__json=json.dumps(options).encode()
    )


@pytest.mark.parametrize(
    "image", [1, {"means": 0}, {"std": 0}, {"mean": [1, 2]}, {"channels": "CMYK"}, {"scale": "1"}]
)
def test_pictures_are_described_in_one_way(tmp_path, image):
    options = json.dumps({"framework": "onnx", "image": image}).encode()
    assert 'says "image" in a form' in refused(tmp_path, model__json=options)


def test_a_described_picture(tmp_path):
    image = {"mean": [0.5, 0.25, 1], "std": 2, "scale": 0.5, "channels": "BGR"}
    options = json.dumps({"framework": "onnx", "image": image}).encode()
    nodes, y = [made.node("Relu", ["x"], ["y"])], made.value("y", "float32", None)
    for shape in (("N", 3, 8, 8), ("N", 8, 8, 3)):
        data = made.model(nodes, [made.value("x", "float32", shape)], [y])
        found = model_files.read(folder(tmp_path, data, model__json=options))
    others: list[tuple] = [("N", 1, 8, 8), ("N", 3, "H", "W"), ("N", 3)]
    for other in others:
        data = made.model(nodes, [made.value("x", "float32", other)], [y])
        assert "takes no picture" in refused(tmp_path, data, model__json=options)
    assert found.pixels == Pixels((0.5, 0.25, 1.0), (2.0,), 0.5, reverse=True)


@pytest.mark.parametrize(
    ("dtype", "image", "held"),
    [
        ("uint8", {}, True), ("uint8", {"channels": "BGR"}, True), ("int8", {"mean": 128}, True),
        ("int32", {"mean": [103, 116, 123]}, True), ("float16", {"scale": 0.00392157}, True),
        ("uint8", {"scale": 0.00392157}, False), ("uint8", {"mean": 128}, False),
        ("int8", {}, False), ("int32", {"mean": [103.939, 116.779, 123.68]}, False),
    ],
)  # fmt: skip
def test_whole_numbers_hold_what_a_picture_becomes_or_it_is_refused(tmp_path, dtype, image, held):
    options = json.dumps({"framework": "onnx", "image": image}).encode()
    x, y = made.value("x", dtype, ("N", 3, 8, 8)), made.value("y", dtype, None)
    data = made.model([made.node("Identity", ["x"], ["y"])], [x], [y])
    if held:
        assert model_files.read(folder(tmp_path, data, model__json=options)).pixels is not None
    else:
        assert f"its input, {dtype}, cannot hold" in refused(tmp_path, data, model__json=options)


def test_labels(tmp_path):
    assert model_files.read(folder(tmp_path, synset__txt=b"a\nb\n")).labels == ("a", "b")
    assert "synset.txt: is empty" in refused(tmp_path, synset__txt=b" \n")
    assert "synset.txt: is not text in UTF-8" in refused(tmp_path, synset__txt=b"\xff\xfe")


@pytest.mark.parametrize("typed", [False, True])
def test_large_tensors_point_into_the_file(typed):
    weights = np.arange(900, dtype=np.float32).reshape(30, 30)
    data = made.model(
        [made.node("MatMul", ["x", "w"], ["y"])],
        [made.value("x", "float32", ("N", 30))],
        [made.value("y", "float32", ("N", 30))],
        [made.tensor("s", np.ones(3, np.float32)), made.tensor("w", weights, typed)],
    )
    small = pointing.pointed(data, read(data), "m.onnx")
    assert small is not None
    assert len(small) < 400
    found = read(small)
    assert found.graph.fed() == read(data).graph.fed()
    held, away = found.graph.tensors
    assert held.external is None
    assert (away.name, away.dims, away.external.location) == ("w", (30, 30), "m.onnx")
    start, length = away.external.offset, away.external.length
    assert data[start : start + length] == weights.tobytes()


def test_tensors_of_another_length_than_their_shape_stay(tmp_path):
    tensor = made.tensor("w", np.ones(400, np.float32)).replace(b"\x08\x90\x03", b"\x08\x91\x03", 1)
    data = made.model([RELU], [X], [Y], [tensor])
    assert pointing.pointed(data, read(data), "m.onnx") is None
    assert model_files.tensor_problem(read(data).graph.tensors[0]) == (
        "w is 401 of float32, 1,604 bytes, and has 1,600"
    )


def test_damaged_bytes_are_an_error_and_no_other(tmp_path):
    chance = random.Random(1)
    sound, kept = made.linear(), 0
    for _ in range(3000):
        data = bytearray(sound)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)) :]
        try:
            read(bytes(data), nodes=True)
            kept += 1
        except ProtoError:
            pass
    assert 0 < kept < 3000


def test_nested_graphs_end():
    inner = made.graph([RELU], [], [Y])
    for _ in range(60):
        inner = made.graph([made.node("If", ["c"], ["y"], then_branch=inner)], [], [Y])
    with pytest.raises(ProtoError, match="nested too deeply"):
        read(written(1, 8) + written(7, inner), nodes=True)


def columns_model(**kinds):
    inputs = [made.value(name, kind, ("N", 1)) for name, kind in kinds.items()]
    nodes = [made.node("Concat", list(kinds), ["y"], axis=1)]
    return made.model(nodes, inputs, [made.value("y", "float32", ("N", 2))])


@pytest.mark.parametrize(
    ("inputs", "columns"),
    [
        ([("t", "string", ("N", 2))], True),
        ([("t", "string", ("N",))], True),
        ([("t", "string", ("N", "words"))], False),
        ([("t", "string", ("N", "T", 1))], False),
        ([("n", "float32", ("N", 3)), ("t", "string", ("N", 2))], False),
    ],
)
def test_texts_are_columns_where_their_number_is_known_and_tensors_else(tmp_path, inputs, columns):
    data = made.model([RELU], [made.value(*one) for one in inputs], [Y])
    found = model_files.read(folder(tmp_path, data))
    assert (model_files.is_columns(found), model_files.is_rows(found)) == (columns, False)


def test_inputs_of_one_column_each_are_a_table(tmp_path):
    found = model_files.read(folder(tmp_path, columns_model(age="int64", city="string")))
    assert (model_files.is_columns(found), model_files.is_rows(found)) == (True, False)


@pytest.mark.parametrize(
    ("shape", "rows"), [(("N", 3), True), ((None, 3), True), ((2, 3), False), (("N", 3, 1), False)]
)
def test_rows_of_numbers_are_a_table_where_each_has_an_answer(tmp_path, shape, rows):
    data = made.model([RELU], [made.value("x", "float32", shape)], [Y])
    assert model_files.is_rows(model_files.read(folder(tmp_path, data))) is rows


@pytest.mark.parametrize("converted", [False, True])
def test_converters_of_trees_say_that_there_is_one_label(tmp_path, converted):
    label = made.value("label", "int64", (1,))
    data = made.model([RELU], [X], [label, Y])
    if converted:
        data = made.model([RELU], [X], [label, Y], ai_onnx_ml=3)
    found = model_files.read(folder(tmp_path, data))
    assert model_files.is_rows(found) is converted

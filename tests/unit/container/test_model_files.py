"""Finding and checking the files of a model."""

from __future__ import annotations

import struct

import pytest
from runtimes.mxnet import model_files
from runtimes.mxnet.model_files import Input, ModelError

from mmectl.frameworks.mxnet.sample import write_model

SHAPES = '[{"name": "data", "shape": [1, 3, 8, 8]}]'


@pytest.fixture
def folder(tmp_path):
    write_model(tmp_path / "m")
    return tmp_path / "m"


def test_finds_everything(folder):
    files = model_files.find(folder)
    assert files.name == "smoke"
    assert files.inputs == (Input("data", (1, 3, 8, 8)),)
    assert files.labels == ("dark", "light")


def test_a_synset_is_optional(folder):
    (folder / "synset.txt").unlink()
    assert model_files.find(folder).labels is None


@pytest.mark.parametrize("suffix", ["symbol.json", "0000.params", "shapes.json"])
def test_names_what_is_missing(folder, suffix):
    (folder / f"smoke-{suffix}").unlink()
    with pytest.raises(
        ModelError, match=rf"has no \*-{suffix} in the model folder: it holds smoke-"
    ):
        model_files.find(folder)


def test_names_what_is_ambiguous(folder):
    (folder / "other-symbol.json").write_text("{}")
    with pytest.raises(ModelError, match=r"has several .*other-symbol\.json, smoke-symbol\.json"):
        model_files.find(folder)


def test_a_synset_must_be_text(folder):
    (folder / "synset.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ModelError, match=r"synset.txt: is not UTF-8"):
        model_files.find(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "at least one input"),
        ('{"data": [1]}', "not a list"),
        ('[{"shape": [1, 2]}]', "is not"),
        ('[{"name": "data"}]', "positive integers"),
        ('[{"name": "data", "shape": []}]', "positive integers"),
        ('[{"name": "data", "shape": [1, 0]}]', "positive integers"),
        ('[{"name": "data", "shape": [true, 2]}]', "positive integers"),
        ('[{"name": "a", "shape": [1]}, {"name": "a", "shape": [1]}]', "twice"),
        ('[{"name": "a", "shape": [1], "dtype": "complex64"}]', "gives an input the dtype"),
        ('[{"name": "a", "shape": [1], "dtype": ["int32"]}]', "gives an input the dtype"),
    ],
)
def test_bad_shapes_are_refused(text, message):
    with pytest.raises(ModelError, match=message):
        model_files.parse_shapes(text, "m-shapes.json")


def test_inputs_may_differ_in_their_first_axis_and_have_types():
    text = '[{"name": "a", "shape": [1, 2], "dtype": "int32"}, {"name": "b", "shape": [3]}]'
    a, b = model_files.parse_shapes(text, "m-shapes.json")
    assert (a.shape, a.dtype, b.shape, b.dtype) == ((1, 2), "int32", (3,), None)


def test_synset_lines():
    assert model_files.parse_synset("n01 cat\r\nn02 dog \n\n\n") == ("n01 cat", "n02 dog")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_at_line_feeds_and_carriage_returns_alone(end):
    labels = ("a\u2028b", "\u0085c", "d\x0b", "e\x0cf", "g\x1c\x1d\x1eh", "i\u2029j")
    assert model_files.parse_synset(end.join(labels) + end) == labels


def test_a_blank_line_inside_is_a_class_without_a_name():
    assert model_files.parse_synset("a\n \nc\n \n") == ("a", "", "c")


def test_a_byte_order_mark_is_no_part_of_a_file(folder):
    for path in folder.iterdir():
        if path.suffix != ".params":
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    files = model_files.find(folder)
    assert files.labels == ("dark", "light")
    assert files.inputs[0].name == "data"
    symbol = model_files.plain(files.symbol.read_bytes(), "s")
    assert symbol.startswith(b"{")


def test_what_systems_leave_beside_files_is_no_part_of_a_model(folder):
    for path in list(folder.iterdir()):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7" * 40)
        path.with_name(f"{path.name}~").write_bytes(b"")
    for name in (".ipynb_checkpoints", "__MACOSX", "logs"):
        (folder / name).mkdir()
        (folder / name / "x-symbol.json").write_text("{}")
    (folder / ".DS_Store").write_bytes(b"x")
    assert model_files.find(folder).labels == ("dark", "light")


def test_the_only_folder_of_a_tarball_is_the_model(folder, tmp_path):
    top = tmp_path / "top" / "middle"
    top.mkdir(parents=True)
    (tmp_path / "top" / "._middle").write_bytes(b"x")
    folder.rename(top / "m")
    files = model_files.find(tmp_path / "top")
    assert files.symbol == top / "m" / "smoke-symbol.json"
    assert files.labels == ("dark", "light")
    (tmp_path / "top" / "README").write_text("x")
    with pytest.raises(ModelError, match=r"has no \*-symbol\.json.*it holds README"):
        model_files.find(tmp_path / "top")


def graph(*nodes):
    return [(op, name, sources) for op, name, *sources in nodes]


@pytest.mark.parametrize("op", sorted(model_files._OUTPUT_LAYERS))
def test_the_second_input_of_an_output_layer_is_a_label(op):
    nodes = graph(
        ("null", "data"),
        ("null", "w_label"),
        ("FullyConnected", "fc", 0, 1),
        ("null", "target"),
        ("Reshape", "flat", 3),
        (op, "out", 2, 4),
    )
    assert model_files.labels_of(nodes, [5]) == {"target"}


def test_what_an_output_depends_on_is_no_label():
    nodes = graph(
        ("null", "data"),
        ("null", "shared"),
        ("elemwise_mul", "m", 0, 1),
        ("SoftmaxOutput", "out", 2, 1),
        ("null", "other"),
        ("elemwise_add", "sum", 3, 4),
    )
    assert model_files.labels_of(nodes, [5]) == frozenset()
    assert model_files.labels_of(nodes, [3]) == {"other"}


def test_finds_the_arrays_of_parameters(folder):
    data = (folder / "smoke-0000.params").read_bytes()
    tensors = model_files.read_tensors(data)
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        "fc_weight": (2, 192),
        "fc_bias": (2,),
    }
    bias = tensors["fc_bias"]
    assert bias.kind == 0
    # the names follow the last array: their number, and each with its length
    assert struct.unpack_from("<Q", data, bias.offset + 8) == (2,)


def test_reads_the_format_before_0_11():
    old = struct.pack("<QQQ", 0x112, 0, 1)
    old += struct.pack("<III", 2, 1, 3) + struct.pack("<iii3f", 1, 0, 0, 1, 2, 3)
    old += struct.pack("<QQ", 1, 5) + b"arg:w"
    tensor = model_files.read_tensors(old)["w"]
    assert tensor.shape == (1, 3)
    assert struct.unpack_from("<3f", old, tensor.offset) == (1, 2, 3)


def test_bare_names_are_the_same_as_prefixed_ones(folder):
    data = (folder / "smoke-0000.params").read_bytes()
    bare = data.replace(b"\x0d\0\0\0\0\0\0\0arg:fc_weight", b"\x09\0\0\0\0\0\0\0fc_weight")
    assert model_files.read_tensors(bare) == model_files.read_tensors(data)


@pytest.mark.parametrize("cut", [4, 20, 40, 100, -3])
def test_cut_parameters_are_refused(folder, cut):
    data = (folder / "smoke-0000.params").read_bytes()
    with pytest.raises(
        ModelError, match=r"not a readable MXNet parameter file: .*(ends inside|are left)"
    ):
        model_files.read_tensors(data[:cut])


def test_foreign_and_sparse_parameters_are_refused():
    with pytest.raises(ModelError, match="it begins with"):
        model_files.read_tensors(b"PK\x03\x04" + b"\0" * 60)
    sparse = struct.pack("<QQQIi", 0x112, 0, 1, 0xF993FAC9, 1)
    with pytest.raises(ModelError, match=r"an array is sparse, .*: tostype\('default'\)"):
        model_files.read_tensors(sparse + b"\0" * 60)

"""Model folders: what is refused, and in which words."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_folders import ARRAYS, floats, make_model, node, symbol, write_params

from mmectl.base.errors import ArtifactError
from mmectl.frameworks import look


def rewritten(name, text):
    return lambda folder: (folder / name).write_text(text)


def with_symbol(change):
    def edit(folder):
        raw = symbol()
        change(raw)
        (folder / "net-symbol.json").write_text(json.dumps(raw))

    return edit


def with_arrays(*arrays):
    return lambda folder: write_params(folder / "net-0000.params", list(arrays))


def linked(folder):
    (folder / "net-0000.params").rename(folder.parent / "elsewhere")
    (folder / "net-0000.params").symlink_to(folder.parent / "elsewhere")


def truncated(folder):
    path = folder / "net-0000.params"
    path.write_bytes(path.read_bytes()[:-40])


def shapes(text):
    return rewritten("net-shapes.json", text)


OTHER_CONV = ("arg:conv_weight", (5, 3, 3, 3), floats(135))
OTHER_FC = ("arg:fc_weight", (7, 4), floats(28))

BAD = {
    "no symbol": (lambda f: (f / "net-symbol.json").unlink(), r"has no \*-symbol.json"),
    "no params": (lambda f: (f / "net-0000.params").unlink(), r"has no \*-0000.params"),
    "no shapes": (lambda f: (f / "net-shapes.json").unlink(), r'\[\{"shape": \[1, 3, 224'),
    "another epoch": (
        lambda f: (f / "net-0000.params").rename(f / "net-0010.params"),
        "rename net-0010.params to net-0000.params",
    ),
    "two symbols": (rewritten("b-symbol.json", json.dumps(symbol())), r"several \*-symbol.json"),
    "folder inside": (lambda f: (f / "extra").mkdir(), "extra: is a folder inside"),
    "link": (linked, "net-0000.params: is a symbolic link"),
    "python code": (rewritten("json.py", "1"), "json.py: is code, which Multi Model Server"),
    "compiled code": (rewritten("a.PYC", "1"), "is code"),
    "library": (rewritten("libx.so.1", "1"), "is code"),
    "path file": (rewritten("x.pth", "import os"), "is code"),
    "pipe": (lambda f: os.mkfifo(f / "pipe"), "pipe: is not a regular file"),
    "space in a name": (rewritten("a b.txt", "x"), "unusual file name"),
    "line break in a name": (rewritten("a\nb", "x"), "unusual file name"),
    "name not UTF-8": (
        lambda f: open(os.fsencode(f) + b"/\xff.txt", "wb").close(),  # noqa: PTH123
        "unusual file name",
    ),
    "empty params": (rewritten("net-0000.params", ""), "net-0000.params: is empty"),
    "empty symbol": (rewritten("net-symbol.json", ""), "net-symbol.json: is empty"),
    "empty synset": (rewritten("synset.txt", ""), "synset.txt: is empty"),
    "symbol no JSON": (rewritten("net-symbol.json", "{"), "it is not JSON"),
    "symbol a list": (rewritten("net-symbol.json", "[]"), "no list of 'nodes'"),
    "symbol too deep": (rewritten("net-symbol.json", "[" * 100_000), "nested too deeply|not JSON"),
    "symbol without heads": (with_symbol(lambda s: s.pop("heads")), "'heads'"),
    "node without name": (with_symbol(lambda s: s["nodes"][1].pop("name")), "no 'op' and 'name'"),
    "node no object": (with_symbol(lambda s: s["nodes"].__setitem__(1, 5)), "not an object"),
    "edge ahead": (
        with_symbol(lambda s: s["nodes"][2].update(inputs=[[7, 0, 0]])),
        "refers to node 7, which is not before it",
    ),
    "edge no number": (with_symbol(lambda s: s["nodes"][2].update(inputs=[["x"]])), "node x"),
    "params truncated": (truncated, "not a readable MXNet parameter file"),
    "params garbage": (rewritten("net-0000.params", "no params at all, just text"), "begins with"),
    "param missing": (with_arrays(*ARRAYS[:2]), "lacks fc_bias of the symbol"),
    "param twice": (
        with_arrays(*ARRAYS, ("aux:fc_bias", (3,), floats(3))),
        "net-0000.params: holds 'fc_bias' twice",
    ),
    "names of gluon": (
        with_arrays(*[(f"net.{n[4:]}", s, d) for n, s, d in ARRAYS]),
        "lacks conv_weight, fc_bias, fc_weight of the symbol: its names are without 'arg:' or",
    ),
    "filters differ": (
        with_arrays(OTHER_CONV, *ARRAYS[1:]),
        r"conv_weight is 5x3x3x3 where the symbol says 4x\?x3x3",
    ),
    "classes differ": (with_arrays(ARRAYS[0], OTHER_FC, ARRAYS[2]), r"fc_weight is 7x4"),
    "shapes no JSON": (shapes("[1, 3, 224, 224"), "is not JSON"),
    "shapes an object": (shapes('{"data": [1, 3, 8, 8]}'), "not a list of input shapes"),
    "shapes empty list": (shapes("[]"), "not a list of input shapes"),
    "shape of zero": (shapes('[{"shape": [0, 3, 8, 8], "name": "data"}]'), "not a list of input"),
    "shape of text": (shapes('[{"shape": ["1"], "name": "data"}]'), "not a list of input"),
    "shape unnamed": (shapes('[{"shape": [1, 3, 8, 8]}]'), "not a list of input"),
    "input twice": (
        shapes(json.dumps([{"shape": [1], "name": "data"}] * 2)),
        "not a list of input",
    ),
    "input unknown": (
        shapes('[{"shape": [1, 3, 8, 8], "name": "image"}]'),
        "names image, which is no input of the symbol",
    ),
    "synset latin-1": (
        lambda f: (f / "synset.txt").write_bytes("red\nvert foncé\n".encode("latin-1")),
        r"is not UTF-8 \(at byte 13\)",
    ),
    "label missing": (rewritten("synset.txt", "red\ngreen\n"), "2 labels for 3 classes"),
    "label too many": (rewritten("synset.txt", "a\nb\nc\nd\n"), "4 labels for 3 classes"),
    "labels for a map": (
        with_symbol(lambda s: s.update(heads=[[2, 0, 0]])),
        r"4x6x6 numbers \(boxes, maps or steps\): leave synset.txt out",
    ),
    "label blank": (rewritten("synset.txt", "\n\n \n"), "synset.txt: holds no label"),
    "upper-case ending": (
        lambda f: (f / "net-symbol.json").rename(f / "net-Symbol.JSON"),
        "rename net-Symbol.JSON to net-symbol.json",
    ),
}


CODES = {
    **dict.fromkeys(("python code", "compiled code", "library", "path file"), "model_code"),
    **dict.fromkeys(("synset latin-1", "label blank"), "model_labels"),
}
"""Codes of their own; those of the others are `bad_model`."""


@pytest.mark.parametrize("case", BAD)
def test_bad_folders_are_refused(case, tmp_path):
    break_it, words = BAD[case]
    folder = make_model(tmp_path / "model")
    break_it(folder)
    with pytest.raises(ArtifactError, match=words) as caught:
        look.require(folder)
    assert str(folder) in caught.value.message
    assert caught.value.code == CODES.get(case, "bad_model")


def test_a_good_folder_has_no_problem(tmp_path):
    assert look.check(make_model(tmp_path / "model")) == ()


def test_labels_are_optional(tmp_path):
    folder = make_model(tmp_path / "model")
    (folder / "synset.txt").unlink()
    assert look.check(folder) == ()


def test_code_can_be_allowed(tmp_path):
    folder = make_model(tmp_path / "model")
    (folder / "custom.py").write_text("pass")
    assert look.check(folder, allow_code=True) == ()


def test_every_problem_is_named_at_once_and_none_twice(tmp_path):
    folder = make_model(tmp_path / "model")
    (folder / "net-0000.params").write_bytes(b"")
    (folder / "run.py").write_text("pass")
    (folder / "synset.txt").write_text("red\n")
    (folder / "net-shapes.json").unlink()
    what = [problem.what for problem in look.check(folder)]
    assert len(what) == 4
    assert [w for w in what if "empty" in w] == ["is empty"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_text("x"), "is not a folder"),
        (lambda path: path.mkdir(), "is empty"),
        (lambda path: make_model(path / "inner"), "holds only a folder: name .*inner instead"),
    ],
)
def test_paths_that_are_no_model_folder(make, words, tmp_path):
    make(tmp_path / "model")
    with pytest.raises(ArtifactError, match=words):
        look.require(tmp_path / "model")


def test_moving_statistics_are_wanted_in_the_old_form_too(tmp_path):
    folder = make_model(tmp_path / "model")
    (folder / "synset.txt").unlink()
    raw = {
        "nodes": [
            {"op": "null", "param": {}, "name": "data", "inputs": []},
            {"op": "null", "param": {}, "name": "bn_gamma", "inputs": []},
            {"op": "null", "param": {}, "name": "bn_beta", "inputs": []},
            {"op": "BatchNorm", "param": {}, "name": "bn", "inputs": [[0, 0], [1, 0], [2, 0]]},
        ],
        "heads": [[3, 0]],
    }
    (folder / "net-symbol.json").write_text(json.dumps(raw))
    arrays = [(f"arg:bn_{part}", (3,), floats(3)) for part in ("gamma", "beta")]
    write_params(folder / "net-0000.params", arrays)
    assert [p.what for p in look.check(folder)] == [
        "lacks bn_moving_mean, bn_moving_var of the symbol"
    ]


def test_a_label_input_by_another_name_is_no_parameter(tmp_path):
    folder = make_model(tmp_path / "model")
    raw = symbol()
    raw["nodes"][7] = node("null", "truth")
    (folder / "net-symbol.json").write_text(json.dumps(raw))
    assert look.check(folder) == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["op", "name", "inputs", "attrs", "shape"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(nodes=JSON, heads=JSON, shapes_file=JSON)
def test_any_json_is_answered_with_problems(tmp_path_factory, nodes, heads, shapes_file):
    folder = make_model(tmp_path_factory.mktemp("any") / "model")
    (folder / "net-symbol.json").write_text(json.dumps({"nodes": nodes, "heads": heads}))
    (folder / "net-shapes.json").write_text(json.dumps(shapes_file))
    assert look.check(folder) != ()


@pytest.mark.parametrize(
    "value", ["\u00b2", "9" * 5000, "-3", "1.5", "(" * 3000, "\x00", "__import__('os')"]
)
def test_strange_attributes_are_taken_for_unknown(tmp_path, value):
    folder = make_model(tmp_path / "model")
    raw = symbol()
    raw["nodes"][2]["attrs"] = {"num_filter": value, "kernel": value, "no_bias": "True"}
    (folder / "net-symbol.json").write_text(json.dumps(raw))
    assert look.check(folder) == ()


def test_names_cannot_write_to_the_terminal(tmp_path):
    folder = make_model(tmp_path / "model")
    raw = symbol()
    raw["nodes"][1]["name"] = "\x1b[2Jw\ud800\n"
    (folder / "net-symbol.json").write_text(json.dumps(raw))
    (problem, *_) = look.check(folder)
    assert r"lacks \x1b[2Jw\ud800\n of the symbol" in str(problem)
    assert str(problem).isprintable()


@pytest.mark.parametrize(
    "model", ["squeezenet_v1.0", "squeezenet_v1.0_retrained", "squeezenet_v1.1"]
)
def test_real_models_pass(shared_models, model):
    assert look.check(shared_models / model) == ()


@pytest.mark.parametrize("model", ["shapes", "digits"])
def test_the_examples_pass(root, model):
    assert look.check(root / "examples" / "models" / model) == ()


def test_a_folder_full_of_other_things_is_told_in_a_few_lines(tmp_path):
    for number in range(80):
        (tmp_path / f"folder_{number}").mkdir()
    with pytest.raises(ArtifactError) as caught:
        look.require(tmp_path)
    lines = caught.value.message.splitlines()
    assert len(lines) == 11
    assert lines[0].startswith(f"{tmp_path}: holds no model of a known framework")
    assert lines[-1] == "... and 71 more problems"


def shapes_file(folder, rows) -> list[str]:
    (folder / "net-shapes.json").write_text(json.dumps(rows))
    return [problem.what for problem in look.check(folder)]


def test_an_input_may_have_a_type_that_the_engine_has(tmp_path):
    folder = make_model(tmp_path / "model")
    (row,) = json.loads((folder / "net-shapes.json").read_text())
    assert shapes_file(folder, [{**row, "dtype": "float32"}]) == []
    assert shapes_file(folder, [{**row, "dtype": "complex"}]) == [
        "gives an input the dtype 'complex'"
    ]


def test_inputs_may_differ_in_their_first_axis(tmp_path):
    folder = make_model(tmp_path / "model")
    raw = symbol()
    raw["nodes"].append(node("null", "state"))
    raw["heads"].append([len(raw["nodes"]) - 1, 0, 0])
    (folder / "net-symbol.json").write_text(json.dumps(raw))
    (row,) = json.loads((folder / "net-shapes.json").read_text())
    assert shapes_file(folder, [row, {"name": "state", "shape": [7, 5]}]) == []

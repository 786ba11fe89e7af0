"""What XGBoost's files hold, read without XGBoost: formats, versions, damage, hostile pickles."""

from __future__ import annotations

import contextlib
import json
import pickle
import struct
import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtimes.values import ModelError
from runtimes.xgboost import model_files, runtime, ubj

LEARNER = {
    "attributes": {},
    "feature_names": ["age", "income"],
    "feature_types": ["float", "float"],
    "gradient_booster": {
        "model": {"boosted_rounds": 1, "weights": [0.5, 0.25, 0.0]},
        "name": "gblinear",
    },
    "learner_model_param": {"base_score": "0E0", "num_class": "0", "num_feature": "2"},
    "objective": {"name": "reg:squarederror"},
}
LINEAR = {"learner": LEARNER, "version": [2, 1, 4]}


def encoded(value) -> bytes:
    """As XGBoost writes UBJ: lengths of eight bytes, small integers of one."""
    if isinstance(value, dict):
        pairs = (key(name) + encoded(one) for name, one in value.items())
        return b"{" + b"".join(pairs) + b"}"
    if isinstance(value, list) and value and isinstance(value[0], float):
        return b"[$d#" + length(value) + struct.pack(f">{len(value)}f", *value)
    if isinstance(value, list):
        return b"[#" + length(value) + b"".join(map(encoded, value))
    if isinstance(value, int):
        return b"i" + bytes([value])
    return b"S" + key(value)


def length(value) -> bytes:
    return b"L" + len(value).to_bytes(8, "big")


def key(text: str) -> bytes:
    return length(text.encode()) + text.encode()


UBJ = encoded(LINEAR)


class Booster:
    """Stands for XGBoost's own: pickled under its name."""

    handle = bytearray()


Booster.__module__, Booster.__qualname__ = "xgboost.core", "Booster"


def pickled(protocol: int, handle: bytes | None = None) -> bytes:
    made = Booster()
    held = encoded({"Config": {"a": "b"}, "Model": LINEAR}) if handle is None else handle
    made.handle = bytearray(held)
    modules = {name: types.ModuleType(name) for name in ("xgboost", "xgboost.core")}
    vars(modules["xgboost.core"])["Booster"] = Booster
    sys.modules.update(modules)
    try:
        return pickle.dumps(made, protocol)
    finally:
        for name in modules:
            del sys.modules[name]


FORMS = {
    "UBJ": UBJ,
    "JSON": json.dumps(LINEAR).encode(),
    **{f"pickle {n}": pickled(n) for n in range(6)},
}


@pytest.mark.parametrize("form", FORMS)
def test_formats_are_told_by_their_content(tmp_path, form):
    (tmp_path / "xgboost-model").write_bytes(FORMS[form])
    assert model_files.kind_of(tmp_path / "xgboost-model") == form.split()[0]
    assert model_files.detect(tmp_path)
    found = model_files.header(FORMS[form], "x")
    assert (found.version, found.objective, found.booster) == (
        (2, 1, 4), "reg:squarederror", "gblinear",
    )  # fmt: skip
    assert (found.features, found.outputs, found.names) == (2, 1, ("age", "income"))
    assert model_files.version_of(FORMS[form], "x") == (2, 1, 4)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"tree\nversion=v4\nnum_class=1", b'{"nodes": []}', b'{"framework": "xgboost"}',
        b"CBM1\0\0", pickle.dumps({"xgboost": 1}), b"{}", b"{L\0\0\0\0\0\0\0\x05other",
    ],
)  # fmt: skip
def test_what_is_of_others_is_not_taken(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert not model_files.detect(tmp_path)


def test_a_description_is_no_model_and_a_model_may_be_called_so(tmp_path):
    (tmp_path / "model.json").write_text('{"framework": "xgboost"}')
    assert not model_files.detect(tmp_path)
    (tmp_path / "model.json").write_bytes(FORMS["JSON"])
    assert model_files.find(tmp_path) == [tmp_path / "model.json"]


def test_an_unknown_option_is_refused(tmp_path):
    (tmp_path / "model.json").write_text('{"framework": "xgboost", "ask": "x"}')
    (tmp_path / "a").write_bytes(UBJ)
    with pytest.raises(ModelError, match="unknown key 'ask'"):
        model_files.find(tmp_path)


@pytest.mark.parametrize("said", ['"predict": "x"', '"trees": "most"'])
def test_a_choice_that_there_is_not_is_refused(tmp_path, said):
    (tmp_path / "model.json").write_text('{"framework": "xgboost", ' + said + "}")
    with pytest.raises(ModelError, match="unknown") as caught:
        model_files.options(tmp_path)
    assert "one of" in caught.value.fix


@pytest.mark.parametrize("mode", [0, 1, 2, -1, "0", True, 1.5])
def test_what_indices_of_libsvm_count_from(tmp_path, mode):
    said = {"framework": "xgboost", "indexing_mode": mode}
    (tmp_path / "model.json").write_text(json.dumps(said))
    if mode in (0, 1) and mode is not True:
        assert model_files.options(tmp_path).indexing_mode == mode
        return
    with pytest.raises(ModelError, match="unknown indexing_mode") as caught:
        model_files.options(tmp_path)
    assert caught.value.fix == "write 0 or 1"


def test_a_choice_that_the_objective_does_not_have_is_refused():
    chosen = model_files.Options("class")
    model_files.check_prediction("multi:softprob", chosen)
    with pytest.raises(ModelError, match="'class': the model's objective is reg:gamma"):
        model_files.check_prediction("reg:gamma", chosen)


def with_categories(columns: list, booster: str = "gbtree"):
    """The document of a model that was trained with a DataFrame's categories."""
    inner = {"model": {"cats": {"enc": columns}}, "name": "gbtree"}
    made = {"gbtree": inner, "name": "dart"} if booster == "dart" else inner
    return {"version": [3, 1, 0], "learner": {**LEARNER, "gradient_booster": made}}


def texts(*values, size=len):
    held = "".join(values).encode()
    ends = [sum(map(size, values[:count])) for count in range(len(values) + 1)]
    return {"offsets": ends, "values": [one - 256 if one > 127 else one for one in held]}


def bytes_of(text):
    return len(text.encode())


@pytest.mark.parametrize("booster", ["gbtree", "dart"])
@pytest.mark.parametrize("size", [len, bytes_of])
def test_categories_are_read_in_the_order_of_their_codes(booster, size):
    columns = [texts("Köln", "Ulm", size=size), {"type": 15, "values": [10, 30]}, texts()]
    data = json.dumps(with_categories(columns, booster)).encode()
    found = model_files.header(data, "m.json").categories
    assert found == {0: ["Köln", "Ulm"], 1: [10, 30]}


@pytest.mark.parametrize("names", [("a", "größe"), ("größe", "a"), ("é", "a", "b")])
def test_categories_that_xgboost_cut_within_a_letter_are_refused_with_the_cause(names):
    """As XGBoost 3.2 writes them: as many bytes as there are letters."""
    column = texts(*names)
    column["values"] = column["values"][: column["offsets"][-1]]
    with pytest.raises(ModelError, match="letters outside ASCII") as caught:
        model_files.header(json.dumps(with_categories([column])).encode(), "m.json")
    assert "ASCII" in caught.value.fix


def test_categories_that_end_elsewhere_are_damaged():
    column = {"offsets": [0, 9], "values": [85, 108, 109]}
    with pytest.raises(ModelError, match="categories of 3 bytes end at 9"):
        model_files.header(json.dumps(with_categories([column])).encode(), "m.json")


def test_many_categories_of_a_ubj_file_are_read_whole():
    values = b"[$i#" + length(range(2000)) + bytes(2000)
    body = b"{" + key("cats") + b"{" + key("values") + values + b"}" + key("other") + values + b"}"
    found = ubj.read(body)
    assert found["cats"]["values"] == [0] * 2000
    assert found["other"] == ubj.Numbers(2000)


@pytest.mark.parametrize("rounds", [{}, {"boosted_rounds": 0}, {"boosted_rounds": 3}])
@pytest.mark.parametrize("objective", ["reg:squarederror", "multi:softprob", "binary:logistic"])
def test_a_linear_model_without_rounds_is_refused_where_it_would_answer_wrong(rounds, objective):
    booster = {"model": {"weights": [0.5, 0.25, 0.0], **rounds}, "name": "gblinear"}
    learner = {**LEARNER, "gradient_booster": booster, "objective": {"name": objective}}
    data = json.dumps({"learner": learner, "version": [1, 7, 6]}).encode()
    if rounds.get("boosted_rounds") or objective != "binary:logistic":
        assert model_files.header(data, "model.json").objective == objective
    else:
        with pytest.raises(ModelError, match=r"of before XGBoost 1\.5 .* answers wrong"):
            model_files.header(data, "model.json")


@pytest.mark.parametrize(
    ("version", "objective", "refused"),
    [
        ([1, 2, 1], "binary:logitraw", True),
        ([1, 3, 0], "binary:logitraw", False),
        ([1, 2, 1], "reg:squarederror", False),
    ],
)
def test_a_score_that_was_a_probability_is_refused(version, objective, refused):
    learner = {**LEARNER, "objective": {"name": objective}}
    text = json.dumps({"learner": learner, "version": version}).encode()
    with pytest.raises(ModelError) if refused else contextlib.nullcontext() as caught:
        model_files.header(text, "model.json")
    if refused:
        assert "before XGBoost 1.3 (binary:logitraw)" in str(caught.value)
        assert "base_score" in caught.value.fix


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_booster_that_was_pickled_as_json_is_read(protocol):
    handle = json.dumps({"Config": {"a": "b"}, "Model": LINEAR}).encode()
    data = pickled(protocol, handle)
    assert model_files.header(data, "b.pkl").version == (2, 1, 4)
    text = model_files.json_of(data, "b.pkl")
    assert text is not None
    assert json.loads(text) == LINEAR
    assert model_files.json_of(pickled(protocol), "b.pkl") is None


def test_a_booster_that_was_pickled_before_is_told_how_to_convert_it():
    data = pickled(4, b"CONFIG-offset:\x96\x1b\0\0binf")
    for read in (model_files.header, model_files.json_of):
        with pytest.raises(ModelError, match=r"before 1\.3 pickled") as caught:
            read(data, "b.pkl")
        assert "pickle.load(file)" in caught.value.fix
    with pytest.raises(ModelError, match="is damaged"):
        model_files.json_of(pickled(4, b'{"Config":'), "b.pkl")


class Asked:
    """What a Booster says of its rounds."""

    def __init__(self, trees: int | None, **attributes: str) -> None:
        self.trees, self.attributes = trees, attributes

    def attr(self, name: str) -> str | None:
        return self.attributes.get(name)

    def save_config(self) -> str:
        param = {} if self.trees is None else {"num_parallel_tree": str(self.trees)}
        return json.dumps({"learner": {"gradient_booster": {"gbtree_model_param": param}}})


TOLD = '{"num_parallel_tree": 3}'


@pytest.mark.parametrize(
    ("asked", "rounds"),
    [
        (Asked(1, scikit_learn="{}"), 0),
        (Asked(1, best_iteration="4"), 0),
        (Asked(1, best_iteration="4", scikit_learn="{}"), 5),
        (Asked(3, best_iteration="4", scikit_learn="{}"), 5),
        (Asked(3, best_iteration="4", best_ntree_limit="15", scikit_learn=TOLD), 5),  # of 1.7
        (Asked(1, best_iteration="4", best_ntree_limit="15", scikit_learn=TOLD), 15),  # of 1.5
        (Asked(1, best_iteration="4", scikit_learn=TOLD), 15),  # of 1.3
        (Asked(None, best_iteration="4", scikit_learn='{"num_parallel_tree": null}'), 5),
    ],
)
def test_all_trees_of_the_best_rounds_answer(asked, rounds):
    assert runtime._rounds(asked, None) == rounds


def test_the_old_binary_format_is_named_with_what_to_do(tmp_path):
    words = b"binary:logistic" + (6).to_bytes(8, "little") + b"gbtree"
    (tmp_path / "m").write_bytes(bytes(136) + len(b"binary:logistic").to_bytes(8, "little") + words)
    with pytest.raises(ModelError, match="old binary format") as caught:
        model_files.find(tmp_path)
    assert "save_model" in caught.value.fix


@given(st.integers(0, len(UBJ) - 1))
def test_a_file_that_ends_early_is_damaged(end):
    with pytest.raises(ubj.UbjError):
        ubj.read(UBJ[:end])


@given(st.integers(0, len(UBJ) - 1), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(at, value):
    changed = bytearray(UBJ)
    changed[at] = value
    with contextlib.suppress(ModelError):
        assert model_files.header(changed, "x").features >= -(2**63)


class Runs:
    """A pickle that runs something."""

    def __reduce__(self):
        return (print, ("it ran",))


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_of_more_than_a_booster_is_refused(capsys, protocol):
    hostile = pickle.dumps([Runs()], protocol)
    with pytest.raises(pickle.UnpicklingError, match="more than a Booster"):
        model_files.unpickled(hostile, model_files._Stand)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "text", [b"c_codecs\nencode\n(Vabc\nVzip\ntR.", b"(I1\nI2\nt.", b"ccopy_reg\n_reconstructor\n."]
)
def test_what_a_booster_is_made_of_can_do_nothing_else(text):
    with pytest.raises(pickle.UnpicklingError):
        model_files.unpickled(text, model_files._Stand)

"""What LightGBM's files hold, read without LightGBM: headers, categories, and damage."""

from __future__ import annotations

import json
import random

import pytest
from runtimes import categories
from runtimes.lightgbm import model_files, trees
from runtimes.values import ModelError, RequestError

TREE = """Tree={number}
num_leaves=3
num_cat=1
split_feature=1 0
split_gain=10 5
threshold=0 0.5
decision_type=1 2
left_child=1 -1
right_child=-2 -3
leaf_value=1.5 -2 0.25
leaf_weight=1 2 3
leaf_count=1 2 3
internal_value=0 0
internal_weight=6 4
internal_count=6 4
cat_boundaries=0 1
cat_threshold=4
is_linear=0
shrinkage=0.1


"""


def written(count=2, categories=None, **changed) -> bytes:
    made = [TREE.format(number=number) for number in range(count)]
    pairs = {
        "version": "v4",
        "num_class": "1",
        "num_tree_per_iteration": "1",
        "label_index": "0",
        "max_feature_idx": "1",
        "objective": "binary sigmoid:1",
        "feature_names": "age town",
        "feature_infos": "[0:90] 0:1:2",
        "tree_sizes": " ".join(str(len(one)) for one in made),
        **changed,
    }
    lines = [f"{key}={value}" for key, value in pairs.items() if value is not None]
    head = "\n".join(["tree", *lines, "", ""])
    tail = "end of trees\n\nparameters:\n[categorical_feature: 1]\nend of parameters\n"
    return (f"{head}{''.join(made)}{tail}\npandas_categorical:{json.dumps(categories)}\n").encode()


def checked(data: bytes) -> str:
    return trees.checked(data, model_files.header(data, "m.txt"), "m.txt")


def test_a_header_says_what_the_model_takes_and_answers():
    found = model_files.header(written(), "m.txt")
    assert found.names == ("age", "town")
    assert (found.version, found.objective, found.classes) == ("v4", "binary", 1)
    assert found.categorical == (1,)
    assert found.codes == {}


def test_answers_need_neither_parameters_nor_gains_nor_sizes():
    text = checked(written())
    assert text.startswith("tree\nversion=v4\n")
    assert text.endswith("shrinkage=0.1\n\nend of trees\n")
    assert "split_gain" not in text
    assert "tree_sizes" not in text
    assert text.count("Tree=") == 2


def test_a_file_without_sizes_of_trees_is_read_to_its_end():
    assert checked(written(3, tree_sizes=None)).count("Tree=") == 3


def test_a_folder_is_told_by_what_the_file_holds(tmp_path):
    (tmp_path / "notes.txt").write_text("tree of life")
    assert not model_files.detect(tmp_path)
    (tmp_path / "anything").write_bytes(written())
    assert model_files.detect(tmp_path)
    assert model_files.find(tmp_path).name == "anything"
    (tmp_path / "more.txt").write_bytes(written())
    with pytest.raises(ModelError, match=r"holds 2 models, anything, more\.txt"):
        model_files.find(tmp_path)


def test_a_dump_as_json_is_refused_by_name(tmp_path):
    (tmp_path / "dump.json").write_text('{"name": "tree", "version": "v4", "tree_info": []}')
    assert model_files.detect(tmp_path)
    with pytest.raises(ModelError, match=r"dump\.json: is a dump as JSON"):
        model_files.find(tmp_path)


def test_categories_of_a_dataframe_belong_to_the_columns_of_categories():
    found = model_files.header(written(categories=[["Bonn", "Köln", "Ulm"]]), "m.txt")
    assert found.codes == {1: ["Bonn", "Köln", "Ulm"]}


def test_categories_that_belong_to_no_known_column_must_be_named():
    data = written(categories=[["a", "b"], ["Bonn", "Köln", "Ulm"]])
    with pytest.raises(ModelError, match="categories of 2 columns and does not say") as caught:
        model_files.header(data, "m.txt")
    assert "model.json" in caught.value.fix
    data = written(categories=[["a"] * 91, ["Bonn", "Köln", "Ulm"]])
    chosen = model_files.Options(categorical=("age", "town"))
    assert set(model_files.header(data, "m.txt", chosen).codes) == {0, 1}


@pytest.mark.parametrize(
    ("values", "sent", "codes"),
    [
        (["Bonn", "Ulm"], ["Ulm", "Bonn"], [1, 0]),
        ([3, 5, 7], [5, "7", 3.0], [1, 2, 0]),
        (["3", "5"], [5, "3"], [1, 0]),
        ([False, True], [True, "False", "true"], [1, 0, 1]),
    ],
)
def test_categories_become_codes_however_they_were_sent(values, sent, codes):
    assert categories.Categories(values, 0, "c").codes(sent) == codes


def test_what_was_not_there_in_training_is_missing_as_for_lightgbm():
    found = categories.Categories(["Bonn"], 0, "c").codes([None, "Ulm"])
    assert all(code != code for code in found)


def test_what_was_not_there_in_training_is_refused_where_the_framework_does():
    strict = categories.Categories([10, 20], 1, "size", strict=True)
    assert strict.codes([20, "10", None])[:2] == [1, 0]
    with pytest.raises(RequestError, match=r"row 2, column 2 \('size'\): 77 was not there") as told:
        strict.codes([10, 77])
    assert "there are 2: 10, 20" in told.value.message


def test_a_code_in_place_of_a_category_is_refused():
    with pytest.raises(RequestError, match=r"row 2, column 3 \('town'\): 1 is not a category"):
        categories.Categories(["Bonn", "Ulm"], 2, "town").codes(["Ulm", "1"])


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"left_child=1 -1", b"left_child=0 -1", "do not make a tree"),
        (b"left_child=1 -1", b"left_child=1 -2", "do not make a tree"),
        (b"split_feature=1 0", b"split_feature=1 2", "beyond the 2 there are"),
        (b"threshold=0 0.5", b"threshold=3 0.5", "set of categories beyond the 1"),
        (b"cat_boundaries=0 1", b"cat_boundaries=0 9", "cat_threshold has 1 numbers for 9"),
        (b"num_leaves=3", b"num_leaves=4", "leaf_value has 3 numbers for 4"),
        (b"is_linear=0", b"is_lin6ar=0", "is not LightGBM's"),
        (b"Tree=1", b"Tree=7", "does not begin where the header says"),
        (b"end of trees", b"end_of trees", "no trees|end of the trees lacks|damaged"),
        (b"objective=binary", b"objectivo=binary", "is not LightGBM's"),
        (b"version=v4", b"version=v5", "the image's LightGBM reads"),
        (b"num_class=1", b"num_class=2", "2 classes, elsewhere 1"),
    ],
)
def test_damage_is_told_by_what_is_wrong(old, new, why):
    data = written()
    assert old in data
    with pytest.raises(ModelError, match=why):
        checked(data.replace(old, new))


def test_line_ends_of_another_system_are_told():
    with pytest.raises(ModelError, match="other line ends than LightGBM wrote"):
        checked(written().replace(b"\n", b"\r\n"))


def test_whatever_happens_to_a_file_it_is_read_or_refused():
    chance = random.Random(7)
    whole = written(4, categories=[["Bonn", "Köln", "Ulm"]])
    for _ in range(300):
        data = bytearray(whole)
        at = chance.randrange(len(data))
        data[at : at + chance.randrange(3)] = chance.choice([b"", b"9", b"-", b"\n", b"\xff", b"="])
        try:
            checked(bytes(data[: chance.choice([len(data), at])]))
        except ModelError:
            continue


def test_a_choice_that_the_model_cannot_answer_is_refused(tmp_path):
    data = written(objective="regression")
    (tmp_path / "model.txt").write_bytes(data)
    (tmp_path / "model.json").write_text('{"framework": "lightgbm", "predict": "class"}')
    chosen = model_files.options(tmp_path)
    with pytest.raises(ModelError, match=r"model\.json: chooses 'class'"):
        model_files.check_prediction(model_files.header(data, "model.txt"), chosen)
    (tmp_path / "model.json").write_text('{"framework": "lightgbm", "predict": "proba"}')
    with pytest.raises(ModelError, match="unknown prediction 'proba'"):
        model_files.options(tmp_path)

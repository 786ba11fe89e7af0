"""What CatBoost's files hold, read without CatBoost: the head, choices, and damage."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from runtimes.catboost import model_files
from runtimes.values import ModelError

STAY = Path(__file__).resolve().parents[3] / "examples" / "catboost" / "stay"


def test_a_head_says_what_the_model_takes_and_answers():
    found = model_files.header((STAY / "model.cbm").read_bytes(), "model.cbm")
    assert (found.names, found.named) == (("months", "plan", "town"), True)
    assert (found.categorical, found.texts) == ((1, 2), ())
    assert (found.loss, found.dimension, found.classes) == ("Logloss", 1, (0, 1))


def test_columns_without_names_are_called_by_their_numbers():
    found = model_files.header(model_files.small(), "m")
    assert (found.names, found.named, found.loss) == (("0", "1"), False, "")


def test_a_folder_is_told_by_what_the_file_holds(tmp_path):
    (tmp_path / "notes.cbm").write_text("CBM")
    assert not model_files.detect(tmp_path)
    (tmp_path / "anything").write_bytes(model_files.small())
    assert model_files.find(tmp_path).name == "anything"
    (tmp_path / "second").write_bytes(model_files.small())
    with pytest.raises(ModelError, match="holds 2 models, anything, second"):
        model_files.find(tmp_path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"framework": "catboost", "predict": "proba"}', "unknown prediction 'proba'"),
        ('{"framework": "catboost", "missing": 3}', "missing category that is not text"),
        ('{"framework": "catboost", "other": 3}', "unknown key 'other'"),
    ],
)
def test_choices_that_are_none_are_refused(tmp_path, text, why):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ModelError, match=why):
        model_files.options(tmp_path)


def test_a_choice_that_the_model_cannot_answer_is_refused():
    header = model_files.header(model_files.small(), "m")
    with pytest.raises(ModelError, match="chooses 'class': the model's loss is unknown"):
        model_files.check_prediction(header, model_files.Options("class"))


def test_a_file_that_is_cut_off_is_told():
    with pytest.raises(ModelError, match="its model has 352 bytes, the file 200"):
        model_files.header(model_files.small()[:200], "m")


def test_whatever_happens_to_a_head_it_is_read_or_refused():
    chance = random.Random(7)
    whole = (STAY / "model.cbm").read_bytes()
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 3, 20])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            model_files.header(bytes(data), "m")
        except ModelError:
            continue


@pytest.mark.parametrize("key", ["features_info", "ctr_data"])
def test_an_export_as_json_is_named_as_such(tmp_path, key):
    """Its keys are sorted; which one comes first depends on the model's columns."""
    (tmp_path / "model.json").write_text(f'{{\n  "{key}":\n    {{}}}}')
    assert model_files.detect(tmp_path)
    with pytest.raises(ModelError, match=r"model\.json: is CatBoost's export as JSON"):
        model_files.find(tmp_path)
    (tmp_path / "model.cbm").write_bytes(model_files.small())
    assert model_files.find(tmp_path).name == "model.cbm"

"""What estimators say of their columns, by stand-ins with the names that scikit-learn's have."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from runtimes.sklearn import columns
from runtimes.sklearn.runtime import Model
from runtimes.tables import Table
from runtimes.values import EngineError


def kind(name: str, **attributes):
    return type(name, (SimpleNamespace,), {})(**attributes)


WORDS = kind("TfidfVectorizer")


def after(first):
    return kind("Pipeline", steps=[("first", first), ("last", kind("LogisticRegression"))])


@pytest.mark.parametrize(
    "model",
    [
        after(WORDS),
        after(kind("FeatureUnion", transformer_list=[("a", WORDS), ("b", after(WORDS))])),
        kind("VotingClassifier", estimators_=[kind("DummyClassifier"), after(WORDS)]),
        kind(
            "CalibratedClassifierCV", calibrated_classifiers_=[kind("One", estimator=after(WORDS))]
        ),
    ],
)
def test_texts_are_taken_wherever_the_vectorizer_is(model):
    assert columns.of(model).documents


def test_a_step_that_gives_on_what_it_gets_says_nothing_of_columns():
    passing = kind("FunctionTransformer", func=None)
    model = kind("Pipeline", steps=[("pass", passing), ("words", WORDS)])
    assert columns.of(model).documents


def test_a_union_of_texts_and_numbers_takes_no_texts_alone():
    mixed = kind("FeatureUnion", transformer_list=[("a", WORDS), ("b", kind("PCA"))])
    assert not columns.of(after(mixed)).documents


def test_trees_of_a_forest_say_nothing_new():
    forest = kind("Forest", estimators_=[kind("Tree", n_features_in_=2)], n_features_in_=5)
    assert columns.of(forest).count == 5


def test_no_columns_at_all_are_unknown_ones():
    assert columns.of(kind("CatBoostClassifier", n_features_in_=0)).count is None


def fails(rows):
    raise AttributeError("'SimpleImputer' object has no attribute '_fill_dtype'")


def test_an_error_of_a_file_of_another_version_names_both():
    note = "was written by scikit-learn 1.3.2, this image has 1.9.1"
    table = Table(1, False, np.zeros((1, 2), "f"))
    model = Model("model.pkl", kind("SimpleImputer", transform=fails), "transform", [note])
    with pytest.raises(EngineError, match=rf"_fill_dtype'; model\.pkl {note}: save it again"):
        model.predict(table, 1)
    model = Model("model.pkl", kind("SimpleImputer", transform=fails), "transform")
    with pytest.raises(EngineError, match=r"_fill_dtype'$"):
        model.predict(table, 1)


def test_what_is_no_part_of_scikit_learn_may_have_its_columns_named(monkeypatch):
    monkeypatch.setitem(
        sys.modules, "pandas", SimpleNamespace(DataFrame=lambda rows: ("frame", rows))
    )
    own = kind("Ratio")
    assert columns.of(after(own)).unknown
    assert columns.of(after(kind("FeatureUnion", transformer_list=[("a", own)]))).unknown
    assert not columns.of(after(kind("Ratio", n_features_in_=2))).unknown
    asked = []

    def predict(rows):
        asked.append(rows)
        return np.zeros(1)

    model = Model("model.pkl", kind("Own", predict=predict), "predict")
    assert model.features.named
    made: Any = np.empty(1, object)
    made[0] = {"town": "Ulm", "age": 3}
    model.predict(Table(1, columns={"0": made}), 1)
    assert asked == [("frame", [{"town": "Ulm", "age": 3}])]


def test_answers_by_name_are_those_of_each_name():
    model = Model(
        "model.pkl", kind("Own", predict=lambda rows: {"a": [1.5], "b": ["x"]}), "predict"
    )
    found = model.predict(Table(1, array=np.zeros((1, 2), np.float32)), 1)
    assert {name: one.tolist() for name, one in found.items()} == {"a": [1.5], "b": ["x"]}


def test_a_column_that_was_picked_by_a_name_that_nobody_kept_is_passed_by():
    picks = kind("ColumnTransformer", transformers_=[("words", kind("OneHotEncoder"), ["town"])])
    assert columns.of(after(picks)).names is None

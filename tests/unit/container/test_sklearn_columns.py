"""What estimators say of their columns, by stand-ins with the names that scikit-learn's have."""

from __future__ import annotations

from types import SimpleNamespace

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

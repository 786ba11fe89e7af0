"""What estimators say of their columns, by stand-ins with the names that scikit-learn's have."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from runtimes.sklearn import columns


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


def test_a_union_of_texts_and_numbers_takes_no_texts_alone():
    mixed = kind("FeatureUnion", transformer_list=[("a", WORDS), ("b", kind("PCA"))])
    assert not columns.of(after(mixed)).documents


def test_trees_of_a_forest_say_nothing_new():
    forest = kind("Forest", estimators_=[kind("Tree", n_features_in_=2)], n_features_in_=5)
    assert columns.of(forest).count == 5


def test_no_columns_at_all_are_unknown_ones():
    assert columns.of(kind("CatBoostClassifier", n_features_in_=0)).count is None

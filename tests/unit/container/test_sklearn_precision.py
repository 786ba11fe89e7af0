"""Whether the answer to float32 is the model's own, but for last digits."""

from __future__ import annotations

import io

import numpy as np
import pytest
from runtimes.sklearn import precision, runtime
from runtimes.tables import Features
from runtimes.values import RequestError
from serving.handler.tables import Dialect, read

NAN = float("nan")


@pytest.mark.parametrize(
    ("rough", "exact"),
    [
        ([1.0000001, 2.0], [1.0, 2.0]),
        ([NAN, np.inf, 0.0], [NAN, np.inf, 0.0]),
        ([[1e-9, 1.0]], [[0.0, 1.0]]),  # nothing beside the largest of the row
        ([[0.5, 0.5]], [[0.5000001, 0.4999999]]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [1, 2]),
    ],
)
def test_last_digits_are_no_difference(rough, exact):
    assert precision.alike(np.array(rough), np.array(exact))
    assert precision.alike({"output_0": np.array(rough)}, {"output_0": np.array(exact)})


@pytest.mark.parametrize(
    ("rough", "exact"),
    [
        ([1.00001, 2.0], [1.0, 2.0]),
        ([NAN], [1.0]),
        ([np.inf], [1.0]),
        ([np.inf], [-np.inf]),
        ([1e-9], [2e-9]),
        ([0.0, 1e9], [1.0, 1e9]),  # of another row
        ([[0.0, 0.0], [1e9, 1e9]], [[0.0, 1.0], [1e9, 1e9]]),
        ([1, 2], [1, 3]),
        (["a"], ["b"]),
        ([[1.0]], [1.0]),
    ],
)
def test_other_answers_are(rough, exact):
    assert not precision.alike(np.array(rough), np.array(exact))


def test_what_is_predicted_is_looked_at_number_by_number():
    rough, exact = np.array([[0.0, 1e9]]), np.array([[1.0, 1e9]])
    assert precision.alike(rough, exact)
    assert not precision.alike(rough, exact, apart=True)
    assert not precision.alike({"output_0": rough}, {"output_0": exact}, apart=True)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"0.1,16777217", "text/csv"),
        (b'[["0.1", 16777217]]', "application/json"),
        (b"[[0.1, 16777217]]", "application/json"),
        (b"[0.1, 16777217]", "application/jsonlines"),
    ],
)
def test_numbers_without_a_type_are_kept_as_they_were_sent(body, kind):
    table = read(body, kind, Features(count=2, sent=True), Dialect.SKLEARN)
    assert (table.array.dtype, table.sent.dtype) == ("float32", "float64")
    assert table.sent.tolist() == [[0.1, 16777217.0]]
    assert table.take(0, 1).sent.tolist() == [[0.1, 16777217.0]]
    assert read(body, kind, Features(count=2), Dialect.SKLEARN).sent is None


class OfType:
    """An estimator that takes numbers of one type alone, as KMeans takes that of its training."""

    def __init__(self, dtype, refused=()):
        self.n_features_in_, self.dtype, self.refused = 1, dtype, refused

    def predict(self, rows):
        if rows.dtype != self.dtype:
            raise ValueError("Buffer dtype mismatch")
        if set(rows.ravel().tolist()) & set(self.refused):
            raise ValueError("an unknown category")
        rows *= 2  # as with copy=False
        return rows[:, 0].copy()


class Categories(OfType):
    """One that takes numbers of any type, but only those that it knows."""

    def predict(self, rows):
        self.dtype = rows.dtype
        return super().predict(rows)


def answered(estimator, body, kind="text/csv"):
    model = runtime.Model("model.skops", estimator, "predict")
    return model.predict(read(body, kind, model.features, model.dialect), 1).tolist()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_estimator_that_takes_one_type_alone_gets_that(dtype):
    file = io.BytesIO()
    np.save(file, np.array([[0.5], [3.0]], "float32"))
    assert answered(OfType(dtype), b"0.5\n3") == [1.0, 6.0]
    assert answered(OfType(dtype), file.getvalue(), "application/x-npy") == [1.0, 6.0]


def test_a_number_that_is_refused_is_so_though_its_float32_is_not():
    assert answered(Categories(None, [16777217.0]), b"16777216") == [33554432.0]
    with pytest.raises(RequestError, match="an unknown category"):
        answered(Categories(None, [16777217.0]), b"16777217")
    with pytest.raises(RequestError, match="an unknown category"):
        answered(OfType("float64", [3.0]), b"3")


class Pipeline:
    """As scikit-learn's: steps that change rows, and trees at the end."""

    __module__ = "sklearn.pipeline"

    def __init__(self, *steps, classes=1):
        self.n_features_in_ = 1
        self.trees = RandomForestRegressor(classes)
        self.steps = [*((str(index), step) for index, step in enumerate(steps)), ("", self.trees)]

    def predict(self, rows):
        for _, step in self.steps[:-1]:
            rows = rows if step is None else step.transform(rows)
        return self.trees.predict(rows)


class RandomForestRegressor:
    """Counts how it is asked, and says what it was given in float32."""

    def __init__(self, outputs):
        self.outputs, self.asked = outputs, []

    def predict(self, rows):
        self.asked.append(len(rows))
        answer = np.asarray(rows)[:, 0].astype("float32").astype(float)
        return [answer] * self.outputs if self.outputs > 1 else answer


class Less:
    """A step that takes a number away, in place."""

    def __init__(self, number, made=np.asarray):
        self.number, self.made = number, made

    def transform(self, rows):
        if (rows > 1e30).any():
            raise ValueError("too large")
        rows -= rows.dtype.type(self.number)
        return self.made(rows)


def test_trees_behind_a_pipeline_are_asked_once():
    pipeline = Pipeline(None, Less(1))
    assert answered(pipeline, b"3\n4.5") == [2.0, 3.5]
    assert pipeline.trees.asked == [4]


def test_of_the_two_answers_the_models_own_is_given():
    pipeline = Pipeline(Less(16777216))
    assert answered(pipeline, b"16777217\n16777218") == [1.0, 2.0]
    assert pipeline.trees.asked == [4]


def test_several_outputs_are_parted_by_rows():
    pipeline = Pipeline(Less(1), classes=2)
    model = runtime.Model("model.skops", pipeline, "predict")
    table = read(b"3\n4.5", "text/csv", model.features, model.dialect)
    answer = model.predict(table, 1)
    assert {name: one.tolist() for name, one in answer.items()} == {
        "output_0": [2.0, 3.5],
        "output_1": [2.0, 3.5],
    }
    assert pipeline.trees.asked == [4]


@pytest.mark.parametrize("made", [lambda rows: rows.astype(int), lambda rows: rows.tolist()])
def test_trees_that_get_anything_else_are_asked_twice(made):
    pipeline = Pipeline(Less(1, made))
    model = runtime.Model("model.skops", pipeline, "predict")
    for _ in range(2):
        table = read(b"3\n5", "text/csv", model.features, model.dialect)
        assert model.predict(table, 1).tolist() == [2.0, 4.0]
    assert pipeline.trees.asked == [2, 2, 2, 2]


def test_rows_that_a_step_refuses_are_refused_as_by_the_pipeline():
    with pytest.raises(RequestError, match="too large"):
        answered(Pipeline(Less(1)), b"1e31")

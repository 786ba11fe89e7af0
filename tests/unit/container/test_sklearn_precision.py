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

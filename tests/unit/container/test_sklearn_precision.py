"""Whether the answer to float32 is the model's own, but for last digits."""

from __future__ import annotations

import numpy as np
import pytest
from runtimes.sklearn import precision
from runtimes.tables import Features
from serving.handler.tables import Dialect, read

NAN = float("nan")


@pytest.mark.parametrize(
    ("rough", "exact"),
    [
        ([1.0000001, 2.0], [1.0, 2.0]),
        ([NAN, np.inf, 0.0], [NAN, np.inf, 0.0]),
        ([1e-9, 1.0], [0.0, 1.0]),  # nothing beside the largest
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
        ([1, 2], [1, 3]),
        (["a"], ["b"]),
        ([[1.0]], [1.0]),
    ],
)
def test_other_answers_are(rough, exact):
    assert not precision.alike(np.array(rough), np.array(exact))


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

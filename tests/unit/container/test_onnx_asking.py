"""How ONNX models are asked, with functions in the place of ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtimes.onnx import asking, graph
from runtimes.onnx.model_files import ModelFiles, says_rows
from runtimes.tables import Table
from runtimes.values import EngineError, RequestError


def files(inputs: list[Any], rows: Any = None, opsets: tuple[str, ...] = ("",)) -> ModelFiles:
    """A model of those inputs and one output of (rows, any)."""
    proto = graph.ModelProto(opsets=dict.fromkeys(opsets, 17))
    proto.graph.inputs = [graph.Value(n, "tensor", dtype, shape) for n, dtype, shape in inputs]
    proto.graph.outputs = [graph.Value("y", "tensor", "float32", (rows, None))]
    return ModelFiles(Path("model.onnx"), proto, None)


def tables(answer: Any, rows: Any = None, columns: int = 2) -> asking.Tables:
    of = files([("x", "float32", (rows, columns))])
    return asking.Tables(of, lambda feed: [answer(feed["x"])], lambda: False, missing=False)


def asked(model: Any, *rows: list[float]) -> Any:
    return model.predict(Table(len(rows), array=np.array(rows, np.float32)), 1).tolist()


def test_no_row_of_an_answer_is_left_out_that_was_not_filled_up():
    assert asked(tables(np.negative, rows=2), [1, 2], [3, 4], [5, 6]) == [
        [-1, -2], [-3, -4], [-5, -6]
    ]  # fmt: skip
    for turned in (tables(np.transpose), tables(lambda x: x.repeat(2, 0))):
        with pytest.raises(EngineError, match="does not answer 1 rows one by one"):
            asked(turned, [1, 2])


@pytest.mark.parametrize("columns", [2, 3])
def test_rows_are_tried_where_the_file_does_not_say_what_comes_out(columns):
    assert tables(np.negative, columns=columns).tells_rows_apart()
    assert not tables(np.transpose, columns=columns).tells_rows_apart()
    assert not tables(lambda x: x.mean(0, keepdims=True), columns=columns).tells_rows_apart()

    def refuse(x):
        raise EngineError("unknown category")

    assert tables(refuse, columns=columns).tells_rows_apart()
    assert says_rows(files([("x", "float32", ("N", 2))], "N"))
    assert not says_rows(files([("x", "float32", (None, 2))]))


def test_a_fixed_number_of_rows_is_filled_up_where_they_are_independent():
    assert tables(np.negative, rows=4).tells_rows_apart()
    for rows in (2, 4):
        assert not tables(lambda x: np.cumsum(x, 0), rows=rows).tells_rows_apart()
        assert not tables(lambda x: np.cumsum(x[::-1], 0)[::-1], rows=rows).tells_rows_apart()
        assert not tables(lambda x: x @ x.T, rows=rows).tells_rows_apart()
    assert tables(lambda x: np.cumsum(x, 0), rows=1).tells_rows_apart()
    assert not says_rows(files([("x", "float32", (4, 2))], 4))


@pytest.mark.parametrize("shape", [(3, 1), (3,)])
def test_rows_of_columns_are_filled_up_where_they_are_independent(shape):
    def columns(answer: Any, kind: str = "int64", rows: Any = 3) -> asking.Columns:
        of = files([("a", "float32", (rows, *shape[1:])), ("b", kind, (rows, *shape[1:]))], rows)
        run = lambda feed: [answer(feed["a"] + feed["b"])]  # noqa: E731
        return asking.Columns(of, run, lambda: False, missing=True)

    assert columns(np.negative).tells_rows_apart()
    for answer in (lambda x: np.cumsum(x, 0), lambda x: np.cumsum(x[::-1], 0)[::-1]):
        assert not columns(answer).tells_rows_apart()
    for untried in (columns(np.sum, "string"), columns(np.sum, rows=1)):
        assert untried.tells_rows_apart()
    assert columns(np.negative, rows="N").tells_rows_apart()
    assert not columns(np.sum, rows="N").tells_rows_apart()


@pytest.mark.parametrize("numbers", [2, 3])
def test_as_many_numbers_as_rows_may_be_chance(numbers):
    assert not tables(lambda x: x.sum() * np.ones(numbers)).tells_rows_apart()


def test_rows_of_any_number_of_columns_are_tried():
    assert tables(np.negative, columns=None).tells_rows_apart()
    assert not tables(lambda x: x[:1], columns=None).tells_rows_apart()

    def eights(x):
        if x.shape[1] % 8:
            raise EngineError("heads of 8")
        return x[:1]

    assert not tables(eights, columns=None).tells_rows_apart()


def test_the_axis_of_one_row_comes_back_where_a_model_squeezes():
    of = files([("x", "float32", ("N", 2))])
    for shape, answer in (((None,), [3]), ((None, None), [[1, 2]])):
        of.proto.graph.outputs = [graph.Value("y", "tensor", "float32", shape)]
        run = lambda feed: [np.squeeze(feed["x"].sum(1) if answer == [3] else feed["x"])]  # noqa: B023,E731
        model = asking.Tables(of, run, lambda: False, missing=False)
        assert model.tells_rows_apart()
        assert asked(model, [1, 2]) == answer
        assert asked(model, [1, 2], [1, 2]) == answer * 2


def test_a_number_that_the_type_of_its_column_lacks_is_refused():
    of = files([("a", "float32", ("N", 1)), ("b", "float16", ("N", 1))], "N")
    model = asking.Columns(of, lambda feed: [feed["b"]], lambda: False, missing=True)
    ask = lambda a, b: model.predict(Table(1, array=np.array([[a, b]])), 1).tolist()  # noqa: E731
    assert ask(1, 65504) == [[65504]]
    assert np.isnan(ask(1, np.nan)).all()
    for a, b, name in ((1e39, 1, "'a' holds a number that is beyond float32"),
                       (1, 7e4, "'b' holds a number that is beyond float16")):  # fmt: skip
        with pytest.raises(RequestError, match=name):
            ask(a, b)


def test_encoders_may_fail_with_zeros():
    one = [("x", "string", ("N", 1))]
    for opsets, refuses in ((("",), False), (("", "ai.onnx.ml"), True)):
        model = asking.Columns(files(one, "N", opsets), lambda _: [], lambda: False, missing=False)
        assert model.refuses_values is refuses

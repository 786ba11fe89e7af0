"""JSON and JSON Lines to tables: rows, rows by name, columns by name, and what wraps them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from serving.handler.payloads import PayloadError
from serving.handler.tables import Features, read

NAMED = Features(names=["a", "b", "c"])
THREE = Features(count=3)
MIXED = Features(names=["a", "b", "c"], categorical=["b"])
PADDED = Features(names=["a", "b", "c"], fewer_allowed=True)
JSON = "application/json"
NAN = float("nan")
ROWS = [[1, 2, 3], [4, 5, 6]]
OBJECTS = [{"c": 3, "a": 1, "b": 2}, {"a": 4, "b": 5, "c": 6}]
BY_COLUMN = {"c": [3, 6], "a": [1, 4], "b": [2, 5]}
SPLIT = {"columns": ["c", "a", "b"], "data": [[3, 1, 2], [6, 4, 5]]}


def same(table, rows) -> bool:
    return np.array_equal(table.array, np.array(rows, np.float32), equal_nan=True)


@pytest.mark.parametrize(
    "value",
    [
        ROWS, OBJECTS, BY_COLUMN, SPLIT,
        {**SPLIT, "index": [0, 1]},
        {"instances": ROWS}, {"inputs": ROWS}, {"instances": OBJECTS}, {"inputs": BY_COLUMN},
        {"signature_name": "serving_default", "instances": ROWS},
        {"inputs": ROWS, "parameters": {}}, {"dataframe_split": SPLIT, "params": None},
        {"dataframe_split": SPLIT}, {"dataframe_records": OBJECTS},
        {"instances": [{"features": row} for row in ROWS]},
        {"instances": [{"data": {"features": {"values": row}}} for row in ROWS]},
        {"a": {"0": 1, "1": 4}, "b": {"0": 2, "1": 5}, "c": {"0": 3, "1": 6}},
        [["1", "2", "3"], [4, "5", 6.0]],
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "json", None]
)
def test_rows(value, kind):
    table = read(json.dumps(value).encode(), kind, NAMED)
    assert same(table, ROWS)
    assert not table.single


@pytest.mark.parametrize("kind", ["application/json", "application/jsonlines"])
def test_half_of_a_pair_of_surrogates_is_no_text(kind):
    for half in (r"\ud800", r"x\uDC00", r"\udc00\ud83d"):
        for body in (rf'[1, "{half}", 3]', rf'{{"a": 1, "{half}": 2, "c": 3}}'):
            with pytest.raises(PayloadError, match="surrogates not allowed"):
                read(body.encode(), kind, MIXED)
    table = read(rb'[1, "\ud83d\ude00", 3]', kind, MIXED)
    assert table.columns["b"].tolist() == ["\N{GRINNING FACE}"]


@pytest.mark.parametrize("mark", ["\x85", "\u2028", "\u2029"])
def test_texts_of_json_lines_hold_what_ends_lines_elsewhere(mark):
    rows = [{"a": 1, "b": f"x{mark}y", "c": 3}, {"a": 4, "b": mark, "c": 6}]
    body = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    table = read(body, "application/jsonlines", MIXED)
    assert table.columns["b"].tolist() == [f"x{mark}y", mark]
    table = read(body, "application/jsonlines", Features(objects=True))
    assert table.columns["0"].tolist() == rows


@pytest.mark.parametrize(
    "value",
    [[1, 2, 3], {"a": 1, "b": 2, "c": 3}, {"instances": [1, 2, 3]}, {"features": [1, 2, 3]},
     {"instances": {"c": 3, "a": 1, "b": 2}}],
)  # fmt: skip
def test_a_bare_row(value):
    table = read(json.dumps(value).encode(), "application/json", NAMED)
    assert same(table, [[1, 2, 3]])
    assert table.single


def test_bare_values_are_rows_of_a_model_of_one_column():
    table = read(b"[1, 2, 3]", "application/json", Features(count=1))
    assert same(table, [[1], [2], [3]])
    assert not table.single


@pytest.mark.parametrize(
    "body", [b"[[1, null, true]]", b"[[1, NaN, 1.0]]", b'{"a":[1],"b":[null],"c":[true]}']
)
def test_null_is_missing(body):
    assert same(read(body, "application/json", NAMED), [[1, NAN, 1]])


def test_columns_that_lack_in_a_row_are_missing_where_the_model_allows_it():
    """As pandas reads rows by name: one that no row has is no column of the frame."""
    found = read(b'[{"c": 3, "b": 2}, {"a": 1}]', "application/json", PADDED)
    assert same(found, [[NAN, 2, 3], [1, NAN, NAN]])
    assert same(read(b"[[1, 2]]", "application/json", PADDED), [[1, 2, NAN]])


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"c": 3}', JSON),
        (b'[{"c": 3}, {"b": 1}]', JSON),
        (b'{"b": [1, 2], "c": [3, 4]}', JSON),
        (b'{"columns": ["c", "b"], "data": [[3, 1]]}', JSON),
        (b'{"c": 3}\n{"b": 1}', "application/jsonlines"),
        (b"c,b\n3,1", "text/csv"),
    ],
)
def test_a_column_that_no_row_names_is_refused(body, kind):
    """XGBoost, too, refuses a frame without a column that it was trained with."""
    with pytest.raises(PayloadError, match=r"the column 'a' is missing: send all of|'a', 'b' is"):
        read(body, kind, PADDED)


@pytest.mark.parametrize("value", [
    [[1, "red", 3], [4, None, 6]], {"a": [1, 4], "b": ["red", None], "c": [3, 6]},
    [{"a": 1, "b": "red", "c": 3}, {"a": 4, "b": None, "c": 6}],
])  # fmt: skip
def test_text_of_categorical_columns(value):
    table = read(json.dumps(value).encode(), "application/json", MIXED)
    assert table.columns["b"].tolist() == ["red", None]
    assert table.columns["a"].tolist() == [1, 4]
    assert table.array is None


def test_categories_keep_their_type():
    table = read(b'[[1, 7, 3], [1, 7.5, 3], [1, true, 3], [1, "7", 3]]', None, MIXED)
    assert [type(v) for v in table.columns["b"]] == [int, float, bool, str]


@pytest.mark.parametrize(
    ("body", "features"),
    [
        (b"[1, 2, 3]\n[4, 5, 6]\n", THREE),
        (b"[1, 2, 3]\r\n\r\n[4, 5, 6]", THREE),
        (b'{"a": 1, "b": 2, "c": 3}\n{"c": 6, "b": 5, "a": 4}\n', NAMED),
        (b'{"features": [1, 2, 3]}\n{"features": [4, 5, 6]}', THREE),
        (b'{"instances": [[1, 2, 3]]}\n{"instances": [[4, 5, 6]]}', THREE),
    ],
)
@pytest.mark.parametrize(
    "kind", ["application/jsonlines", "application/x-ndjson", "Application/JSONLines"]
)
def test_json_lines(body, features, kind):
    assert same(read(body, kind, features), ROWS)


@pytest.mark.parametrize(
    "body",
    [
        b'[[1, "", 3], [1, null, 3], [1, NaN, 3]]',
        b'[{"a": 1, "b": "", "c": 3}, {"a": 1, "b": null, "c": 3}, {"a": 1, "b": NaN, "c": 3}]',
        b'{"a": [1, 1, 1], "b": ["", null, NaN], "c": [3, 3, 3]}',
    ],
)
def test_an_empty_text_is_a_category_and_null_is_a_missing_one(body):
    assert read(body, "application/json", MIXED).columns["b"].tolist() == ["", None, None]


@pytest.mark.parametrize(
    ("body", "features", "words"),
    [
        (b"[[1, 2], [3]]", Features(), "row 2 has 1 columns, row 1 has 2"),
        (b"[[1, 2]]", THREE, "row 1 has 2 columns, the model takes 3"),
        (b"[[1, 2, 3, 4]]", PADDED, "row 1 has 4 columns, the model takes 3"),
        (b'[[1, "x", 3]]', NAMED, "row 1, column 2 ('b'): 'x' is not a number"),
        (b'[[1, "", 3]]', NAMED, "row 1, column 2 ('b'): '' is not a number"),
        (b"[[1, [2], 3]]", NAMED, "row 1, column 2 ('b'): [2] is not a number"),
        (b'[[1, {"x": 2}, 3]]', MIXED, "row 1, column 2 ('b')"),
        (b"[[1, 2, 3], 4]", NAMED, "row 2 is not a list, but row 1 is one"),
        (b"[[[1, 2, 3]]]", NAMED, "row 1 has 1 columns"),
        (b"[[1, 1e400, 3]]", NAMED, "row 1, column 2 ('b'): inf is infinite"),
        (b"[[1, " + b"9" * 400 + b", 3]]", NAMED, "row 1, column 2 ('b')"),
        (b'{"a": 1, "b": 2}', NAMED, "the column 'c' is missing"),
        (b'{"a": 1, "b": 2, "d": 3}', NAMED, "the model has no column 'd'"),
        (b'[{"a": 1, "b": 2, "c": 3}, {"a": 1}]', NAMED, "'c' is missing"),
        (b'[{"a": 1, "b": 2, "c": 3}, 5]', NAMED, "row 2 is not an object"),
        (b'{"x": 1, "y": 2, "z": 3}', THREE, "the model's columns have no names"),
        (b'{"a": [1, 2], "b": [1], "c": [1]}', NAMED, "the columns differ in length"),
        (b'{"a": [1, 2], "b": 1, "c": [1]}', NAMED, "the column 'b' is not a list"),
        (b'{"a": {"0": 1, "1": 2}, "b": {"1": 1, "0": 2}, "c": {"0": 1, "1": 2}}', NAMED, "rows"),
        (b'{"a": 1, "a": 2}', NAMED, "the same key twice"),
        (b'{"columns": ["a"], "data": [[1, 2, 3]]}', NAMED, "3 columns, 1 are named"),
        (b'{"columns": 1, "data": [[1, 2, 3]]}', NAMED, "'columns' is not a list of names"),
        (b'{"columns": ["a"], "data": 5}', NAMED, "'data' is not a list of rows"),
        (b"[]", NAMED, "no rows"), (b"[[]]", NAMED, "no columns"), (b"{}", NAMED, "no columns"),
        (b"5", NAMED, "5 is not a list of rows"), (b"null", NAMED, "None is not a list"),
        (b"[1, 2", NAMED, "not JSON"),
        (b'{"inputs": [[1, 2, 3]], "parameters": {"x": 1}}', NAMED, "takes 'parameters' of a"),
        (b'{"dataframe_records": [{}], "params": [1]}', NAMED, "takes 'params' of a request"),
        (b"[" * 100_000, NAMED, "not JSON"),
    ],
)  # fmt: skip
def test_what_is_refused_and_why(body, features, words):
    with pytest.raises(PayloadError) as caught:
        read(body, "application/json", features)
    assert words in caught.value.message
    assert caught.value.status == 400


def test_a_damaged_line_is_named():
    with pytest.raises(PayloadError, match="line 2: the body is not JSON"):
        read(b"[1, 2, 3]\n[4, 5, 6", "application/jsonlines", THREE)


def test_all_rows_together_may_have_the_models_own_name_for_them():
    features = Features(count=2, title="float_input")
    found = read(b'{"float_input": [[1, 2], [3, 4]]}', JSON, features)
    assert found.array.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    with pytest.raises(PayloadError):
        read(b'{"other": [[1, 2]]}', JSON, features)


def test_columns_may_have_an_axis_of_their_own():
    features = Features(names=["a", "b"])
    found = read(b'{"a": [[1], [3]], "b": [[2], [4]]}', JSON, features)
    assert found.array.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_names_with_blanks_are_those_that_the_framework_wrote():
    features = Features(names=("num_a", "b"), blank="_")
    for body in (b'{"num a": 1, "b": 2}', b'[{"num_a": 1, "b": 2}]', b'{"b": [2], "num a": [1]}'):
        assert read(body, "application/json", features).array.tolist() == [[1, 2]]
    with pytest.raises(PayloadError, match="no column 'numa'"):
        read(b'{"numa": 1, "b": 2}', "application/json", features)


@pytest.mark.parametrize(
    "value", ["good", ["good"], [["good"]], {"inputs": "good"}, {"instances": ["good"]}]
)
def test_one_text_for_a_model_of_one_column(value):
    one = Features(count=1, categorical=[0])
    table = read(json.dumps(value).encode(), JSON, one)
    assert (table.columns or {})["0"].tolist() == ["good"]


@pytest.mark.parametrize("value", ["good", 5, {"inputs": "good"}])
def test_one_value_is_no_row_of_several_columns(value):
    with pytest.raises(PayloadError, match="is not a list of rows"):
        read(json.dumps(value).encode(), JSON, Features(count=2, categorical=[0]))


@pytest.mark.parametrize(
    "features",
    [
        Features(names=["a", "b"]),
        Features(count=2, fewer_allowed=True),
        Features(names=["0", "1"], fewer_allowed=True),
    ],
)
def test_objects_in_an_object_are_rows_where_they_have_the_models_columns(features):
    """As pandas' index orient has it; as columns they would be one of two rows."""
    one, two = features.key(0), features.key(1)
    found = read(json.dumps({one: {two: 2, one: 1}}).encode(), "application/json", features)
    assert found.array.tolist() == [[1, 2]]
    found = read(
        json.dumps({two: {"5": 2, "7": 4, "9": 6}, one: {"5": 1, "7": 3, "9": 5}}).encode(),
        "application/json",
        features,
    )
    assert found.array.tolist() == [[1, 2], [3, 4], [5, 6]]
    both = {"0": {"0": 1, "1": 2}, "1": {"0": 3, "1": 4}}
    if features.names != ["a", "b"]:
        with pytest.raises(PayloadError, match="may be rows or columns"):
            read(json.dumps(both).encode(), "application/json", features)


@pytest.mark.parametrize("title", ["x", "inputs", "instances"])
def test_rows_may_be_called_as_the_model_calls_its_input_inside_of_what_wraps_them(title):
    features = Features(count=3, title=title)
    items = [{title: row} for row in ROWS]  # as clients of TensorFlow Serving send them
    bodies = [{title: ROWS}, {"inputs": {title: ROWS}}, {"instances": {title: ROWS}}]
    for body in (*bodies, items, {"instances": items}):
        table = read(json.dumps(body).encode(), JSON, features)
        assert table.array.tolist() == ROWS


def test_rows_of_one_number_may_be_called_as_the_model_calls_its_input():
    features = Features(count=1, title="x")
    for body in ([{"x": 1}, {"x": 2}], [{"x": [1]}, {"x": [2]}], {"x": [1, 2]}):
        assert read(json.dumps(body).encode(), JSON, features).array.tolist() == [[1], [2]]
    with pytest.raises(PayloadError, match="'y' cannot be told apart"):
        read(b'[{"y": 1}]', JSON, features)

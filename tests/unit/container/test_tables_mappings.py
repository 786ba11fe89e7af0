"""Rows that are objects of any keys."""

from __future__ import annotations

import pytest
from serving.handler.payloads import PayloadError
from serving.handler.tables import Features, read

ANY = Features(objects=True)
JSON = "application/json"
ONE, TWO = {"town": "Ulm", "age": 3}, {"new": True, "of": ["a", "b"]}


@pytest.mark.parametrize(
    ("body", "kind", "rows", "single"),
    [
        ('[{"town": "Ulm", "age": 3}, {"new": true, "of": ["a", "b"]}]', JSON, [ONE, TWO], False),
        ('{"town": "Ulm", "age": 3}', JSON, [ONE], True),
        ('{"instances": [{"town": "Ulm", "age": 3}]}', None, [ONE], False),
        (
            '{"signature_name": "x", "instances": [{"town": "Ulm", "age": 3}], "params": {}}',
            None,
            [ONE],
            False,
        ),
        ('{"inputs": 3}', JSON, [{"inputs": 3}], True),
        ('{"town": "Ulm", "age": 3}\n\n{"new": true, "of": ["a", "b"]}', None, [ONE, TWO], False),
    ],
)
def test_objects_are_kept_as_they_are(body, kind, rows, single):
    table = read(body.encode(), kind, ANY)
    assert table.columns is not None
    assert table.columns["0"].tolist() == rows
    assert (table.rows, table.single) == (len(rows), single)


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        ("town,age\nUlm,3", "text/csv", 415, "text/csv cannot hold: send application/json"),
        ("[[1, 2]]", JSON, 400, "row 1 is not an object"),
        ('{"instances": [[1, 2]]}', JSON, 400, "row 1 is not an object"),
        ('[{"a": 1}, 2]', JSON, 400, "row 2 is not an object"),
        ("[]", JSON, 400, "no rows"),
        ('{"a": 1, "a": 2}', JSON, 400, "the same key twice"),
        ("x", "image/png", 415, "is not supported"),
    ],
)
def test_what_is_no_object_is_refused(body, kind, status, words):
    with pytest.raises(PayloadError, match=words) as caught:
        read(body.encode(), kind, ANY)
    assert caught.value.status == status


NAMED = Features(named=True)
PRESENT = "text/csv; header=present"
ROWS = [{"town": "Ulm", "age": 3}, {"town": None, "age": 4}]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('[{"town": "Ulm", "age": 3}, {"town": null, "age": 4}]', JSON),
        ('{"instances": [{"town": "Ulm", "age": 3}, {"town": null, "age": 4}]}', JSON),
        ('{"town": ["Ulm", null], "age": [3, 4]}', JSON),
        ('{"columns": ["town", "age"], "data": [["Ulm", 3], [null, 4]]}', JSON),
        (
            '{"dataframe_split": {"columns": ["town", "age"], "index": [0, 1],'
            ' "data": [["Ulm", 3], [null, 4]]}}',
            JSON,
        ),
        ('{"town": "Ulm", "age": 3}\n{"town": null, "age": 4}', "application/jsonlines"),
        ("town,age\nUlm,3\n,4\n", PRESENT),
        ('label,"town",age\n1,Ulm,3\n0,,4', f"{PRESENT}; label_size=1"),
    ],
)
def test_rows_may_name_columns_that_the_model_does_not_know(body, kind):
    table = read(body.encode(), kind, NAMED)
    assert table.columns is not None
    assert table.columns["0"].tolist() == ROWS
    assert (table.rows, table.single) == (2, False)


def test_one_object_is_one_row():
    assert read(b'{"town": "Ulm"}', JSON, NAMED).single


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["3", "", "04"], [3, None, 4]),
        (["3", "", "4.5"], [3.0, None, 4.5]),
        (["True", "", "False"], [True, None, False]),
        (["3", "x", ""], ["3", "x", None]),
        (["1_000", "2", "3"], ["1_000", "2", "3"]),
        (["\u0661", "2", "3"], ["\u0661", "2", "3"]),
        (["", "", ""], [None, None, None]),
    ],
)
def test_a_column_of_csv_holds_one_kind_of_values(texts, values):
    body = "a,b\n" + "\n".join(f"{text},x" for text in texts)
    found = read(body.encode(), PRESENT, NAMED).columns["0"].tolist()
    assert [row["a"] for row in found] == values
    assert [type(row["a"]) for row in found] == list(map(type, values))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("[[1, 2]]", JSON),
        ("[1, 2]", JSON),
        ('{"instances": [{"features": [1, 2]}]}', JSON),
        ('{"data": [[1, 2]]}', JSON),
        ("[1, 2]", "application/jsonlines"),
        ('{"features": [1, 2]}', "application/jsonlines"),
        ("1,2", "text/csv"),
    ],
)
def test_rows_without_names_are_numbers_as_elsewhere(body, kind):
    table = read(body.encode(), kind, NAMED)
    assert table.array.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("a,a\n1,2", PRESENT, "a column comes twice"),
        ("a,b\n1", PRESENT, "row 2 has 1 columns"),
        ("a,b", PRESENT, "a header and no rows"),
        ('{"a": [1], "b": [1, 2]}', JSON, "differ in length: a: 1, b: 2"),
        ('{"columns": ["a"], "data": [[1, 2]]}', JSON, "a value for each of 'columns'"),
        ('{"columns": ["a"], "data": 3}', JSON, "a value for each of 'columns'"),
        ('[{"a": 1}, 2]', JSON, "row 2 is not an object"),
    ],
)
def test_names_and_values_that_do_not_fit_are_refused(body, kind, words):
    with pytest.raises(PayloadError, match=words):
        read(body.encode(), kind, NAMED)

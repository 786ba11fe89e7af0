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

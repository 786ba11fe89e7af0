"""Any matrix reads back the same in every format; any bytes are a table or the client's error."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from serving.handler.payloads import PayloadError
from serving.handler.tables import Dialect, Features, Table, read, write
from table_bodies import csv, json_lines, json_rows, libsvm, npy, npz, recordio

KINDS = [
    *("text/csv", "application/json", "application/jsonlines", "application/x-npy", "text/libsvm"),
    *("application/x-npz", "application/x-recordio-protobuf", "application/octet-stream", "", None),
    *("application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"),
]
FEATURES = [
    Features(), Features(count=3), Features(names=["a", "b"]), Features(categorical=None),
    Features(count=2, fewer_allowed=True), Features(names=["a", "b"], categorical=["a"]),
    Features(count=2, dtype="int64", missing_allowed=False),
]  # fmt: skip
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def matrices(elements=finite) -> st.SearchStrategy:
    shapes = st.tuples(st.integers(1, 6), st.integers(2, 5))
    return arrays.arrays(np.float64, shapes, elements=elements)


def same(table: Table, matrix) -> None:
    assert np.array_equal(table.array, matrix.astype(np.float32), equal_nan=True)


@given(matrix=matrices(st.one_of(finite, st.just(np.nan))), dialect=st.sampled_from(Dialect))
@settings(deadline=None)
def test_text_and_arrays(matrix, dialect):
    features = Features(count=matrix.shape[1])
    for delimiter in ",;\t|":
        for end in ("\n", "\r\n"):
            same(read(csv(matrix, delimiter, end), "text/csv", features, dialect), matrix)
    names = [f"c{i}" for i in range(matrix.shape[1])]
    named = Features(names=names)
    backwards = csv(matrix[:, ::-1])
    body = ",".join(names[::-1]).encode() + b"\n" + backwards
    same(read(body, "text/csv", named, dialect), matrix)
    rows = json_rows(matrix)
    for value in (rows, {"instances": rows}, [dict(zip(names, row, strict=True)) for row in rows],
                  dict(zip(names, zip(*rows, strict=True), strict=True)),
                  {"columns": names, "data": rows}):  # fmt: skip
        same(read(json.dumps(value).encode(), "application/json", named, dialect), matrix)
    same(read(json_lines(matrix), "application/x-ndjson", features, dialect), matrix)
    assert np.array_equal(read(npy(matrix), None, features, dialect).array, matrix, equal_nan=True)
    for packed in (False, True):
        table = read(npz(matrix, packed=packed), None, features, dialect)
        assert np.array_equal(table.array, matrix, equal_nan=True)


@given(matrix=matrices(), label=st.sampled_from(["", "1", "-0.5"]), first=st.integers(0, 1))
@settings(deadline=None)
def test_sparse_formats(matrix, label, first):
    features = Features(count=matrix.shape[1])
    told = f"text/libsvm; indexing_mode={first}"
    same(read(libsvm(matrix, first, label), told, features), matrix)
    for packed in (True, False):
        body = recordio(matrix, packed=packed)
        same(read(body, "application/x-recordio-protobuf", features), matrix)
        body = recordio(matrix.astype(np.float32), sparse=True, packed=packed)
        same(read(body, None, features), matrix)


@given(matrix=matrices(), dialect=st.sampled_from([Dialect.SKLEARN, Dialect.OWN]))
@settings(deadline=None)
def test_an_answer_reads_back_as_a_request(matrix, dialect):
    features = Features(count=matrix.shape[1], dtype="float64")
    for accept in ("text/csv", "application/json", "application/x-npy", "application/jsonlines"):
        kind, body = write(matrix, accept, dialect)
        assert np.array_equal(read(body, kind, features).array, matrix)


@given(
    body=st.one_of(st.binary(min_size=1, max_size=60), st.text(min_size=1).map(str.encode)),
    kind=st.sampled_from(KINDS),
    features=st.sampled_from(FEATURES),
    dialect=st.sampled_from(Dialect),
)
@settings(deadline=None, max_examples=500)
def test_any_bytes_are_a_table_or_the_clients_error(body, kind, features, dialect):
    try:
        table = read(body, kind, features, dialect)
    except PayloadError:
        return
    held = [table.array] if table.columns is None else list(table.columns.values())
    assert table.rows > 0
    assert {len(one) for one in held} == {table.rows}


def test_parquet_and_arrow():
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import ipc, parquet

    held = {"b": ["x", None], "a": [1, 2], "c": [0.5, None]}
    numbers = {"c": [0.5, None], "a": [1, 2], "b": [True, False]}
    named = Features(names=["a", "b", "c"])
    mixed = Features(names=["a", "b", "c"], categorical=["b"])
    for write_table, kind in (
        (lambda table, sink: parquet.write_table(table, sink), "application/x-parquet"),
        (lambda table, sink: ipc.new_stream(sink, table.schema).write_table(table),
         "application/vnd.apache.arrow.stream"),
    ):  # fmt: skip
        bodies = []
        for columns in (numbers, held, {"1": [2.0], "0": [1.0]}):
            sink = arrow.BufferOutputStream()
            write_table(arrow.table(columns), sink)
            bodies.append(sink.getvalue().to_pybytes())
        for told in (kind, None):
            same(read(bodies[0], told, named), np.array([[1, 1, 0.5], [2, 0, np.nan]]))
            table = read(bodies[1], told, mixed)
            assert table.columns["b"].tolist() == ["x", None]
            assert table.columns["a"].tolist() == [1, 2]
        # of a DataFrame of an array, whose columns are called by number
        same(read(bodies[2], kind, Features(count=2)), np.array([[1, 2]]))
        with pytest.raises(PayloadError, match="'x' is not a number"):
            read(bodies[1], kind, named)
        with pytest.raises(PayloadError, match="the body is not"):
            read(bodies[0][: len(bodies[0]) // 2], kind, named)


@pytest.mark.parametrize("values", [[[1], [2]], [{"x": 1}, {"x": 2}]])
def test_lists_and_structs_of_parquet_are_refused_by_name(values):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import parquet

    sink = arrow.BufferOutputStream()
    parquet.write_table(arrow.table({"a": values, "b": [1.0, 2.0]}), sink)
    with pytest.raises(PayloadError, match=r"the column 'a' is of type .*: send numbers or text"):
        read(sink.getvalue().to_pybytes(), "parquet", Features(names=["a", "b"]))

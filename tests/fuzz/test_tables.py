"""Payloads of tables: whatever comes is a table or the client's error, in bounded time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving.handler.payloads import PayloadError
from serving.handler.tables import Dialect, Features, Table, read, write
from table_bodies import csv, json_lines, libsvm, npz, recordio

from fuzz.fuzzing import check, files, mutated, seeds

MATRIX = np.array([[1.5, 0, -3e-5], [0, 250, 7]])
NAMED = Features(names=["a", "b", "c"])
FEATURES = [
    NAMED, Features(), Features(count=3, fewer_allowed=True), Features(categorical=None),
    Features(named=True),
    Features(names=["a", "b", "c"], categorical=["b"], infinity_allowed=True),
    Features(count=3, dtype="int64", missing_allowed=False),
]  # fmt: skip
BODIES = {
    "text/csv": [csv(MATRIX), csv(MATRIX, ";", "\r\n"), b'a,b,c\n1,"x ""y""",3\n', b"1 2 3"],
    "application/json": [
        b'{"instances": [{"features": [1, 2, 3]}]}', b'[{"a": 1, "b": "x", "c": null}]',
        b'{"columns": ["a", "b", "c"], "data": [[1, 2, 3]]}',
        b'{"a": {"0": 1}, "b": [2], "c": [3]}',
    ],
    "application/jsonlines": [json_lines(MATRIX), b'{"a": 1, "b": 2, "c": 3}\n[1, 2, 3]'],
    "text/libsvm": [libsvm(MATRIX), b"1 qid:3 1:2 # x\n0 0:1 2:nan", libsvm(MATRIX, 0, "1")],
    "application/x-npz": [
        npz(MATRIX, packed=True), npz(a=MATRIX[:, 0], b=MATRIX[:, 1], c=MATRIX[:, 2]),
        npz(format=np.array(b"csr"), shape=np.array([1, 3]), data=MATRIX[0, :1],
            indices=np.array([1]), indptr=np.array([0, 1])),
    ],
    "application/x-recordio-protobuf": [
        recordio(MATRIX), recordio(MATRIX.astype("f4"), sparse=True),
        recordio(MATRIX.astype("i4"), packed=False, sparse=True),
    ],
    "application/x-npy": seeds("npy"),
}  # fmt: skip


def tried(part: str, body: bytes, kind: str | None, features: Features, dialect: Dialect) -> None:
    action = lambda: read(body, kind, features, dialect)  # noqa: E731
    table = check(part, body, action, (PayloadError,), seconds=2)
    if table is not None:
        looked_at(table, features, dialect)


def looked_at(table: Table, features: Features, dialect: Dialect) -> None:
    held = [table.array] if table.columns is None else list(table.columns.values())
    assert table.rows > 0
    assert {len(one) for one in held} == {table.rows}
    width = len(held) if table.array is None else table.array.shape[1]
    assert features.width in (None, width)
    for one in held:
        if one.dtype != object and one.dtype.kind == "f":
            assert features.infinity_allowed or not np.isinf(one).any()
        if one.dtype != object and dialect is not Dialect.SKLEARN:
            assert one.dtype == features.dtype


@pytest.mark.parametrize("path", files("tables"), ids=lambda path: path.name)
@pytest.mark.parametrize("dialect", Dialect)
def test_kept(path: Path, dialect: Dialect) -> None:
    for kind in (None, *BODIES):
        for features in FEATURES:
            tried("tables", path.read_bytes(), kind, features, dialect)


@pytest.mark.parametrize("kind", BODIES)
@given(data=st.data(), features=st.sampled_from(FEATURES), dialect=st.sampled_from(Dialect))
def test_bodies(kind: str, data, features: Features, dialect: Dialect) -> None:
    body = data.draw(mutated(BODIES[kind]))
    tried("tables", body, data.draw(st.sampled_from([kind, None])), features, dialect)


@given(
    body=mutated([body for bodies in BODIES.values() for body in bodies]),
    kind=st.one_of(st.text(max_size=30), st.sampled_from(list(BODIES))),
    told=st.lists(st.sampled_from(
        [*";= 01x", "label_size=", "header=", "charset=", "delimiter=", "present", "utf-16", "\t"]
    )).map("".join),
)  # fmt: skip
def test_kinds(body: bytes, kind: str, told: str) -> None:
    tried("tables", body, f"{kind};{told}", NAMED, Dialect.OWN)


scalars = st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=3))


@given(
    prediction=st.one_of(
        st.lists(scalars, min_size=1, max_size=4),
        st.lists(st.lists(scalars, min_size=2, max_size=2), min_size=1, max_size=3),
        st.dictionaries(
            st.text(max_size=2), st.lists(st.floats(), min_size=2, max_size=2), min_size=1
        ),
    ),
    accept=st.sampled_from([None, *BODIES, "text/csv; header=present", "*/*;q=0"]),
    dialect=st.sampled_from(Dialect),
    single=st.booleans(),
)  # fmt: skip
def test_answers(prediction, accept: str | None, dialect: Dialect, single: bool) -> None:
    held = prediction if isinstance(prediction, dict) else np.array(prediction, object)
    action = lambda: write(held, accept, dialect, ["x", "y"], single=single)  # noqa: E731
    answered = check("answers", repr(prediction).encode(), action, (PayloadError,))
    assert answered is None or isinstance(answered[1], bytes)


MANY = 100_000
WIDE = [str(i) for i in range(2000)]
SLOW = {
    "names twice": (b",".join([b"a", b"b"] * MANY) + b"\n1", "text/csv", NAMED),
    "names": (b",".join(b"a%d" % i for i in range(MANY)) + b"\na", "csv;header=present", NAMED),
    "unlike rows": (b'[{"a": 1, "b": 2, "c": 3}, {%s}]' % b",".join(
        b'"%d": 1' % i for i in range(MANY)), "application/json", Features()),
    "lists": (b"[" + b"[]," * MANY + b"[]]", "application/json", Features()),
    "blanks": (b" " * MANY + b"1" + b" " * MANY, "text/csv", Features()),
    "quotes": (b'"' * (2 * MANY), "text/csv", Features()),
    "fields in quotes": (b', "' * MANY, "text/csv", Features()),
    "text": (b"a,1\n" * MANY, "text/csv", Features(count=2, categorical=(0,))),
    "categories": (b"\n".join([b",".join([b"a"] * 2000)] * 50), "text/csv",
                   Features(names=WIDE, categorical=WIDE)),
    "colons": (b":" * MANY, "text/libsvm", Features()),
    "comments": (b"#" * MANY + b"\n" + b"qid:1 " * MANY, "text/libsvm", Features()),
    "line ends": (b"{}" + b"\n" * MANY, None, Features()),
    "braces": (b"{" + b"}\n{" * MANY, None, Features()),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOW)
def test_nothing_is_quadratic(name: str) -> None:
    body, kind, features = SLOW[name]
    tried("tables", body, kind, features, Dialect.OWN)

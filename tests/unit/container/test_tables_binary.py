"""NPY, NPZ, libsvm, recordio-protobuf, Parquet and Arrow to tables."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
from serving.handler.payloads import PayloadError
from serving.handler.tables import Dialect, Features, read
from table_bodies import frame, libsvm, npy, npz, record, recordio, tensor, varint

THREE = Features(count=3)
NAMED = Features(names=["a", "b", "c"])
PADDED = Features(count=3, fewer_allowed=True)
MIXED = Features(names=["a", "b", "c"], categorical=["b"])
ROWS = np.array([[1.5, 0, -3], [0, 5, 0], [0, 0, 6]])
NAN = float("nan")
NPY, NPZ = "application/x-npy", "application/x-npz"
RECORDIO = "application/x-recordio-protobuf"
FLOATS = np.array([1, 2, 3], np.float32)


def same(table, rows) -> bool:
    return np.array_equal(table.array, np.array(rows, np.float32), equal_nan=True)


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "i1", "<u4", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(dtype, order):
    array = np.array([[1, 0, 1], [0, 1, 1]], dtype, order=order)
    for kind in (NPY, "Application/X-NPY; a=b", None):
        table = read(npy(array), kind, NAMED)
        assert same(table, array)
        assert table.array.dtype == np.float32
        kept = read(npy(array), kind, NAMED, Dialect.SKLEARN).array
        assert kept.flags.writeable  # by an estimator with copy=False
        assert (kept == array).all()
        assert kept.dtype == array.dtype.newbyteorder("=")


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", "i1"])
def test_npy_of_any_type_for_whole_numbers(dtype):
    features = Features(count=3, dtype="int64", missing_allowed=False)
    table = read(npy(np.array([[1, 0, 60]], dtype)), NPY, features)
    assert table.array.tolist() == [[1, 0, 60]]
    assert table.array.dtype == np.int64


def test_npy_of_one_row():
    table = read(npy(FLOATS), NPY, THREE)
    assert same(table, [[1, 2, 3]])
    assert table.single
    assert same(read(npy(FLOATS), NPY, Features(count=1)), [[1], [2], [3]])


def test_npz():
    for packed in (False, True):
        assert same(read(npz(ROWS, packed=packed), NPZ, THREE), ROWS)
        assert same(read(npz(x=ROWS, packed=packed), None, NAMED), ROWS)
        columns = {name: ROWS[:, i] for i, name in enumerate("abc")}
        assert same(read(npz(packed=packed, **columns), NPZ, NAMED), ROWS)


def test_npz_keeps_whole_categories_beside_other_numbers():
    features = Features(names=["id", "size"], categorical=["id"])
    large = np.array([2**53 + 1, 2**53 + 3])
    table = read(npz(id=large, size=np.array([0.5, 1.5])), NPZ, features)
    assert table.columns["id"].tolist() == large.tolist()
    assert table.columns["size"].tolist() == [0.5, 1.5]


def scipy_npz(layout: str, encoded=True) -> bytes:
    """As scipy.sparse.save_npz writes ROWS."""
    row, col = np.nonzero(ROWS)
    named = {"format": np.array(layout.encode() if encoded else layout), "shape": np.array((3, 3))}
    if layout == "coo":
        return npz(row=row, col=col, data=ROWS[row, col], **named)
    source = ROWS if layout == "csr" else ROWS.T
    row, col = np.nonzero(source)
    starts = np.searchsorted(row, np.arange(4)).astype(np.int32)
    return npz(indices=col.astype(np.int32), indptr=starts, data=source[row, col], **named)


@pytest.mark.parametrize("layout", ["csr", "csc", "coo"])
def test_npz_of_a_sparse_matrix(layout):
    assert same(read(scipy_npz(layout), NPZ, THREE), ROWS)
    assert same(read(scipy_npz(layout, encoded=False), NPZ, THREE, Dialect.SKLEARN), ROWS)
    missing = np.where(ROWS == 0, NAN, ROWS)
    assert same(read(scipy_npz(layout), NPZ, THREE, Dialect.XGBOOST), missing)


def test_categories_in_arrays_of_floats_are_whole_numbers():
    table = read(npy(np.array([[1, 2, 3], [1, 2.5, 3], [1, NAN, 3]])), NPY, MIXED)
    assert table.columns["b"].tolist() == [2, 2.5, None]
    assert type(table.columns["b"][0]) is int


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (npy(np.array([[1, "x"]], object), allow_pickle=True), "is not an NPY array"),
        (npy(np.array([["x"]])), "not of numbers"), (npy(ROWS)[:-1], "its size"), (b"x", "begin"),
        (npy(np.float64(1)), "shape []"), (npy(np.zeros((1, 1, 3))), "shape [1, 1, 3]"),
        (npy(np.zeros((0, 3))), "no rows"), (npy(np.zeros((3, 0))), "no columns"),
        (npy(np.zeros((1, 4))), "row 1 has 4 columns, the model takes 3"),
        (npy(np.array([[1, np.inf, 2]])), "row 1, column 2: inf is infinite"),
    ],
)  # fmt: skip
def test_npy_that_is_refused(body, words):
    with pytest.raises(PayloadError) as caught:
        read(body, NPY, THREE)
    assert words in caught.value.message


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return stream.getvalue()


def matrix(layout: bytes, shape, **parts) -> bytes:
    return npz(format=np.array(layout), shape=np.array(shape), data=[1.0], **parts)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (npz(np.array([{}], object)), "is not an NPY array"),
        (zipped(x=pickle.dumps(1)), "'x' is not an NPY array"),
        (zipped(), "no arrays"), (b"PK\3\4nonsense", "not NPZ"), (npz(ROWS)[:-30], "not NPZ"),
        (npz(a=ROWS[0], b=ROWS[1, :2]), "columns of one length"),
        (npz(a=ROWS[0], b=ROWS[0], d=ROWS[0]), "no column 'd'"),
        (npz(a=ROWS[0], b=ROWS[0]), "the column 'c' is missing"),
        (matrix(b"bsr", [3, 3]), "is not csr, csc or coo"),
        (matrix(b"coo", [3, 3], row=[1], col=[7]), "row 2 has the index 7"),
        (matrix(b"coo", [2**40, 3], row=[1], col=[1]), "send fewer rows"),
        (matrix(b"csr", [-3, 3], indices=[0], indptr=[0, 1]), "damaged"),
        (matrix(b"csr", [1, 3], indices=[0.5], indptr=[0, 1]), "damaged"),
        (matrix(b"csc", [1, 3], indices=[0], indptr=[0, 2]), "damaged"),
    ],
)  # fmt: skip
def test_npz_that_is_refused(body, words):
    with pytest.raises(PayloadError) as caught:
        read(body, NPZ, NAMED)
    assert words in caught.value.message


def test_npz_that_is_small_packed_alone_is_refused():
    body = zipped(x=b"\0" * (1 << 27 | 1))  # a second's work: not where tests are collected
    with pytest.raises(PayloadError, match="more than 134217728 bytes"):
        read(body, NPZ, NAMED)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("label", ["", "1", "-1.5"])
@pytest.mark.parametrize("kind", ["text/libsvm", "text/x-libsvm", "LIBSVM", None])
def test_libsvm(first, label, kind):
    assert same(read(libsvm(ROWS, first, label), kind, THREE), ROWS)
    missing = np.where(ROWS == 0, NAN, ROWS)
    missing[:, 0] = ROWS[:, 0]  # these zeros are in the text
    assert same(read(libsvm(ROWS, first, label), kind, THREE, Dialect.XGBOOST), missing)
    given = Features(count=3, absent=-1)
    assert read(libsvm(ROWS, first, label), kind, given).array[0].tolist() == [1.5, -1, -3]


def test_libsvm_comments_queries_and_rows_that_list_nothing():
    body = b"1 qid:7 1:1 # a row\r\n\r\n0\n1 3:nan 2:1e-3\r\n"
    assert same(read(body, "text/libsvm", THREE), [[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 1e-3, NAN]])


def test_no_content_type_is_libsvm_for_xgboost():
    assert same(read(b"3:1", None, PADDED, Dialect.XGBOOST), [[NAN, NAN, 1]])
    assert same(read(b"1,2,3", None, PADDED, Dialect.XGBOOST), [[1, 2, 3]])
    assert same(read(b"[[1, 2, 3]]", None, PADDED, Dialect.XGBOOST), [[1, 2, 3]])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"1 1:2\n1 x:3", "row 2, item 2: 'x:3' is not index:value"),
        (b"1 1:2 2", "row 1, item 3: '2' is not index:value"),
        (b"a 1:2", "row 1: 'a' is neither a label nor index:value"),
        (b"1:2 4:1", "row 1 has the index 4, the columns are 1 to 3"),
        (b"0:2 3:1", "row 1 has the index 3, the columns are 0 to 2"),
        (b"1:2 1:3 3:1", "row 1 has the index 1 twice"),
        (b"1:2 -1:3", "item 2: '-1:3'"), (b"1:2:3", "item 1: '1:2:3'"), (b"1:", "item 1: '1:'"),
        (b"1:2 " + b"9" * 30 + b":1", "is not index:value"), (b"1:1_0", "item 1: '1:1_0'"),
        (b"1\n0\n", "no row has a feature"), (b"0:1e39", "beyond float32"),
    ],
)  # fmt: skip
def test_libsvm_that_is_refused(body, words):
    with pytest.raises(PayloadError) as caught:
        read(body, "text/libsvm", THREE)
    assert words in caught.value.message


@pytest.mark.parametrize("features", [THREE, PADDED])
def test_indices_that_may_count_from_0_or_from_1_are_refused(features):
    """One row of a batch would be answered otherwise than alone."""
    body = b"0:5 2:6\n1:7 2:8"
    assert same(read(body, "text/libsvm", features), [[5, 0, 6], [0, 7, 8]])
    for row, which in ((b"1:7 2:8", "1 to 2"), (b"2:8", "2")):
        with pytest.raises(PayloadError, match=f"indices of {which} may count the 3 columns from"):
            read(row, "text/libsvm", features)
        with pytest.raises(PayloadError, match="text/libsvm; indexing_mode=0"):
            read(row, None, features, Dialect.XGBOOST)


def test_who_sends_libsvm_or_the_model_says_what_indices_count_from():
    for mode, row in ((0, [0, 7, 8]), (1, [7, 8, 0])):
        told = f"text/libsvm; indexing_mode={mode}"
        assert same(read(b"1:7 2:8", told, THREE), [row])
        given = Features(count=3, indexing=mode)
        assert same(read(b"1:7 2:8", "text/libsvm", given), [row])
        assert same(read(b"1:7 2:8", told, Features(count=3, indexing=1 - mode)), [row])
    for mode, body in ((1, b"0:5"), (0, b"3:5")):
        with pytest.raises(PayloadError, match="row 1 has the index"):
            read(body, f"text/libsvm; indexing_mode={mode}", THREE)
    with pytest.raises(PayloadError, match="indexing_mode=-1 is neither 0 nor 1"):
        read(b"1:7", "text/libsvm; indexing_mode=-1", THREE)


@pytest.mark.parametrize("index", [10**6, 2**40, 2**62])
def test_one_large_index_makes_no_large_table(index):
    with pytest.raises(PayloadError):
        read(b"1:1\n" * 1000 + f"{index}:1".encode(), "text/libsvm", Features())


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
@pytest.mark.parametrize("packed", [True, False])
def test_recordio(dtype, packed):
    rows = ROWS.round().astype(dtype)
    for kind in (RECORDIO, None):
        assert same(read(recordio(rows, packed=packed), kind, THREE), rows)
        assert same(read(recordio(rows, packed=packed, sparse=True), kind, THREE), rows)
    missing = np.where(rows == 0, NAN, rows.astype(float))
    assert same(read(recordio(rows, sparse=True), RECORDIO, PADDED, Dialect.XGBOOST), missing)


def test_recordio_rows_without_values_labels_and_large_keys():
    body = frame(record(tensor(FLOATS), "f4") + record(tensor(FLOATS[:1]), "f4", map_number=2))
    assert same(read(body, RECORDIO, THREE), [[1, 2, 3]])
    nothing = frame(record(tensor(FLOATS[:0], shape=[3]), "f4"))
    assert same(read(nothing + body, RECORDIO, THREE), [[0, 0, 0], [1, 2, 3]])
    wide = frame(record(tensor(FLOATS[:2], keys=[1, 300], shape=[301]), "f4"))
    assert read(wide, RECORDIO, Features()).array[0, [1, 300]].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"x" * 20, "record 1 does not begin as one"),
        (recordio(ROWS)[:-4], "record 3 of 40 bytes ends early"),
        (frame(b"\x0a\xff"), "record 1: a number is damaged"),
        (frame(b"\x0a\x05"), "record 1: a field ends early"),
        (frame(b"\x0b"), "record 1: a field is damaged"),
        (frame(b""), "record 1: it has no features 'values'"),
        (frame(record(tensor(FLOATS), "f4", key=b"other")), "no features 'values'"),
        (frame(record(tensor(FLOATS), "f8")), "its values are damaged"),
        (frame(record(tensor(FLOATS, [0, 1], [3]), "f4")), "3 values and 2 keys"),
        (frame(record(tensor(FLOATS, [0, 1, 3], [3]), "f4")), "the key 3 is beyond the shape of 3"),
        (frame(record(tensor(FLOATS, [0, 1, 2], [2**62]), "f4")), "send fewer rows"),
        (frame(record(tensor(FLOATS, [0, 1, 2**63]), "f4")), "an index is larger than"),
        (frame(record(tensor(FLOATS, [0, 1, 1]), "f4")), "row 1 has the index 1 twice"),
        (frame(record(tensor(FLOATS, shape=[2]), "f4")), "3 values, its shape says 2"),
        (frame(record(tensor(FLOATS[:2]), "f4")), "row 1 has 2 columns, the model takes 3"),
        (frame(record(tensor(FLOATS), "f4")) + frame(record(tensor(FLOATS[:2]), "f4")),
         "row 2 has 2 columns, row 1 has 3"),
        (frame(record(b"\x12" + varint(11) + b"\xff" * 10 + b"\1", "f4")), "a number is damaged"),
    ],
)  # fmt: skip
def test_recordio_that_is_refused(body, words):
    with pytest.raises(PayloadError) as caught:
        read(body, RECORDIO, THREE)
    assert words in caught.value.message


def test_what_is_not_supported_is_415():
    with pytest.raises(PayloadError, match="'image/png' is not supported: send text/csv") as caught:
        read(b"x", "image/png", THREE)
    assert caught.value.status == 415

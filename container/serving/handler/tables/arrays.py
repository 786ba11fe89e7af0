"""NPY and NPZ to tables. No pickles are read, and no more is unpacked than is stated."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.handler import npy
from serving.handler.payloads import PayloadError, brief
from serving.handler.tables import columns, sparse
from serving.handler.tables.values import Dialect, Features, Table

MOST_UNPACKED = 8 * columns.MOST_CELLS
"""How many bytes the arrays of an NPZ file may have in all."""
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError,
            RuntimeError, KeyError, IndexError)  # fmt: skip
_SPARSE = {"csr", "csc", "coo"}
_DAMAGED_MATRIX = "the sparse matrix is damaged"


def read_npy(body: bytes, features: Features, dialect: Dialect) -> Table:
    """Read an NPY array of (columns,) or (rows, columns). Raises PayloadError.

    The dialect of scikit-learn keeps its type.
    """
    return _table(_array(body, "the body"), features, dialect)


def _array(body: bytes, what: str) -> Any:
    try:
        return npy.array(body, npy.header(body))
    except npy.NpyError as error:
        raise PayloadError(f"{what} is not an NPY array: {error}") from None


def _table(array: Any, features: Features, dialect: Dialect) -> Table:
    single = False
    if array.ndim == 1:
        single = features.width != 1
        array = array[None] if single else array[:, None]
    if array.ndim != 2:
        raise PayloadError(f"the array has the shape {list(array.shape)}: send (rows, columns)")
    dtype = array.dtype.newbyteorder("=") if dialect is Dialect.SKLEARN else None
    if dtype is not None:
        array = array.astype(dtype)  # a copy, since estimators may write into it (copy=False)
    return columns.numbers(array, features, single=single, dtype=dtype)


def read_npz(body: bytes, features: Features, dialect: Dialect) -> Table:
    """Read NPZ: one array, the columns as arrays by name, or a matrix of scipy.sparse.save_npz.

    Raises PayloadError.
    """
    members = _unpacked(body)
    if {"format", "shape", "data"} <= set(members):
        return _sparse(members, features, dialect)
    arrays = {name: _array(held, repr(brief(name))) for name, held in members.items()}
    if len(arrays) == 1 and list(arrays) != list(features.names or ()):
        return _table(next(iter(arrays.values())), features, dialect)
    return _by_name(arrays, features)


def _by_name(arrays: Mapping[str, Any], features: Features) -> Table:
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        said = ", ".join(f"{brief(n)} {list(a.shape)}" for n, a in list(arrays.items())[:8])
        raise PayloadError(f"several arrays are columns of one length each, not {said}")
    if features.has_text:  # beside other numbers, whole ones would become float64
        values = [array.tolist() for array in arrays.values()]
        return columns.mixed(values, len(values[0]), features, list(arrays))
    return columns.numbers(np.stack(list(arrays.values()), 1), features, list(arrays))


def _unpacked(body: bytes) -> dict[str, bytes]:
    """Unpack the arrays of a file by name, of MOST_UNPACKED bytes at most in all."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            infos = archive.infolist()
            if sum(info.file_size for info in infos) > MOST_UNPACKED:
                raise PayloadError(
                    f"the arrays have more than {MOST_UNPACKED} bytes: send fewer rows"
                )
            members = {}
            for info in infos:
                name = info.filename[:-4] if info.filename.endswith(".npy") else info.filename
                if name in members:
                    raise PayloadError(f"the array {brief(name)!r} comes twice")
                members[name] = _member(archive, info)
    except _DAMAGED as error:
        raise PayloadError(f"the body is not NPZ: {brief(str(error)) or 'it is damaged'}") from None
    if not members:
        raise PayloadError("the file has no arrays")
    return members


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise PayloadError("the arrays are packed in another way than NumPy does")
    with archive.open(info) as stream:
        held = stream.read(info.file_size + 1)
    if len(held) != info.file_size:
        raise ValueError("an array is not as long as the file says")
    return held


def _sparse(members: Mapping[str, bytes], features: Features, dialect: Dialect) -> Table:
    layout = members["format"][-12:].replace(b"\0", b"")[-3:].decode("latin-1")
    wanted = ["shape", "data", *(["row", "col"] if layout == "coo" else ["indices", "indptr"])]
    if layout not in _SPARSE or not set(wanted) <= set(members):
        raise PayloadError("the sparse matrix is not csr, csc or coo: save it as csr")
    held = {name: _array(members[name], repr(name)) for name in wanted}
    whole = all(array.dtype.kind in "iu" for name, array in held.items() if name != "data")
    if not whole or any(array.ndim != 1 for array in held.values()) or len(held["shape"]) != 2:
        raise PayloadError(_DAMAGED_MATRIX)
    height, width = (int(size) for size in held["shape"])
    rows, at = _places(held, layout, height if layout == "csr" else width)
    if height < 0 or width < 0 or len(rows) != len(held["data"]) or len(at) != len(rows):
        raise PayloadError(_DAMAGED_MATRIX)
    columns.check_width(width, features)
    return sparse.table(rows, at, held["data"], (height, width), features, dialect, summed=True)


def _places(held: Mapping[str, Any], layout: str, along: int) -> tuple[Any, Any]:
    """Give the row and the column of each value; `along` is how many rows, or columns, follow."""
    if layout == "coo":
        return held["row"].astype(np.int64), held["col"].astype(np.int64)
    within, starts = held["indices"].astype(np.int64), held["indptr"].astype(np.int64)
    counts = np.diff(starts)
    if len(counts) != along or starts[0] != 0 or (counts < 0).any() or starts[-1] != len(within):
        raise PayloadError(_DAMAGED_MATRIX)
    outer: Any = np.repeat(np.arange(along), counts)
    return (outer, within) if layout == "csr" else (within, outer)

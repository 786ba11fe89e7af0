"""What SageMaker's inference toolkit reads and writes where a script does not do it itself.

Beyond the toolkit: a content type may have parameters and an Accept header several types, NPZ needs
no scipy, a field of CSV that is no number is refused, and nothing is unpickled.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from runtimes import media_types
from runtimes.values import RequestError

CSV, JSON, ANY = "text/csv", "application/json", "*/*"
NPY, NPZ = "application/x-npy", "application/x-npz"
TEXT = (CSV, JSON)
MOST_UNPACKED = 128 * 2**20
"""How many bytes the arrays of an NPZ file may have in all."""
_MOST_CELLS = 2**24
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError,
            RuntimeError, KeyError, IndexError, SyntaxError)  # fmt: skip
_ORDERS = {"csr": ("indices", "indptr"), "csc": ("indices", "indptr"), "coo": ("row", "col")}


def decoded(body: str | bytes, content_type: str | None) -> Any:
    """An array of a request; no pickles. Raises RequestError 415, 400."""
    kind = media_types.media_type(content_type).kind
    readers = {JSON: _json, CSV: _csv, NPY: _npy, NPZ: _npz}
    if kind not in readers:
        raise RequestError(
            f"content type {content_type!r} is not supported: send {', '.join(readers)}", 415
        )
    if not body:
        raise RequestError("the request has no body")
    try:
        return readers[kind](body)
    except (*_DAMAGED, RecursionError, TypeError) as error:
        raise RequestError(f"the body is not {kind}: {str(error)[:300]}") from None


def _text(body: str | bytes) -> str:
    return body if isinstance(body, str) else bytes(body).decode("utf-8-sig")


def _raw(body: str | bytes) -> io.BytesIO:
    return io.BytesIO(body.encode() if isinstance(body, str) else body)


def _json(body: str | bytes) -> Any:
    import numpy as np

    return np.array(json.loads(_text(body)))


def _csv(body: str | bytes) -> Any:
    """Whole numbers, numbers (an empty field is NaN), or texts alone; one row has one axis."""
    import numpy as np

    # not splitlines(): a text may hold what else Unicode has to end a line
    lines = [line for line in re.split("[\r\n]", _text(body)) if line.strip()]
    rows = [[field.strip().strip('"') for field in line.split(",")] for line in lines]
    if not rows:
        raise ValueError("it has no row")
    for n, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise ValueError(f"row {n} has {len(row)} fields, row 1 has {len(rows[0])}")
    return np.squeeze(np.array(_columns(rows)))


def _columns(rows: Sequence[Sequence[str]]) -> list[list[Any]]:
    """The fields as what they are; text beside numbers is a mistake, such as a header."""
    fields = [field for row in rows for field in row]
    texts = [_number(field) is None for field in fields]
    if all(texts):
        return [list(row) for row in rows]
    if any(texts):
        n = texts.index(True)
        row, column = divmod(n, len(rows[0]))
        where = f"row {row + 1}, column {column + 1}"
        raise ValueError(f"{where}: {fields[n][:40]!r} is not a number, other fields are")
    whole = all(_WHOLE.fullmatch(field) for field in fields)
    return [[int(field) if whole else _number(field) for field in row] for row in rows]


def _number(field: str) -> float | None:
    """A number, NaN for none; None for text."""
    try:
        return float(field) if field else math.nan
    except ValueError:
        return None


def _npy(body: str | bytes) -> Any:
    import numpy as np

    return np.load(_raw(body), allow_pickle=False)


def _npz(body: str | bytes) -> Any:
    """One array; arrays of one length each as columns; or a matrix of scipy.sparse.save_npz.

    That is scipy's where the image has scipy, as the toolkit gives it, else an array.
    """
    import numpy as np

    with zipfile.ZipFile(_raw(body)) as archive:
        if sum(info.file_size for info in archive.infolist()) > MOST_UNPACKED:
            raise ValueError(f"its arrays have more than {MOST_UNPACKED} bytes")
    with np.load(_raw(body), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    if {"format", "shape", "data"} <= set(arrays):
        return _matrix(arrays, body)
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError("several arrays are columns: they have one axis of one length each")
    return np.stack(list(arrays.values()), 1)


def _matrix(arrays: Mapping[str, Any], body: str | bytes) -> Any:
    try:
        from scipy import sparse
    except ImportError:
        return _dense(arrays)
    return sparse.load_npz(_raw(body))


def _dense(arrays: Mapping[str, Any]) -> Any:
    import numpy as np

    layout = arrays["format"].item()
    layout = layout.decode() if isinstance(layout, bytes) else layout
    if layout not in _ORDERS:
        raise ValueError(f"the sparse matrix is {layout!r}, none of {', '.join(_ORDERS)}")
    height, width = (int(size) for size in arrays["shape"])
    if height < 0 or width < 0 or height * width > _MOST_CELLS:
        raise ValueError(f"the sparse matrix has {height} rows of {width}")
    one, other = (arrays[name] for name in _ORDERS[layout])
    if layout != "coo":
        counts = np.diff(other)
        one, other = np.repeat(np.arange(len(counts)), counts), one
    rows, columns = (other, one) if layout == "csc" else (one, other)
    if len(rows) and min(rows.min(), columns.min()) < 0:
        raise ValueError("the sparse matrix has an index below 0")
    made = np.zeros((height, width), arrays["data"].dtype)
    np.add.at(made, (rows, columns), arrays["data"])
    return made


def encoded(prediction: Any, accept: str) -> tuple[str, Any]:
    """An answer in the most wanted type of an Accept header. Raises RequestError 406."""
    refused = media_types.refused(accept)
    offered = [kind for kind in _WRITERS if kind not in refused]
    for one in media_types.ranked(accept):
        for kind in offered:
            if one.kind in (kind, ANY, f"{kind.partition('/')[0]}/*"):
                return kind, _WRITERS[kind](prediction)
    raise RequestError(f"no {accept!r} can be answered: ask for {CSV}, {JSON}, {NPY}", 406)


def _as_json(prediction: Any) -> str:
    return json.dumps(prediction, default=_listed)


def _listed(value: Any) -> Any:
    """What JSON has no word for: NumPy's arrays and numbers."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"predict_fn gave a {type(value).__name__}: write output_fn to answer it")


def _as_csv(prediction: Any) -> str:
    import numpy as np

    if isinstance(prediction, Mapping):
        raise RequestError(f"predict_fn gave a dict, which {CSV} cannot hold: ask for {JSON}", 406)
    stream = io.StringIO()
    np.savetxt(stream, np.atleast_1d(np.asarray(prediction)), delimiter=",", fmt="%s")
    return stream.getvalue()


def _as_npy(prediction: Any) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, np.asarray(prediction), allow_pickle=False)
    return buffer.getvalue()


_WRITERS = {JSON: _as_json, CSV: _as_csv, NPY: _as_npy}

"""Predictions to answers: the bytes that clients of each dialect know.

=========  ======================================  ===============================================
dialect    JSON                                    CSV
=========  ======================================  ===============================================
XGBOOST    ``[0.25, 0.5]``, ``[[0.1, 0.9], ...]``  one line: ``0.25,0.5``, ``[0.1, 0.9],[0.8, 0.2]``
SKLEARN    the same                                a row a line, as np.savetxt has it
OWN        the same; of one bare row its item      as SKLEARN; quoted where a text needs it
=========  ======================================  ===============================================

Numbers are printed in full, float32 as the float64 of the same value (in CSV of SKLEARN and OWN in
its own shortest form). JSON Lines has a row a line, NPY the array as it is.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serving.handler import payloads
from serving.handler.payloads import PayloadError, brief
from serving.handler.tables.kinds import CSV, JSON, JSONLINES, NPY, canonical
from serving.handler.tables.values import Dialect

_OFFERED = (JSON, CSV, NPY, JSONLINES)
_ANY = "*/*"
_RANGES = {"application/*": JSON, "text/*": CSV}


def accepted(accept: str | None, default: str | None = None) -> payloads.MediaType:
    """Choose the answer's content type, with the parameters that it was asked for with.

    `default` is answered where the client takes anything. Raises PayloadError 406.
    """
    first = payloads.media_type(default)
    usual = canonical(first.kind) if canonical(first.kind) in _OFFERED else JSON
    for one in payloads.ranked(accept or _ANY):
        kind = canonical(one.kind)
        if kind in _OFFERED:
            return one._replace(kind=kind)
        if kind == _ANY or (kind in _RANGES and usual.startswith(kind[:-1])):
            return first._replace(kind=usual)
        if kind in _RANGES:
            return one._replace(kind=_RANGES[kind])
    raise PayloadError(
        f"cannot answer as {brief(accept or '')!r}: accept {', '.join(_OFFERED)}", 406
    )


def write(
    prediction: Any,
    accept: str | None,
    dialect: Dialect = Dialect.OWN,
    names: Sequence[str] | None = None,
    *,
    single: bool = False,
    default: str | None = None,
) -> tuple[str, bytes]:
    """Encode a prediction; its content type and its bytes.

    `prediction`: an array of (rows,) or (rows, outputs) of numbers or texts, or by name several of
    them. `names` of the outputs are the first line of a CSV where ``text/csv; header=present`` is
    accepted. `single`: the request was one bare row (Table.single). `default`: content type of the
    answer where the client takes any. Raises PayloadError 406, or 500 where JSON cannot say what
    the model answered.
    """
    kind, parameters = accepted(accept, default)
    if isinstance(prediction, Mapping):
        return kind, _several(prediction, kind, single=single and dialect is Dialect.OWN)
    array = np.asarray(prediction)
    if kind == CSV:
        header = names if parameters.get("header") == "present" else None
        return CSV, _csv(array, dialect, header)
    if kind == NPY:
        return NPY, npy(array)
    if kind == JSONLINES:
        return JSONLINES, "".join(_dumps(row, dialect) + "\n" for row in array.tolist()).encode()
    bare = single and dialect is Dialect.OWN and len(array) == 1
    rows = array.tolist()
    return JSON, _dumps(rows[0] if bare else rows, dialect).encode()


def _dumps(value: Any, dialect: Dialect) -> str:
    try:
        return json.dumps(value, default=plain, allow_nan=dialect is not Dialect.OWN)
    except ValueError:
        raise PayloadError(
            f"the model answered NaN or infinity: accept {CSV} or {NPY} to see it", 500
        ) from None


def plain(value: Any) -> Any:
    """Make of NumPy's numbers, inside of arrays of objects, those of Python.

    Raises PayloadError 500 for what JSON does not have.
    """
    if isinstance(value, np.longdouble):  # whose tolist() is itself
        return float(value)
    if hasattr(value, "tolist") and not isinstance(value, np.complexfloating):
        return value.tolist()
    raise PayloadError(f"the model answered a {type(value).__name__}, which no format holds", 500)


def _csv(array: Any, dialect: Dialect, header: Sequence[str] | None) -> bytes:
    if dialect is Dialect.XGBOOST:
        return ",".join(map(str, array.tolist())).encode()
    if array.ndim > 2:
        raise PayloadError(f"CSV cannot hold an answer of {array.ndim} axes: accept {JSON}", 406)
    stream = io.StringIO()
    if dialect is Dialect.OWN and (header is not None or array.dtype.kind not in "biuf"):
        writer = csv.writer(stream, lineterminator="\n")
        if header is not None:
            writer.writerow(header)
        writer.writerows(array.reshape(len(array), -1).astype(str).tolist())
    else:
        np.savetxt(stream, array, delimiter=",", fmt="%s")
    return stream.getvalue().encode()


def npy(array: Any) -> bytes:
    """Encode an array as NPY, of texts or numbers. Raises PayloadError 406 for other objects."""
    if array.dtype == object:
        array = _told(array)
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _told(array: Any) -> Any:
    """Make texts or numbers of objects, which NPY holds as pickles alone."""
    made = np.array(array.tolist())
    if made.dtype == object:
        raise PayloadError(f"NPY cannot hold what the model answered: accept {JSON}", 406)
    return made


def _several(outputs: Mapping[str, Any], kind: str, *, single: bool) -> bytes:
    """Encode several outputs by name: as one object, or an object a row."""
    values = {name: np.asarray(one).tolist() for name, one in outputs.items()}
    if kind == JSON:
        made = {name: one[0] if single and len(one) == 1 else one for name, one in values.items()}
        return _dumps(made, Dialect.OWN).encode()
    if kind == JSONLINES:
        rows = zip(*values.values())  # noqa: B905 - Python 3.8
        lines = [_dumps(dict(zip(values, row)), Dialect.OWN) for row in rows]  # noqa: B905
        return "".join(line + "\n" for line in lines).encode()
    raise PayloadError(
        f"the model has several outputs, {', '.join(outputs)}: accept {JSON} or {JSONLINES}", 406
    )

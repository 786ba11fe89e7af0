"""Predictions to answers: the bytes that clients of each dialect know.

=========  ======================================  ===============================================
dialect    JSON                                    CSV
=========  ======================================  ===============================================
XGBOOST    ``[0.25, 0.5]``, ``[[0.1, 0.9], ...]``  one line: ``0.25,0.5``, ``[0.1, 0.9],[0.8, 0.2]``
SKLEARN    the same                                a row a line, as np.savetxt has it
OWN        the same; of one bare row its item      as SKLEARN; quoted where a text needs it
=========  ======================================  ===============================================

Numbers are printed in full, float32 as the float64 of the same value (in CSV of SKLEARN and OWN in
its own shortest form). JSON Lines has a row a line, NPY the array as it is. Several outputs are
objects by name, and in CSV side by side.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from runtimes import media_types

from serving.handler.payloads import PayloadError, brief
from serving.handler.tables import headers
from serving.handler.tables.kinds import CSV, JSON, JSONLINES, NPY, canonical
from serving.handler.tables.values import Dialect

OFFERED = (JSON, CSV, NPY, JSONLINES)
_ANY = "*/*"
_RANGES = {"application/*": JSON, "text/*": CSV}


def accepted(
    accept: str | None,
    default: str | None = None,
    offered: Sequence[str] = OFFERED,
    what: str = "",
    *,
    headed: bool = True,
) -> media_types.MediaType:
    """Choose the answer's content type, with the parameters that it was asked for with.

    `default` is answered where the client takes anything. `offered` can hold the answer, `what`
    names that where not all can; `headed`: CSV can have a header. Raises PayloadError 406.
    """
    wanted = accept or _ANY
    refused = [canonical(kind) for kind in media_types.refused(wanted)]
    left = [kind for kind in offered if kind not in refused]
    usual = _canonical(media_types.media_type(default))
    if usual.kind not in left or (has_header(usual) and not headed):
        usual = media_types.MediaType(left[0] if left else "", {})
    for one in media_types.ranked(wanted):
        found = _found(_canonical(one), usual, left)
        if has_header(found) and not headed:
            what = " one line without a header"
        elif found.kind:
            return found
    raise PayloadError(
        f"cannot answer{what} as {brief(wanted)!r}: accept {', '.join(offered)}", 406
    )


def _found(
    one: media_types.MediaType, usual: media_types.MediaType, offered: Sequence[str]
) -> media_types.MediaType:
    """What is offered of a type or a range of them; the kind "" where that is nothing."""
    if one.kind in offered:
        return one
    if one.kind == _ANY or (one.kind in _RANGES and usual.kind.startswith(one.kind[:-1])):
        return usual
    kind = _RANGES.get(one.kind, "")
    return one._replace(kind=kind if kind in offered else "")


def _canonical(one: media_types.MediaType) -> media_types.MediaType:
    return one._replace(kind=canonical(one.kind))


def has_header(one: media_types.MediaType) -> bool:
    """Whether a CSV with its columns' names is asked for. Raises PayloadError for other words."""
    return one.kind == CSV and bool(headers.told(one.parameters.get("header")))


def holding(outputs: Sequence[Any], dialect: Dialect = Dialect.OWN) -> Sequence[str]:
    """Which content types can hold all of these arrays, one an output."""
    several = len(outputs) > 1
    even = len({one.shape[:1] for one in outputs}) == 1
    flat = even and all(one.ndim <= 2 for one in outputs)
    lacks = {
        CSV: not flat and (several or dialect is not Dialect.XGBOOST),
        JSONLINES: not even or not all(one.ndim for one in outputs),
        NPY: several,
    }
    return [kind for kind in OFFERED if not lacks.get(kind)]


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
    them. `names` of the outputs, or their numbers, are the first line of a CSV where ``text/csv;
    header=present`` is accepted. `single`: the request was one bare row (Table.single). `default`:
    content type of the answer where the client takes any. Raises PayloadError 406, or 500 where
    JSON cannot say what the model answered.
    """
    if isinstance(prediction, Mapping):
        return _several(prediction, accept, default, single=single and dialect is Dialect.OWN)
    array = np.asarray(prediction)
    what = f" {array.ndim} axes" if array.ndim > 2 else ""
    headed, able = dialect is not Dialect.XGBOOST, holding([array], dialect)
    chosen = accepted(accept, default, able, what, headed=headed)
    kind = chosen.kind
    if kind == CSV:
        return CSV, _csv(array, dialect, names, header=has_header(chosen))
    if kind == NPY:
        return NPY, npy(array)
    if kind == JSONLINES:
        return JSONLINES, lines(array.tolist(), dialect, able)
    bare = single and dialect is Dialect.OWN and len(array) == 1
    rows = array.tolist()
    return JSON, _dumps(rows[0] if bare else rows, dialect, able).encode()


def lines(rows: Sequence[Any], dialect: Dialect = Dialect.OWN, able: Sequence[str] = ()) -> bytes:
    """Encode rows as JSON Lines. Raises PayloadError 500, which names who of `able` can."""
    return "".join(_dumps(row, dialect, able) + "\n" for row in rows).encode()


def _dumps(value: Any, dialect: Dialect, able: Sequence[str] = ()) -> str:
    try:
        return json.dumps(value, default=plain, allow_nan=dialect is not Dialect.OWN)
    except ValueError:
        raise infinite(able) from None


def infinite(able: Sequence[str]) -> PayloadError:
    """The error of numbers that JSON does not have; `able` are the types that hold the answer."""
    others = " or ".join(kind for kind in able if kind in (CSV, NPY))
    hint = f": accept {others} to see it" if others else ""
    return PayloadError(f"the model answered NaN or infinity{hint}", 500)


def plain(value: Any) -> Any:
    """Make of NumPy's numbers, inside of arrays of objects, those of Python.

    Raises PayloadError 500 for what JSON does not have.
    """
    if isinstance(value, np.longdouble):  # whose tolist() is itself
        return float(value)
    if hasattr(value, "tolist") and not isinstance(value, np.complexfloating):
        return value.tolist()
    raise PayloadError(f"the model answered a {type(value).__name__}, which no format holds", 500)


def _csv(array: Any, dialect: Dialect, names: Sequence[str] | None, *, header: bool) -> bytes:
    if dialect is Dialect.XGBOOST:
        return ",".join(map(str, array.tolist())).encode()
    if dialect is Dialect.OWN or header:
        return table([array], names, header=header)
    stream = io.StringIO()
    np.savetxt(stream, array, delimiter=",", fmt="%s")
    return stream.getvalue().encode()


def table(
    outputs: Sequence[Any], names: Sequence[str] | None = None, *, header: bool = False
) -> bytes:
    """Encode arrays of (rows,) or (rows, columns) as CSV, side by side, a row a line.

    The `header` has the columns' `names`, or their numbers.
    """
    made = [one.reshape(len(one), math.prod(one.shape[1:])) for one in map(np.atleast_1d, outputs)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    if header:
        writer.writerow(range(sum(one.shape[1] for one in made)) if names is None else names)
    # one by one: an array of texts has room for the longest of them everywhere
    lines = zip(*made)  # noqa: B905 - Python 3.8
    writer.writerows([str(field) for row in line for field in row] for line in lines)
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


def _several(
    outputs: Mapping[str, Any], accept: str | None, default: str | None, *, single: bool
) -> tuple[str, bytes]:
    """Encode several outputs: by name as one object, or an object a row; as CSV side by side."""
    arrays = {name: np.asarray(one) for name, one in outputs.items()}
    what = f" several outputs, {', '.join(outputs)},"
    able = holding(list(arrays.values()))
    chosen = accepted(accept, default, able, what)
    kind = chosen.kind
    if kind == CSV:
        header = has_header(chosen)
        return CSV, table(list(arrays.values()), _columns(arrays), header=header)
    values = {name: one.tolist() for name, one in arrays.items()}
    if kind == JSON:
        whole = {name: one[0] if single and len(one) == 1 else one for name, one in values.items()}
        return JSON, _dumps(whole, Dialect.OWN, able).encode()
    rows = zip(*values.values())  # noqa: B905 - Python 3.8
    made = [dict(zip(values, row)) for row in rows]  # noqa: B905
    return JSONLINES, lines(made, Dialect.OWN, able)


def _columns(arrays: Mapping[str, Any]) -> list[str]:
    """What the columns of several outputs are called: the output, with a number if it has many."""
    named = []
    for name, one in arrays.items():
        wide = one.ndim == 2 and one.shape[1] != 1
        named += [f"{name}_{column}" for column in range(one.shape[1])] if wide else [name]
    return named

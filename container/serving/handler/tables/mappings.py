"""Rows that are objects of any keys, for models that make columns of the keys, or pick some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serving.handler import payloads
from serving.handler.payloads import PayloadError, brief
from serving.handler.tables import columns, delimited, headers
from serving.handler.tables.kinds import CSV, JSON, JSONLINES
from serving.handler.tables.text import decoded, lines_of
from serving.handler.tables.values import Table

_FLAGS = {"True": True, "False": False, "true": True, "false": False}
_WRAPPERS = ("instances", "inputs", "dataframe_records")
_ALL_WRAPPERS = (*_WRAPPERS, "dataframe_split", "data", "predictions")


def read(body: bytes, kind: str) -> Table:
    """Read objects: ``[{"a": 1}]``, one ``{"a": 1}``, one a line, or wrapped as ``instances``.

    The table has one column, "0", of dictionaries. Raises PayloadError 400, or 415 for another kind
    of payload, where numbers and texts could not be told apart.
    """
    if kind == JSONLINES:
        return _table(_lines(body))
    if kind != JSON:
        raise PayloadError(
            f"a row of this model is an object, which {kind} cannot hold: send {JSON}", 415
        )
    value = _unwrapped(_json(body))
    return _table(value) if isinstance(value, list) else _table([value], single=True)


def named(body: bytes, kind: str, parameters: Mapping[str, str]) -> Table | None:
    """Read rows that name their columns, as `read` does; None where they name none.

    In JSON as objects, columns by name or pandas' split orient; in CSV where `header=present` says
    so, with whole numbers, numbers, flags or texts in a column, as pandas reads it. Raises
    PayloadError.
    """
    if kind == CSV:
        present = headers.told(parameters.get("header"))
        return _table(_of_texts(*delimited.named(body, parameters))) if present else None
    if kind not in (JSON, JSONLINES):
        return None
    value: Any = _json(body) if kind == JSON else _lines(body)
    value = payloads.within(value, _ALL_WRAPPERS) if _is_one(value) else value
    if isinstance(value, list):
        return _table(value) if value and _names_columns(value[0]) else None
    if not _names_columns(value):
        return None
    if set(value) - {"index"} == {"columns", "data"}:
        return _table(_split(value["columns"], value["data"]))
    if value and all(isinstance(one, list) for one in value.values()):
        return _table(_by_column(value))
    return _table([value], single=True)


def _is_one(value: Any) -> bool:
    return isinstance(value, dict)


def _names_columns(value: Any) -> bool:
    """Whether it is an object, and not one that wraps a row's values."""
    return _is_one(value) and not set(value) <= {"features", "data"}


def _split(names: Any, rows: Any) -> list[dict[str, Any]]:
    fits = isinstance(names, list) and isinstance(rows, list)
    if not fits or any(not isinstance(row, list) or len(row) != len(names) for row in rows):
        raise PayloadError("'data' is not a list of rows with a value for each of 'columns'")
    names = [str(name) for name in names]
    return [dict(zip(names, row)) for row in rows]  # noqa: B905 - Python 3.8


def _by_column(held: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    if len({len(values) for values in held.values()}) != 1:
        said = ", ".join(f"{brief(name)}: {len(one)}" for name, one in list(held.items())[:8])
        raise PayloadError(f"the columns differ in length: {said}")
    return [dict(zip(held, row)) for row in zip(*held.values())]  # noqa: B905 - Python 3.8


def _of_texts(names: Sequence[str], texts: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    if len(set(names)) != len(names):
        raise PayloadError(f"a column comes twice in {columns.listed(names)}")
    return _by_column({name: _values(one) for name, one in zip(names, texts)})  # noqa: B905


def _values(texts: Sequence[str]) -> list[Any]:
    """What a column of CSV holds: all of it whole numbers, numbers, flags, or else texts."""
    held = [text.strip() for text in texts]
    told = [text for text in held if text]
    if told and set(told) <= set(_FLAGS):
        return [_FLAGS.get(text) for text in held]
    for kind in (int, columns.number):
        try:
            made: dict[str, Any] = {text: kind(text) for text in told if _plain(text)}
        except ValueError:
            continue
        if len(made) == len(set(told)):
            return [made.get(text) for text in held]
    return [text or None for text in texts]


def _plain(text: str) -> bool:
    return text.isascii() and "_" not in text


def _lines(body: bytes) -> list[Any]:
    return [_json(line.encode()) for line in lines_of(decoded(body))]


def _json(text: bytes) -> Any:
    return payloads.load_json(text, float)[0]


def _unwrapped(value: Any) -> Any:
    """Take the rows out of what wraps them, where that is no row by itself."""
    if not isinstance(value, dict):
        return value
    inner = payloads.within(value, _WRAPPERS)
    return inner if isinstance(inner, list) else value


def _table(rows: Sequence[Any], *, single: bool = False) -> Table:
    if not rows:
        raise PayloadError("the payload has no rows")
    made: Any = np.empty(len(rows), object)
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise PayloadError(f"row {number + 1} is not an object: send a list of objects")
        made[number] = row
    return Table(len(rows), single, columns={"0": made})

"""Rows that are objects of any keys, for models that make columns of the keys; JSON alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from serving.handler import payloads
from serving.handler.payloads import PayloadError
from serving.handler.tables.kinds import JSON, JSONLINES
from serving.handler.tables.text import decoded
from serving.handler.tables.values import Table

_WRAPPERS = ("instances", "inputs", "dataframe_records")


def read(body: bytes, kind: str) -> Table:
    """Read objects: ``[{"a": 1}]``, one ``{"a": 1}``, one a line, or wrapped as ``instances``.

    The table has one column, "0", of dictionaries. Raises PayloadError 400, or 415 for another kind
    of payload, where numbers and texts could not be told apart.
    """
    if kind == JSONLINES:
        rows = [_json(line.encode()) for line in decoded(body).splitlines() if line.strip()]
        return _table(rows)
    if kind != JSON:
        raise PayloadError(
            f"a row of this model is an object, which {kind} cannot hold: send {JSON}", 415
        )
    value = _unwrapped(_json(body))
    return _table(value) if isinstance(value, list) else _table([value], single=True)


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

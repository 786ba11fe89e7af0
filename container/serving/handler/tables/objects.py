"""JSON and JSON Lines to tables: rows, rows by name, columns by name, and what wraps them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serving.handler import payloads
from serving.handler.payloads import PayloadError, brief
from serving.handler.tables import columns
from serving.handler.tables.text import decoded, lines_of
from serving.handler.tables.values import NUMBER, Features, Table

_WRAPPERS = ("instances", "inputs", "dataframe_split", "dataframe_records", "predictions", "data")
_SPLIT = {"columns", "data"}
_ROW = ("features", "data")  # what a row of AWS's own algorithms is wrapped in
_MISSING = object()


def read(body: bytes, features: Features) -> Table:
    """Read JSON. null and NaN are missing values. Raises PayloadError.

    Rows ``[[1, 2], [3, 4]]`` or one ``[1, 2]``; rows by name ``[{"a": 1, "b": 2}]`` or one
    ``{"a": 1, "b": 2}``; columns ``{"a": [1, 3], "b": [2, 4]}``; pandas' split orient
    ``{"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}``. All of them may stand in an object as its
    ``instances``, ``inputs``, ``dataframe_split`` or ``dataframe_records``; a row may be the
    ``features`` of an object.
    """
    value, has_text = payloads.load_json(body, float)
    return table(value, features, has_text=has_text)


def read_lines(body: bytes, features: Features) -> Table:
    """Read one JSON row a line. Raises PayloadError."""
    lines = lines_of(decoded(body))
    text = "[" + ",".join(lines) + "]"
    try:
        rows, has_text = payloads.load_json(text.encode(), float)
    except PayloadError:
        rows = None
    if rows is None or len(rows) != len(lines):
        rows, has_text = [_line(number, line) for number, line in enumerate(lines)], True
    rows = [_unwrapped_line(row, features) for row in rows]
    if rows and not isinstance(rows[0], (list, dict)):
        rows = [[row] for row in rows]
    return table(rows, features, has_text=has_text)


def _line(number: int, line: str) -> Any:
    try:
        return payloads.load_json(line.encode(), float)[0]
    except PayloadError as error:
        raise PayloadError(f"line {number + 1}: {error}") from None


def _unwrapped_line(row: Any, features: Features) -> Any:
    """Take a row out of an object that holds nothing else: ``{"instances": [[1, 2]]}``."""
    value = _unwrapped(row, features)
    if value is not row and isinstance(value, list) and len(value) == 1:
        return value[0] if isinstance(value[0], (list, dict)) else value
    return value


def table(value: Any, features: Features, *, has_text: bool) -> Table:
    """Make a table of what JSON said. Raises PayloadError."""
    value = _unwrapped(value, features)
    if isinstance(value, dict):
        return _object(value, features, has_text=has_text)
    if features.width == 1 and isinstance(value, (str, int, float)):
        value = [value]
    if not isinstance(value, list):
        raise PayloadError(f"{brief(str(value))} is not a list of rows")
    if value and not isinstance(value[0], (list, dict)):
        return _flat(value, features, has_text=has_text)
    if value and isinstance(value[0], dict):
        rows = [_row(one, number, features) for number, one in enumerate(value)]
        if isinstance(rows[0], dict):
            return _by_name(rows, features)
        value = rows
    return _rows(value, features, None, has_text=has_text)


def _unwrapped(value: Any, features: Features) -> Any:
    """Take the rows out of the object that wraps them, where that is no column of the model.

    What is wrapped may again call all rows by the title: ``{"inputs": {"x": [[1, 2]]}}``.
    """
    value = _inner(value, _WRAPPERS, features)
    return value if features.title is None else _inner(value, (features.title,), features)


def _inner(value: Any, called: Sequence[str], features: Features) -> Any:
    if not isinstance(value, dict) or _are_columns(value, features):
        return value
    return payloads.within(value, called)


def _are_columns(value: Mapping[str, Any], features: Features) -> bool:
    return features.names is not None and set(features.spelled(value)) <= set(features.names)


def _row(one: Any, number: int, features: Features) -> Any:
    """Take the values out of a row as AWS's own algorithms have it: ``{"features": [1, 2]}``.

    Clients of TensorFlow Serving call the row as the model calls its input, which is the title.
    """
    if not isinstance(one, dict):
        raise PayloadError(f"row {number + 1} is not an object, but row 1 is one")
    while isinstance(one, dict) and len(one) == 1 and not _are_columns(one, features):
        name, inner = next(iter(one.items()))
        if name == features.title and features.width == 1 and not isinstance(inner, (list, dict)):
            return [inner]
        if name not in (*_ROW, "values", features.title) or not isinstance(inner, (list, dict)):
            break
        one = inner
    return one


def _flat(value: list[Any], features: Features, *, has_text: bool) -> Table:
    """One bare row; for a model of one column, its values are rows."""
    if features.width == 1:
        return _rows([[one] for one in value], features, None, has_text=has_text)
    return _rows([value], features, None, has_text=has_text, single=True)


def _object(value: dict[str, Any], features: Features, *, has_text: bool) -> Table:
    if _SPLIT <= set(value) <= {*_SPLIT, "index"} and not _are_columns(value, features):
        names = _names(value["columns"])
        if not isinstance(value["data"], list):
            raise PayloadError("'data' is not a list of rows")
        return _rows(value["data"], features, names, has_text=has_text)
    values = _row(value, 0, features)
    if isinstance(values, list):
        return table(values, features, has_text=has_text)
    if not value:
        raise PayloadError("the payload has no columns")
    if any(isinstance(one, (list, dict)) for one in value.values()):
        return _by_column(value, features)
    return _by_name([value], features, single=True)


def _names(value: Any) -> list[str]:
    if not isinstance(value, list) or any(isinstance(one, (list, dict)) for one in value):
        raise PayloadError("'columns' is not a list of names")
    return [str(one) for one in value]


def _by_column(value: Mapping[str, Any], features: Features) -> Table:
    if _are_rows(value, features):
        return _by_name(list(value.values()), features)
    if len({tuple(one) for one in value.values() if isinstance(one, dict)}) > 1:
        raise PayloadError("the columns differ in the names of their rows, or in their order")
    held = {name: _column(name, one) for name, one in value.items()}
    counts = {name: len(one) for name, one in held.items()}
    if len(set(counts.values())) != 1:
        said = ", ".join(f"{brief(n)}: {count}" for n, count in list(counts.items())[:8])
        raise PayloadError(f"the columns differ in length: {said}")
    return columns.mixed(list(held.values()), next(iter(counts.values())), features, list(held))


def _are_rows(value: Mapping[str, Any], features: Features) -> bool:
    """Whether objects in an object are rows, as pandas' index orient has it, and not columns.

    Raises PayloadError where they may be either: columns and rows have the same names.
    """
    known = features.names or [str(index) for index in range(features.width or 0)]
    inner = next(iter(value.values()))
    if not known or not isinstance(inner, dict) or set(features.spelled(inner)) != set(known):
        return False
    if set(features.spelled(value)) == set(known):
        raise PayloadError(
            "objects in an object may be rows or columns here: send a list of rows, or "
            '{"columns": [...], "data": [[...]]}'
        )
    return True


def _column(name: str, value: Any) -> Sequence[Any]:
    """Take the values of a column: a list, or by row number as pandas' default orient has it."""
    if isinstance(value, dict):
        return list(value.values())
    if not isinstance(value, list):
        raise PayloadError(f"the column {brief(name)!r} is not a list, but another is one")
    if all(isinstance(one, list) and len(one) == 1 for one in value):
        return [one[0] for one in value]  # of shape (rows, 1)
    return value


def _by_name(rows: Sequence[Any], features: Features, *, single: bool = False) -> Table:
    """Make a table of objects, each with all columns by name; some of them where fewer will do."""
    names = _every_name(rows) if features.fewer_allowed else list(rows[0])
    known = set(names)
    columns.bounded(len(rows), len(names) if features.fewer_allowed else 0)
    held: list[list[Any]] = [[] for _ in names]
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise PayloadError(f"row {number + 1} is not an object, but row 1 is one")
        if not (row.keys() <= known if features.fewer_allowed else row.keys() == known):
            _refuse_names(row, number, names, features)
        for column, name in zip(held, names):  # noqa: B905 - Python 3.8
            column.append(row.get(name))
    return columns.mixed(held, len(rows), features, names, single=single)


def _every_name(rows: Sequence[Any]) -> list[str]:
    """The names of all rows, each once, as pandas makes a DataFrame of them."""
    return list(dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row))


def _refuse_names(
    row: Mapping[str, Any], number: int, names: Sequence[str], features: Features
) -> None:
    columns.order(list(row), features)  # says it of a name that the model does not have
    lacking = [name for name in names if name not in row]
    known = set(names)
    more = [name for name in row if name not in known]
    what = f"lacks {lacking[0]!r}" if lacking else f"has {brief(more[0])!r}"
    raise PayloadError(f"row {number + 1} {what}, unlike row 1")


def _rows(
    rows: Sequence[Any], features: Features, names: Sequence[str] | None, *, has_text: bool,
    single: bool = False,
) -> Table:  # fmt: skip
    """Make a table of lists of values."""
    if not rows:
        raise PayloadError("the payload has no rows")
    if not has_text and not features.categorical:
        array = _array(rows)
        if array is not None:
            _check_names(array.shape[1], names)
            return columns.numbers(array, features, names, single=single)
    width = _width(rows)
    _check_names(width, names)
    if names is None:
        columns.check_width(width, features)
    return columns.mixed(list(zip(*rows)), len(rows), features, names, single=single)  # noqa: B905


def _check_names(width: int, names: Sequence[str] | None) -> None:
    if names is not None and len(names) != width:
        raise PayloadError(f"the rows have {width} columns, {len(names)} are named")


def _array(rows: Sequence[Any]) -> Any | None:
    """Convert rows of numbers in one go; None where they are none of one length."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            array = np.array(rows, dtype=NUMBER)
    except (ValueError, TypeError, OverflowError, Warning, RecursionError):
        return None
    return array if array.ndim == 2 else None


def _width(rows: Sequence[Any]) -> int:
    for number, row in enumerate(rows):
        if not isinstance(row, list):
            raise PayloadError(f"row {number + 1} is not a list, but row 1 is one")
        if len(row) != len(rows[0]):
            raise PayloadError(f"row {number + 1} has {len(row)} columns, row 1 has {len(rows[0])}")
    return len(rows[0])

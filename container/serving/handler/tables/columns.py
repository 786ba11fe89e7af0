"""Numbers and text as they were sent to the table of a model: order, count, types, missing values.

All formats end here. Rows and columns are counted from 1 in messages.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from serving.handler.payloads import PayloadError, brief
from serving.handler.tables.values import NUMBER, Features, Table, may_be_rounded

MOST_CELLS = 1 << 24
"""How many numbers a request may become where few bytes can stand for many: 128 MiB."""
_SHOWN_NAMES = 8
_FLAGS = {"true": 1.0, "false": 0.0}


def bounded(rows: int, columns: int) -> None:
    """Raise PayloadError where a table is too large to be made of a small payload."""
    if rows * max(columns, 1) > MOST_CELLS:
        raise PayloadError(
            f"{rows} rows of {columns} columns are more than {MOST_CELLS} numbers: send fewer rows"
        )


def place(row: int, column: int, features: Features) -> str:
    """Say where a value is: ``row 3, column 2 ('age')``; both are counted from 0 here."""
    name = f" ({brief(features.key(column))!r})" if features.names is not None else ""
    return f"row {row + 1}, column {column + 1}{name}"


def order(sent: Sequence[str], features: Features) -> list[int]:
    """Where each column of the model is among the names that were `sent`.

    Without names of its own, a model takes its columns by number. Raises PayloadError for a name
    that is unknown, twice there, or lacks.
    """
    sent = features.spelled(sent)
    names = _names(sent, features)
    at = {name: index for index, name in enumerate(sent)}
    if len(at) != len(sent):
        twice = [name for name, count in Counter(sent).items() if count > 1]
        raise PayloadError(f"a column comes twice: {listed(twice)}")
    known = set(names)
    unknown = [name for name in sent if name not in known]
    if unknown:
        raise PayloadError(f"the model has no column {listed(unknown)}: it has {listed(names)}")
    lacking = [name for name in names if name not in at]
    if lacking:
        what = f"the column {listed(lacking)} is missing"
        raise PayloadError(f"{what}: send all of {listed(names)}")
    return [at[name] for name in names]


def _names(sent: Sequence[str], features: Features) -> Sequence[str]:
    if features.names is not None:
        return features.names
    numbers = [str(i) for i in range(len(sent) if features.width is None else features.width)]
    if set(sent) <= set(numbers):
        return numbers
    raise PayloadError(
        f"the model's columns have no names, {listed(sent)} cannot be told apart: send rows of "
        "values in the order of the model's columns"
    )


def listed(names: Sequence[str]) -> str:
    """Names for a message, the first ones of many."""
    shown = ", ".join(repr(brief(name)) for name in names[:_SHOWN_NAMES])
    return shown + (f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else "")


def check_width(width: int, features: Features, row: int = 0) -> None:
    """Raise PayloadError where a row has not as many columns as the model takes."""
    wanted = features.width
    if not width:
        raise PayloadError(f"row {row + 1} has no columns")
    if wanted is None or width == wanted or (width < wanted and features.fewer_allowed):
        return
    raise PayloadError(f"row {row + 1} has {width} columns, the model takes {wanted}")


def numbers(
    array: Any, features: Features, names: Sequence[str] | None = None, *, single: bool = False,
    dtype: Any = None,
) -> Table:  # fmt: skip
    """Make a table of an array of numbers (rows, columns), whose columns may have names.

    `dtype` is kept instead of the features'. Raises PayloadError.
    """
    if not len(array):
        raise PayloadError("the payload has no rows")
    if names is not None:
        array = array[:, order(names, features)]
    else:
        check_width(array.shape[1], features)
        array = _padded(array, features)
    ready = cast(array, features, dtype)
    if not features.categorical:
        sent = np.ascontiguousarray(array, NUMBER) if features.sent and dtype is None else None
        return Table(len(ready), single, ready, sent=sent)
    columns = {}
    for index in range(ready.shape[1]):
        column = ready[:, index]
        if features.is_categorical(index):
            column = _categories([_whole(v) for v in array[:, index].tolist()], index, features)
        columns[features.key(index)] = column
    return Table(len(ready), single, columns=columns)


def _whole(value: Any) -> Any:
    """Make an integer of a category that only came as a float because its array has floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _padded(array: Any, features: Features) -> Any:
    rows, width = array.shape
    wanted = features.width or width
    if width == wanted:
        return array
    bounded(rows, wanted)
    made: Any = np.full((rows, wanted), np.nan, NUMBER)
    made[:, :width] = array
    return made


def cast(array: Any, features: Features, dtype: Any = None, at: Sequence[int] | None = None) -> Any:
    """Bring numbers into the type of the features. Raises PayloadError for one that it lacks.

    `at` are the columns of the table that those of the array are.
    """
    wanted = np.dtype(features.dtype if dtype is None else dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        ready = np.ascontiguousarray(array, dtype=wanted)
    if wanted.kind != "f":
        if not np.array_equal(ready, array):
            _refuse(array, ready != array, features, f"is no {wanted}", at)
        if array.dtype.kind == "f":
            large = may_be_rounded(array)
            _refuse(array, large, features, "is too large to be read exactly", at)
    elif not np.isfinite(ready).all():
        _check_finite(array, ready, features, at)
    return ready


def _check_finite(array: Any, ready: Any, features: Features, at: Sequence[int] | None) -> None:
    if not features.missing_allowed:
        _refuse(array, np.isnan(ready), features, "is missing, and the model takes none", at)
    if not features.infinity_allowed:
        _refuse(array, np.isinf(array), features, "is infinite", at)
    _refuse(array, np.isinf(ready) & np.isfinite(array), features, f"is beyond {ready.dtype}", at)


def _refuse(array: Any, wrong: Any, features: Features, why: str, at: Sequence[int] | None) -> None:
    found = np.argwhere(wrong)
    if len(found):
        row, column = found[0]
        where = place(row, column if at is None else at[column], features)
        raise PayloadError(f"{where}: {array[row, column]} {why}")


def mixed(
    columns: Sequence[Sequence[Any]], rows: int, features: Features,
    names: Sequence[str] | None = None, *, single: bool = False,
) -> Table:  # fmt: skip
    """Make a table of columns of values (None, bool, int, float or str), which may have names.

    Text in a column of numbers must be one. Raises PayloadError.
    """
    if not rows:
        raise PayloadError("the payload has no rows")
    sources = _sources(len(columns), names, features)
    bounded(rows, sources.count(None))
    absent = [None] * rows
    made = {}
    for index, source in enumerate(sources):
        values = absent if source is None else columns[source]
        made[index] = _column(values, index, features)
    plain = [index for index, one in made.items() if one.dtype != object]
    if plain:
        sent = np.stack([made[i] for i in plain], 1)
        ready = cast(sent, features, None, plain)
        if len(plain) == len(made):
            return Table(rows, single, ready, sent=sent if features.sent else None)
        made.update({index: ready[:, n] for n, index in enumerate(plain)})
    return Table(rows, single, columns={features.key(i): one for i, one in made.items()})


def _sources(width: int, names: Sequence[str] | None, features: Features) -> list[int | None]:
    """Say for each column of the model which of those sent it is; None: none."""
    if names is not None:
        return list(order(names, features))
    check_width(width, features)
    return [*range(width), *[None] * ((features.width or width) - width)]


def _column(values: Sequence[Any], index: int, features: Features) -> Any:
    """Make an array of a column: of numbers, or of objects where it is categorical."""
    if features.is_categorical(index):
        return _categories(values, index, features)
    try:
        return np.fromiter(map(number, values), NUMBER, len(values))
    except (ValueError, OverflowError):
        if features.categorical is None:
            return _categories(values, index, features)
    try:
        return np.fromiter(map(_number_or_flag, values), NUMBER, len(values))
    except (ValueError, OverflowError):
        raise _no_number(values, index, features) from None


def _categories(values: Sequence[Any], index: int, features: Features) -> Any:
    made: Any = np.empty(len(values), object)
    for row, value in enumerate(values):
        if isinstance(value, (list, dict)):
            raise not_a_number(row, index, value, features, "value")
        made[row] = None if value != value else value  # an empty text of JSON is a text
        if made[row] is None and not features.missing_allowed:
            raise PayloadError(f"{place(row, index, features)}: the value is missing")
    return made


def number(value: Any) -> float:
    """Make a number of a value as it was sent; ValueError or OverflowError where it is none."""
    if value is None:
        return math.nan
    if isinstance(value, str):
        if "_" in value or not value.isascii():
            raise ValueError(value)
        return float(value)
    if isinstance(value, (int, float)):
        return float(value)
    raise ValueError(value)


def _number_or_flag(value: Any) -> float:
    """Make a number of a value, also of a flag as others write it to CSV: True, false."""
    flag = _FLAGS.get(value.strip().lower()) if isinstance(value, str) else None
    return number(value) if flag is None else flag


def _no_number(values: Sequence[Any], index: int, features: Features) -> PayloadError:
    for row, value in enumerate(values):
        try:
            _number_or_flag(value)
        except (ValueError, OverflowError):
            return not_a_number(row, index, value, features)
    raise AssertionError("all of them are numbers")


def not_a_number(
    row: int, column: int, value: Any, features: Features, what: str = "number"
) -> PayloadError:
    """Make the error about a value that is not a number."""
    text = repr(brief(value)) if isinstance(value, str) else brief(str(value))
    return PayloadError(f"{place(row, column, features)}: {text} is not a {what}")

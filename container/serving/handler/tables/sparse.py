"""Rows that list their values by index, as arrays that hold all columns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serving.handler.payloads import PayloadError
from serving.handler.tables import columns
from serving.handler.tables.values import NUMBER, Dialect, Features, Table


def table(
    rows: Any, at: Any, values: Any, shape: tuple[int, int], features: Features, dialect: Dialect,
    *, first: int = 0, summed: bool = False,
) -> Table:  # fmt: skip
    """Make a table of `values`, each in its row of `rows` and its column of `at`; all 1-D arrays.

    `shape` is (rows, columns) where the model does not know how many it has. What is not listed is
    Features.absent. `first` is what the client calls the first column. A place that is listed twice
    is refused, or its values are `summed`. Raises PayloadError.
    """
    count, width = shape[0], features.width or shape[1]
    columns.bounded(count, width)
    outside = np.flatnonzero((at < 0) | (at >= width) | (rows < 0) | (rows >= count))
    if len(outside):
        row, column = int(rows[outside[0]]), int(at[outside[0]]) + first
        raise PayloadError(
            f"row {row + 1} has the index {column}, the columns are {first} to {width - 1 + first}"
        )
    made: Any = np.full((count, width), _absent(features, dialect), NUMBER)
    flat = rows * width + at
    if len(np.unique(flat)) != len(flat):
        if not summed:
            raise _twice(flat, width, first)
        made.reshape(-1)[flat] = 0
        np.add.at(made.reshape(-1), flat, values)
    else:
        made[rows, at] = values
    return columns.numbers(made, features)


def _absent(features: Features, dialect: Dialect) -> float:
    if features.absent is not None:
        return features.absent
    return math.nan if dialect is Dialect.XGBOOST else 0.0


def _twice(flat: Any, width: int, first: int) -> PayloadError:
    ordered = np.sort(flat)
    twice = int(ordered[:-1][ordered[1:] == ordered[:-1]][0])
    return PayloadError(f"row {twice // width + 1} has the index {twice % width + first} twice")

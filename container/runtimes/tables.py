"""What a model of tables says of its columns, and the table that a request becomes; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any


def may_be_rounded(numbers: Any) -> Any:
    """Which numbers of an array may not be those that were sent, as an array of its shape.

    They are read as float64, which lacks some whole ones from 2**53 on.
    """
    import numpy as np

    return np.abs(numbers.astype(np.float64)) >= 2.0**53  # more than float16 has


class Dialect(Enum):
    """Whose clients are answered: what a payload may leave out, and the bytes of the answer."""

    OWN = "own"
    XGBOOST = "xgboost"
    """AWS's XGBoost container in algorithm mode."""
    SKLEARN = "scikit-learn"
    """AWS's scikit-learn container with its default functions."""


@dataclass(frozen=True)
class Features:
    """What a model says of its columns. All of it may be left out.

    `count` of the columns, by default as many as there are `names`. `dtype` is numpy's name of the
    type that numbers are brought into. `categorical` are names or indices of the columns whose
    values are kept as they were sent (see Table); None: the model does not say, a column in which
    a value is no number is one. `missing_allowed`: NaN may be a value; `infinity_allowed`, too.
    `fewer_allowed`: columns that lack at the end of a row, or in a row by name where another row
    has them, are missing; more is always an error. `absent` is what a sparse row does not list;
    None: missing in the dialect of XGBoost, 0 elsewhere. `indexing`: what indices of libsvm count
    from, 0 or 1; None: nobody says. `title` is what a JSON object may call all
    rows together. `blank`: what the framework wrote into its names for each blank, so that columns
    may be called as before.
    `objects`: each row is an object of any keys, and the table has one column, "0", of them.
    `named`: rows may name columns that the model does not know by itself: those are objects, too.
    `sent`: numbers are wanted as they were sent, too, see Table.
    """

    count: int | None = None
    names: Sequence[str] | None = None
    dtype: str = "float32"
    categorical: Sequence[str | int] | None = ()
    missing_allowed: bool = True
    infinity_allowed: bool = False
    fewer_allowed: bool = False
    absent: float | None = None
    indexing: int | None = None
    title: str | None = None
    blank: str | None = None
    objects: bool = False
    named: bool = False
    sent: bool = False

    def __post_init__(self) -> None:
        if self.names is not None and self.width != len(self.names):
            raise ValueError(f"{self.width} columns have {len(self.names)} names")

    @property
    def width(self) -> int | None:
        """How many columns the model has, None where nobody knows."""
        return len(self.names) if self.count is None and self.names is not None else self.count

    def spelled(self, names: Iterable[str]) -> list[str]:
        """Names of columns as the model spells them."""
        blank = self.blank
        return list(names) if blank is None else [name.replace(" ", blank) for name in names]

    @property
    def has_text(self) -> bool:
        """Whether there may be columns that are no numbers."""
        return self.categorical is None or len(self.categorical) > 0

    def key(self, index: int) -> str:
        """The name of a column; its index where columns have no names."""
        names = self.names
        return names[index] if names is not None and index < len(names) else str(index)

    def is_categorical(self, index: int) -> bool:
        """Whether the model says that a column is categorical."""
        return index in self._indices or self.key(index) in self._indices

    @cached_property
    def _indices(self) -> frozenset[str | int]:
        return frozenset(self.categorical or ())


@dataclass(frozen=True)
class Table:
    """One request as rows of columns, in the order of the model's own columns.

    `array` is (rows, columns) in Features.dtype; SKLEARN keeps the type of an NPY array. Where the
    model has categorical columns `array` is None and `columns` has by Features.key an array of
    (rows,): in Features.dtype, or of objects for a categorical column (str, int, float or bool as
    sent, in CSV always str; None where it is missing). `single`: one bare row was sent, which the
    own dialect answers without the batch axis. `sent` is `array` in float64 where the features want
    that, and the client sent numbers without a type. `untyped`: all came as text, as CSV has it.
    """

    rows: int
    single: bool = False
    array: Any = None
    columns: Mapping[str, Any] | None = None
    sent: Any = None
    untyped: bool = False

    def take(self, start: int, stop: int) -> Table:
        """Take some of the rows."""
        columns = self.columns
        return Table(
            len(range(self.rows)[start:stop]),
            self.single,
            None if self.array is None else self.array[start:stop],
            None if columns is None else {key: one[start:stop] for key, one in columns.items()},
            None if self.sent is None else self.sent[start:stop],
            self.untyped,
        )

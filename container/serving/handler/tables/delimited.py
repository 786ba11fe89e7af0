"""CSV and its relatives (`;`, tab, `|`, blank between fields) to tables; what it costs is linear.

One row is split and converted in microseconds; many are converted in blocks of rows, so that the
strings of one block alone are in memory.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from serving.handler.payloads import PayloadError, brief
from serving.handler.tables import columns, headers
from serving.handler.tables.text import decoded
from serving.handler.tables.values import NUMBER, Dialect, Features, Table

_DELIMITERS = ",;\t| "
# A field in quotes, or the begin of one with lines in it; a quote in a field is of its text
_IN_QUOTES = re.compile(r'(?:^|(?<=[,;\t|])) *(?:"[^"]*(?:"|$))+')
_BLOCK = 1 << 16  # fields that are strings at the same time


def read(body: bytes, parameters: Mapping[str, str], features: Features, dialect: Dialect) -> Table:
    """Read CSV. An empty field is a missing value. Raises PayloadError.

    The first row may be the names of the columns, where the model has names or `header=present`
    says so. `label_size=1` says that the first column is a label: it is left out. For XGBoost it
    is that only where a row has one column more than the model, as its container ignores it.
    """
    lines = _lines(body, parameters, features, dialect)
    label = _labels(parameters.get("label_size"), lines, features, dialect)
    told = headers.told(parameters.get("header"))
    if headers.found(lines.head, lines.rest(), features) if told is None else told:
        names = headers.called(lines.head[label:], features)
        return _table(lines.after_header(), label, names, features, dialect)
    try:
        return _table(lines, label, None, features, dialect)
    except PayloadError as error:
        hint = headers.missed(lines.head, features) if told is None else ""
        raise PayloadError(f"{error.message}{hint}", error.status) from None


def named(body: bytes, parameters: Mapping[str, str]) -> tuple[list[str], list[Any]]:
    """The names in the first row of CSV, and the fields of each of their columns.

    Raises PayloadError.
    """
    features = Features(categorical=None)
    lines = _lines(body, parameters, features, Dialect.OWN)
    lines.check()
    label = _labels(parameters.get("label_size"), lines, features, Dialect.OWN)
    names = [name.strip() for name in lines.head]
    return names[label:], lines.after_header().columns()[label:]


def _lines(
    body: bytes, parameters: Mapping[str, str], features: Features, dialect: Dialect
) -> _Lines:
    text = decoded(body, parameters.get("charset")).strip("\r\n")
    if "\r" in text and '"' not in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    delimiter = _delimiter(text, parameters.get("delimiter"), features)
    lines = _quoted(text, delimiter) if '"' in text else _plain(text, delimiter, features, dialect)
    if not lines.rows:
        raise PayloadError("the payload has no rows")
    return lines


class _Lines:
    """Rows of text with as many fields each: split where there is no quote, else as they are."""

    def __init__(self, rows: Sequence[Any], delimiter: str, *, split: bool) -> None:
        self.rows, self.delimiter, self._split = rows, delimiter, split
        self.head: list[str] = self._fields(rows[0]) if rows else []

    def _fields(self, row: Any) -> list[str]:
        fields: list[str] = row if self._split else row.split(self.delimiter)
        return fields

    def rest(self) -> Iterator[list[str]]:
        """Give the fields of each row after the first."""
        return (self._fields(row) for row in self.rows[1:])

    def after_header(self) -> _Lines:
        """Leave the first row out."""
        rest = self.rows[1:]
        if not rest:
            raise PayloadError("the payload has a header and no rows")
        return _Lines(rest, self.delimiter, split=self._split)

    def check(self) -> None:
        """Raise PayloadError where rows differ in the number of fields."""
        width = len(self.head)
        counts = (
            map(len, self.rows) if self._split
            else (row.count(self.delimiter) + 1 for row in self.rows)
        )  # fmt: skip
        for number, count in enumerate(counts):
            if count != width:
                raise PayloadError(
                    f"row {number + 1} has {count} columns, row 1 has {width}: "
                    f"{brief(str(self.rows[number]))}"
                )

    def blocks(self) -> Iterator[list[str]]:
        """Give the fields of some rows at a time, one after the other."""
        step = max(1, _BLOCK // len(self.head))
        for start in range(0, len(self.rows), step):
            rows = self.rows[start : start + step]
            if self._split:
                yield [field for row in rows for field in row]
            else:
                yield self.delimiter.join(rows).split(self.delimiter)

    def columns(self) -> list[Any]:
        """Give the fields by column."""
        return list(zip(*map(self._fields, self.rows)))  # noqa: B905 - Python 3.8


def _delimiter(text: str, told: str | None, features: Features) -> str:
    """Find what is between the fields of the first line.

    Raises PayloadError where one is `told` that is not supported.
    """
    if told is not None:
        told = {"tab": "\t", "\\t": "\t", "space": " ", "": " "}.get(told.lower(), told)
        if told not in _DELIMITERS:
            raise PayloadError(f"the delimiter {brief(told)!r} is not supported: use , ; | or tab")
        return told
    line = text[: text.find("\n")] if "\n" in text else text
    line = _IN_QUOTES.sub("", line) if '"' in line else line
    between = _DELIMITERS.strip(" ") if features.has_text else _DELIMITERS  # texts have blanks
    there = [one for one in between if one in line]
    for one in there:
        if line.count(one) + 1 == features.width:
            return one
    return there[0] if there else ","


def _plain(text: str, delimiter: str, features: Features, dialect: Dialect) -> _Lines:
    rows: Sequence[str] = text.split("\n")
    if delimiter == " ":
        rows = [row.strip(" ") for row in rows]
    if not all(rows) and not (dialect is Dialect.XGBOOST and features.width == 1):
        rows = [row for row in rows if row]
    if "\n" in text and any(map(str.isspace, rows)) and delimiter != "\t":
        rows = [row for row in rows if not row.isspace()]
    return _Lines(rows, delimiter, split=False)


def _quoted(text: str, delimiter: str) -> _Lines:
    # `1, "a, b"`: a quote after a blank opens a field; elsewhere blanks are of texts, as in pandas
    opened = rf"(?:^|[\r\n{re.escape(delimiter)}]) +\""  # linear, but between blanks
    blanks = delimiter == " " or re.search(opened, text) is not None
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=blanks
    )
    try:
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise PayloadError(f"the body is not CSV: line {reader.line_num}: {error}") from None
    return _Lines(rows, delimiter, split=True)


def _labels(told: str | None, lines: _Lines, features: Features, dialect: Dialect) -> int:
    """Count the label columns before the first feature."""
    if told is None or told == "0":
        return 0
    if told != "1":
        raise PayloadError(f"label_size={brief(told)} is neither 0 nor 1")
    if dialect is Dialect.XGBOOST:
        return int(features.width is not None and len(lines.head) == features.width + 1)
    return 1


def _table(
    lines: _Lines, label: int, names: Sequence[str] | None, features: Features, dialect: Dialect
) -> Table:
    lines.check()
    width = len(lines.head) - label
    one_a_line = dialect is Dialect.SKLEARN and not label
    if names is None and not (one_a_line and width == 1):
        columns.check_width(width, features)
    if not features.categorical:
        array = _numbers(lines)
        if array is not None:
            array = array[:, label:]
            if one_a_line and _is_one_row(array, features):
                array = array.reshape(1, -1)
            return columns.numbers(array, features, names)
    table = columns.mixed(
        [[field or None for field in one] for one in lines.columns()[label:]],
        len(lines.rows), features, names,
    )  # fmt: skip
    return dataclasses.replace(table, untyped=True)


def _is_one_row(array: Any, features: Features) -> bool:
    """Whether a row came one value a line, which the scikit-learn container takes."""
    return bool(array.shape == (features.width, 1) and len(array) > 1)


def _numbers(lines: _Lines) -> Any | None:
    """Convert all fields to an array of (rows, fields); None where one is not a number."""
    width = len(lines.head)
    made: Any = np.empty(len(lines.rows) * width, NUMBER)
    start = 0
    for fields in lines.blocks():
        together = "".join(fields)
        if "_" in together or not together.isascii():
            return None  # Python would read 1_000, and digits of other scripts
        try:
            made[start : start + len(fields)] = _converted(fields)
        except ValueError:
            return None
        start += len(fields)
    return made.reshape(-1, width)


def _converted(fields: list[str]) -> Any:
    try:
        return _floats(fields)
    except ValueError:
        return _floats([field if field.strip() else "nan" for field in fields])


def _floats(fields: list[str]) -> Any:
    return np.fromiter(map(float, fields), NUMBER, len(fields))

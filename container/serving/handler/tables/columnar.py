"""Parquet and Arrow to tables, where the image has pyarrow; it is imported by the first of them."""

from __future__ import annotations

import importlib.util
import re
from typing import Any

import numpy as np

from serving.handler.payloads import PayloadError, brief
from serving.handler.tables import columns, headers
from serving.handler.tables.values import NUMBER, Features, Table

_MISSING = (
    "{} needs pyarrow, which this image does not have: send text/csv, or list pyarrow in the "
    "requirements of the image"
)
_INDEX = re.compile(r"__index_level_\d+__")  # what pandas adds to keep its own row numbers


def read_parquet(body: bytes, features: Features) -> Table:
    """Read Parquet, columns by name where the model has names. Raises PayloadError."""
    arrow = _pyarrow("Parquet")
    from pyarrow import parquet

    def read() -> Any:
        file = parquet.ParquetFile(arrow.BufferReader(body), memory_map=False)
        columns.bounded(file.metadata.num_rows, file.metadata.num_columns)
        for one in file.schema_arrow:
            if arrow.types.is_nested(one.type):  # not to be read as text, nor into memory
                raise _no_values(one.name, one.type)
        text = [one.name for one in file.schema_arrow if not _is_number(arrow, one.type)]
        file = parquet.ParquetFile(arrow.BufferReader(body), read_dictionary=text)
        return file.read(use_threads=False)

    return _table(_attempt(arrow, read, "Parquet"), features)


def read_arrow(body: bytes, features: Features) -> Table:
    """Read Arrow's stream or file format. Raises PayloadError."""
    arrow = _pyarrow("Arrow")
    from pyarrow import ipc

    def read() -> Any:
        options = ipc.IpcReadOptions(use_threads=False)
        opened = ipc.open_file if body.startswith(b"ARROW1") else ipc.open_stream
        return opened(arrow.BufferReader(body), options=options).read_all()

    return _table(_attempt(arrow, read, "Arrow"), features)


def _pyarrow(what: str) -> Any:
    if importlib.util.find_spec("pyarrow") is None:
        raise PayloadError(_MISSING.format(what), 415)
    import pyarrow as pa

    return pa


def _attempt(arrow: Any, read: Any, what: str) -> Any:
    try:
        table = read()
        table.validate(full=True)
    except arrow.ArrowMemoryError:
        raise MemoryError(f"no room to read {what}") from None
    except (arrow.ArrowException, OSError) as error:
        raise PayloadError(f"the body is not {what}: {brief(str(error))}") from None
    return table


def _is_number(arrow: Any, kind: Any) -> bool:
    types = arrow.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _table(table: Any, features: Features) -> Table:
    arrow = _pyarrow("Arrow")
    names = [name for name in table.column_names if not _INDEX.fullmatch(name)]
    columns.bounded(table.num_rows, len(names))
    if len(set(names)) != len(names):
        raise PayloadError("a column comes twice")
    held = [table.column(name) for name in names]
    sent = headers.called(names, features)
    if features.categorical or not all(_is_number(arrow, one.type) for one in held):
        return columns.mixed([_values(one, name) for one, name in zip(held, names)],  # noqa: B905
                             table.num_rows, features, sent)  # fmt: skip
    if not held:
        raise PayloadError("the payload has no columns")
    made = np.stack([one.cast(arrow.float64(), safe=False).to_numpy() for one in held], 1)
    return columns.numbers(made.astype(NUMBER), features, sent)


def _values(column: Any, name: str) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if any(not isinstance(one, (bool, int, float, str, type(None))) for one in values):
        raise _no_values(name, column.type)
    return values


def _no_values(name: str, kind: Any) -> PayloadError:
    return PayloadError(f"the column {brief(name)!r} is of type {kind}: send numbers or text")

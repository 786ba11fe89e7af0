"""SageMaker's recordio-protobuf to tables: frames, and of Protocol Buffers what a Record needs.

A frame is a magic number, the length of its record (both uint32) and the record, filled up to four
bytes. Of a record this reads ``map<string, Value> features = 1``; a value is a tensor of float32
(2), float64 (3) or int32 (7), with ``values = 1, keys = 2, shape = 3``; with keys it is sparse.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from serving.handler.payloads import PayloadError
from serving.handler.tables import columns, sparse
from serving.handler.tables.values import NUMBER, Dialect, Features, Table

MAGIC = struct.pack("<I", 0xCED7230A)
_TYPES = {2: np.dtype("<f4"), 3: np.dtype("<f8"), 7: np.dtype("<i4")}  # by field of Value
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # wire types
_FEATURES = b"values"  # under this name all of SageMaker's tools keep a row


class _WireError(Exception):
    """The bytes are no message."""


class _Row(NamedTuple):
    """The features of one record: its values, their columns where it is sparse, and its width."""

    values: Any
    keys: Any | None
    width: int


def read(body: bytes, features: Features, dialect: Dialect) -> Table:
    """Read one row a record; labels are left out. Raises PayloadError."""
    rows = []
    for number, record in enumerate(_frames(body)):
        try:
            rows.append(_row(record))
        except _WireError as error:
            raise PayloadError(f"record {number + 1}: {error}") from None
    if not rows:
        raise PayloadError("the payload has no records")
    if any(row.keys is not None for row in rows):
        return _sparse(rows, features, dialect)
    for number, row in enumerate(rows):
        if row.width != rows[0].width:
            raise PayloadError(
                f"row {number + 1} has {row.width} columns, row 1 has {rows[0].width}"
            )
    columns.check_width(rows[0].width, features)
    return columns.numbers(np.stack([row.values for row in rows]).astype(NUMBER), features)


def _sparse(rows: list[_Row], features: Features, dialect: Dialect) -> Table:
    dense = np.arange(max(row.width for row in rows))
    keys = [dense[: row.width] if row.keys is None else row.keys for row in rows]
    number: Any = np.repeat(np.arange(len(rows)), [len(one) for one in keys])
    shape = (len(rows), len(dense))
    values = np.concatenate([row.values.astype(NUMBER) for row in rows])
    return sparse.table(number, np.concatenate(keys), values, shape, features, dialect)


def _frames(body: bytes) -> Iterator[memoryview]:
    view, at, number = memoryview(body), 0, 1
    while at < len(view):
        if view[at : at + 4] != MAGIC or len(view) < at + 8:
            raise PayloadError(f"record {number} does not begin as one")
        (length,) = struct.unpack_from("<I", view, at + 4)
        at += 8
        if length > len(view) - at:
            raise PayloadError(f"record {number} of {length} bytes ends early")
        yield view[at : at + length]
        at += length + -length % 4
        number += 1


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """Read a number; it and where the next field begins."""
    made = shift = 0
    while True:
        if at >= len(view) or shift > 63:
            raise _WireError("a number is damaged")
        byte = view[at]
        made |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return made, at
        shift += 7


def _fields(view: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Give the fields of a message: number, wire type, value (an int, or its bytes)."""
    at = 0
    while at < len(view):
        tag, at = _varint(view, at)
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(view, at)
            yield field, wire, value
            continue
        if wire == _BYTES:
            size, at = _varint(view, at)
        elif wire in (_EIGHT, _FOUR):
            size = 8 if wire == _EIGHT else 4
        else:
            raise _WireError("a field is damaged")
        if size > len(view) - at:
            raise _WireError("a field ends early")
        yield field, wire, view[at : at + size]
        at += size


def _parts(view: memoryview, wanted: int) -> Iterator[memoryview]:
    """Give the messages or strings of a field."""
    for field, wire, value in _fields(view):
        if field == wanted:
            if wire != _BYTES:
                raise _WireError("a field is of another type")
            yield value


def _row(record: memoryview) -> _Row:
    found = None
    for entry in _parts(record, 1):
        if b"".join(_parts(entry, 1)) == _FEATURES:
            found = b"".join(_parts(entry, 2))  # parts of one message are one
    if found is None:
        raise _WireError("it has no features 'values'")
    kind, tensor = 0, b""
    for field, wire, value in _fields(memoryview(found)):
        if wire == _BYTES and field in _TYPES:
            tensor = tensor + bytes(value) if field == kind else bytes(value)
            kind = field
    if not kind:
        raise _WireError("its features are not a tensor of float32, float64 or int32")
    return _tensor(memoryview(tensor), _TYPES[kind])


def _tensor(view: memoryview, dtype: Any) -> _Row:
    parts: dict[int, list[Any]] = {1: [], 2: [], 3: []}
    for field, wire, value in _fields(view):
        if field == 1 and dtype.kind == "f":
            parts[1].append(_floats(value, wire, dtype))
        elif field in parts:
            parts[field].append(_whole(value, wire))
    none: list[Any] = [np.empty(0, np.int64)]
    values, keys, shape = (np.concatenate(held or none) for held in parts.values())
    if dtype.kind == "i":
        values = values.astype(np.int32)  # negative ones have the upper bits set
    if (keys < 0).any() or (shape < 0).any():
        raise _WireError("an index is larger than the format allows")
    return _checked(values, keys, math.prod(shape.tolist()) if len(shape) else None)


def _checked(values: Any, keys: Any, width: int | None) -> _Row:
    if len(keys) or (width and not len(values)):
        if len(keys) != len(values):
            raise _WireError(f"it has {len(values)} values and {len(keys)} keys")
        wanted = width or int(keys.max()) + 1
        if len(keys) and keys.max() >= wanted:
            raise _WireError(f"the key {keys.max()} is beyond the shape of {wanted}")
        return _Row(values, keys, _bounded(wanted))
    if width is not None and width != len(values):
        raise _WireError(f"it has {len(values)} values, its shape says {width}")
    return _Row(values, None, len(values))


def _bounded(width: int) -> int:
    columns.bounded(1, width)
    return width


def _floats(value: Any, wire: int, dtype: Any) -> Any:
    if wire == _VARINT or len(value) % dtype.itemsize:
        raise _WireError("its values are damaged")
    return np.frombuffer(value, dtype)


def _whole(value: Any, wire: int) -> Any:
    """Decode one number, or packed ones, as int64."""
    if wire == _VARINT:
        return np.array([value & (2**64 - 1)], np.uint64).astype(np.int64)
    if wire != _BYTES:
        raise _WireError("a number is damaged")
    held = np.frombuffer(value, np.uint8)
    if bytes(value).isascii():
        return held.astype(np.int64)
    ends = np.flatnonzero(held < 0x80)
    if not len(ends) or ends[-1] != len(held) - 1:
        raise _WireError("a number is damaged")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 10:
        raise _WireError("a number is damaged")
    shifts = (np.arange(len(held)) - np.repeat(starts, lengths)).astype(np.uint64) * np.uint64(7)
    return np.add.reduceat((held & 0x7F).astype(np.uint64) << shifts, starts).astype(np.int64)

"""Writers of the formats of tables, by their public definitions, for tests."""

from __future__ import annotations

import io
import json
import struct

import numpy as np


def npy(array, **options) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def npz(*arrays, packed: bool = False, **named) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(stream, *arrays, **named)
    return stream.getvalue()


def varint(number: int) -> bytes:
    made = b""
    while number > 0x7F:
        made += bytes([number & 0x7F | 0x80])
        number >>= 7
    return made + bytes([number])


def field(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def tensor(values, keys=(), shape=(), *, packed: bool = True) -> bytes:
    values = np.asarray(values)
    if values.dtype.kind == "i":
        parts = [varint(int(v) & (2**64 - 1)) for v in values]
        made = field(1, b"".join(parts)) if packed else b"".join(varint(1 << 3) + p for p in parts)
    elif packed:
        made = field(1, values.tobytes())
    else:
        wire = 5 if values.itemsize == 4 else 1
        made = b"".join(varint(1 << 3 | wire) + v.tobytes() for v in values)
    for number, whole in ((2, keys), (3, shape)):
        if len(whole):
            made += field(number, b"".join(map(varint, map(int, whole))))
    return made


def frame(record: bytes) -> bytes:
    return struct.pack("<II", 0xCED7230A, len(record)) + record + b"\0" * (-len(record) % 4)


def record(body: bytes, dtype, *, key: bytes = b"values", map_number: int = 1) -> bytes:
    number = {"f4": 2, "f8": 3, "i4": 7}[np.dtype(dtype).str[1:]]
    return field(map_number, field(1, key) + field(2, field(number, body)))


def recordio(matrix, *, sparse: bool = False, packed: bool = True) -> bytes:
    """Rows as records; `sparse` leaves zeros out."""
    made = b""
    for row in matrix:
        keys = np.flatnonzero(row) if sparse else []
        body = tensor(
            row[keys] if sparse else row, keys, [len(row)] if sparse else [], packed=packed
        )
        made += frame(record(body, row.dtype))
    return made


def libsvm(matrix, first: int = 1, label: str = "") -> bytes:
    """Rows of index:value; zeros are left out, but never all of the first column's."""
    lines = [
        " ".join([label, *(f"{i + first}:{v!r}" for i, v in enumerate(row) if v or not i)]).strip()
        for row in matrix.tolist()
    ]
    return "\n".join(lines).encode()


def csv(matrix, delimiter: str = ",", end: str = "\n") -> bytes:
    text = lambda v: "" if v != v else repr(v)  # noqa: E731 - NaN is an empty field
    return end.join(delimiter.join(map(text, row)) for row in matrix.tolist()).encode()


def json_rows(matrix) -> list:
    return [[None if v != v else v for v in row] for row in matrix.tolist()]


def json_lines(matrix) -> bytes:
    return "\n".join(map(json.dumps, json_rows(matrix))).encode()

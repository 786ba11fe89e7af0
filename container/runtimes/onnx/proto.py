"""Messages of Protocol Buffers, as far as ONNX files need them: read field by field, and written.

The encoding: https://protobuf.dev/programming-guides/encoding/. A reader of one's own knows where
in the file each tensor lies, and passes over what it does not look at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WIDTHS = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT = 10
_MASK = (1 << 64) - 1


class ProtoError(Exception):
    """The bytes are no such message; the text says why."""


class Field(NamedTuple):
    """One field: it begins at `head` with its key, its content is `start` to `end`.

    `value` is that of a VARINT.
    """

    number: int
    wire: int
    head: int
    start: int
    end: int
    value: int


def fields(data: Any, at: int, end: int) -> Iterator[Field]:
    """All fields of the message that lies at `at` to `end` of `data`. Raises ProtoError."""
    while at < end:
        head = at
        key, at = varint(data, at, end)
        number, wire, value = key >> 3, key & 7, 0
        start = at
        if wire == BYTES:
            size, start = varint(data, at, end)
            at = start + size
        elif wire == VARINT:
            value, at = varint(data, at, end)
        elif wire in _WIDTHS:
            at += _WIDTHS[wire]
        else:
            raise ProtoError(f"has a field of the unknown kind {wire} at byte {head:,}")
        if at > end or not number:
            raise ProtoError(f"is damaged or cut short at byte {head:,}")
        yield Field(number, wire, head, start, at, value)


def varint(data: Any, at: int, end: int) -> tuple[int, int]:
    """The number at `at`, and where it ends. Raises ProtoError."""
    value = shift = 0
    for place in range(at, min(end, at + _LONGEST_VARINT)):
        byte = data[place]
        value |= (byte & 127) << shift
        if byte < 128:
            return value & _MASK, place + 1
        shift += 7
    raise ProtoError(f"is damaged or cut short at byte {at:,}")


def signed(value: int) -> int:
    """An int64 of the value of a VARINT."""
    return value - (1 << 64) if value >> 63 else value


def text(data: Any, field: Field) -> str:
    """A field's content as text. Raises ProtoError."""
    try:
        return bytes(data[field.start : field.end]).decode()
    except UnicodeDecodeError:
        raise ProtoError(f"has a text that is not UTF-8 at byte {field.start:,}") from None


def whole_numbers(data: Any, field: Field) -> list[int]:
    """The values of a repeated int64: one, or packed."""
    if field.wire == VARINT:
        return [signed(field.value)]
    made, at = [], field.start
    while at < field.end:
        value, at = varint(data, at, field.end)
        made.append(signed(value))
    return made


def written_varint(value: int) -> bytes:
    """Encode a number."""
    made = bytearray()
    value &= _MASK
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)


def written(number: int, content: bytes | int) -> bytes:
    """Encode a field: a number as VARINT, else BYTES."""
    if isinstance(content, int):
        return written_varint(number << 3) + written_varint(content)
    return head(number, len(content)) + content


def head(number: int, size: int) -> bytes:
    """Encode what comes before `size` bytes of content."""
    return written_varint(number << 3 | BYTES) + written_varint(size)

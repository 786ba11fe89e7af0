"""FlatBuffers, as far as the head of a CatBoost file needs them; pure.

The format: https://flatbuffers.dev/internals/. A damaged buffer is a FlatError, never another.
"""

from __future__ import annotations

import struct

_MOST = 1 << 22  # entries of a vector, bytes of a text


class FlatError(Exception):
    """The bytes are no such buffer; the text says why."""


class Table:
    """A table at a place of a buffer; fields go by their number in the schema."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._fields = at - _read("<i", data, at)
        self._size = _read("<H", data, self._fields)

    @staticmethod
    def root(data: bytes) -> Table:
        """The outermost table."""
        return Table(data, _read("<I", data, 0))

    def _field(self, number: int) -> int | None:
        entry = 4 + 2 * number
        if entry + 2 > self._size:
            return None
        offset = _read("<H", self._data, self._fields + entry)
        return self._at + offset if offset else None

    def _target(self, number: int) -> int | None:
        at = self._field(number)
        return None if at is None else at + _read("<I", self._data, at)

    def integer(self, number: int, default: int) -> int:
        """A field of 32 bits."""
        at = self._field(number)
        return default if at is None else _read("<i", self._data, at)

    def table(self, number: int) -> Table:
        """A table that has to be there."""
        at = self._target(number)
        if at is None:
            raise FlatError("a part of the model is missing")
        return Table(self._data, at)

    def text(self, number: int) -> str:
        """A text; empty where there is none."""
        at = self._target(number)
        return "" if at is None else _text(self._data, at)

    def length(self, number: int) -> int:
        """How many entries a vector has."""
        at = self._target(number)
        return 0 if at is None else _read("<I", self._data, at)

    def tables(self, number: int) -> list[Table]:
        """A vector of tables."""
        at, count = self._target(number), self.length(number)
        if at is None:
            return []
        if count > _MOST:
            raise FlatError(f"a list has {count:,} entries")
        places = range(at + 4, at + 4 + 4 * count, 4)
        return [Table(self._data, place + _read("<I", self._data, place)) for place in places]


def _read(form: str, data: bytes, at: int) -> int:
    if not 0 <= at <= len(data) - struct.calcsize(form):
        raise FlatError(f"it points to byte {at:,} of {len(data):,}")
    return int(struct.unpack_from(form, data, at)[0])


def _text(data: bytes, at: int) -> str:
    count = _read("<I", data, at)
    if count > min(_MOST, len(data) - at - 4):
        raise FlatError(f"a text has {count:,} bytes")
    try:
        return data[at + 4 : at + 4 + count].decode()
    except UnicodeDecodeError as error:
        raise FlatError(f"a text is not UTF-8 ({error.reason})") from None

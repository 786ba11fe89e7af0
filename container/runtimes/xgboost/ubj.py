"""Universal Binary JSON as XGBoost writes it: read without its arrays of numbers; pure.

The format: https://ubjson.org/type-reference/. A damaged file is an UbjError, never another error.
"""

from __future__ import annotations

import struct
from typing import Any

_NUMBERS = {b"i": "b", b"U": "B", b"I": "h", b"l": "i", b"L": "q", b"d": "f", b"D": "d"}
_WORDS = {b"Z": None, b"T": True, b"F": False}
_DEEPEST = 64
_KEPT = 1024  # the longest array of numbers that is read; of a longer one only the length is
_WHOLE = "cats"  # but in the object of that name: the categories of columns


class UbjError(Exception):
    """The bytes are not UBJ; the text says why."""


class Numbers(int):
    """The length of an array of numbers that was skipped."""


def read(data: bytes | bytearray) -> Any:
    """Read a document; long arrays of numbers become their lengths. Raises UbjError."""
    reader = _Reader(data)
    try:
        value = reader.value(reader.take(1), 0)
    except (struct.error, UnicodeDecodeError) as error:
        raise UbjError(f"is damaged at byte {reader.at:,} ({error})") from None
    if bytes(data[reader.at :]).strip(b"\0"):
        raise UbjError(f"has data after its end, at byte {reader.at:,}")
    return value


class _Reader:
    def __init__(self, data: bytes | bytearray) -> None:
        self.data, self.at = memoryview(data), 0
        self.whole = False

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if not 0 <= count <= len(self.data) - self.at:
            raise UbjError(f"ends early: {count:,} bytes more are missing at byte {self.at:,}")
        self.at += count
        return bytes(self.data[self.at - count : self.at])

    def ahead(self) -> bytes:
        """The next byte, which stays."""
        return bytes(self.data[self.at : self.at + 1])

    def skip(self, count: int) -> None:
        if not 0 <= count <= len(self.data) - self.at:
            raise UbjError(f"ends early: {count:,} bytes more are missing at byte {self.at:,}")
        self.at += count

    def value(self, kind: bytes, depth: int) -> Any:
        """A value of that kind, whose marker was read."""
        if depth > _DEEPEST:
            raise UbjError("is nested too deeply")
        if kind in _NUMBERS:
            return self.number(kind)
        if kind in _WORDS:
            return _WORDS[kind]
        if kind == b"S":
            return self.text()
        if kind == b"C":
            return self.take(1).decode("latin-1")
        if kind == b"{":
            return self.object(depth)
        if kind == b"[":
            return self.array(depth)
        raise UbjError(f"has the unknown marker {kind!r} at byte {self.at - 1:,}")

    def number(self, kind: bytes) -> Any:
        form = ">" + _NUMBERS[kind]
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def length(self) -> int:
        kind = self.take(1)
        count = self.number(kind) if kind in _NUMBERS and kind not in b"dD" else -1
        if count < 0:
            raise UbjError(f"has no length at byte {self.at:,}")
        return int(count)

    def text(self) -> str:
        return self.take(self.length()).decode()

    def object(self, depth: int) -> dict[str, Any]:
        """Pairs up to the end mark, or as many as are announced."""
        made: dict[str, Any] = {}
        kind, count = self.announced()
        while count is None or len(made) < count:
            if count is None and self.ahead() == b"}":
                self.at += 1
                break
            name, before, whole = self.text(), len(made), self.whole
            self.whole = whole or name == _WHOLE
            made[name] = self.value(kind or self.take(1), depth + 1)
            self.whole = whole
            if len(made) == before:
                raise UbjError(f"has the key {name[:40]!r} twice")
        return made

    def array(self, depth: int) -> Any:
        kind, count = self.announced()
        if kind in _NUMBERS and count is not None and count > _KEPT and not self.whole:
            self.skip(count * struct.calcsize(">" + _NUMBERS[kind]))
            return Numbers(count)
        made: list[Any] = []
        while count is None or len(made) < count:
            if count is None and self.ahead() == b"]":
                self.at += 1
                break
            made.append(self.value(kind or self.take(1), depth + 1))
        return made

    def announced(self) -> tuple[bytes, int | None]:
        """The kind and the number of what follows, where they are said: ``$kind``, ``#number``."""
        kind, count = b"", None
        if self.ahead() == b"$":
            self.at += 1
            kind = self.take(1)
        if self.ahead() == b"#":
            self.at += 1
            count = self.length()
        if kind and count is None:
            raise UbjError(f"has a typed array without a length at byte {self.at:,}")
        return kind, count

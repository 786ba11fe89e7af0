"""Java's class files, as far as a class is given something more to call: its table of constants."""

from __future__ import annotations

import struct

_COUNT, _TABLE = 8, 10  # where the number of constants and the first of them stand
_TEXT, _CLASS, _METHOD, _NAME_AND_TYPE = 1, 7, 10, 12
_WIDE = (5, 6)  # long and double: these take two numbers
# tag -> bytes after it, of all but texts
_BYTES = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 18: 4}


def with_method(code: bytes, owner: str, name: str, types: str) -> tuple[bytes, int]:
    """Add a method to what the class can name: the changed class, and the method's number.

    `types` is the method's descriptor. Raises ValueError where this is no class file.
    """
    try:
        end = _end(code)
        (count,) = struct.unpack_from(">H", code, _COUNT)
    except (struct.error, IndexError, KeyError) as error:
        raise ValueError("no class file") from error
    added = b"".join(
        [
            *(_text(word) for word in (owner, name, types)),
            struct.pack(">BH", _CLASS, count),
            struct.pack(">BHH", _NAME_AND_TYPE, count + 1, count + 2),
            struct.pack(">BHH", _METHOD, count + 3, count + 4),
        ]
    )
    counted = struct.pack(">H", count + 6)
    return code[:_COUNT] + counted + code[_TABLE:end] + added + code[end:], count + 5


def _text(word: str) -> bytes:
    encoded = word.encode("ascii")
    return struct.pack(">BH", _TEXT, len(encoded)) + encoded


def _end(code: bytes) -> int:
    """Where the table of constants ends."""
    (count,) = struct.unpack_from(">H", code, _COUNT)
    number, at = 1, _TABLE
    while number < count:
        tag = code[at]
        size = 2 + struct.unpack_from(">H", code, at + 1)[0] if tag == _TEXT else _BYTES[tag]
        at += 1 + size
        number += 2 if tag in _WIDE else 1
    return at

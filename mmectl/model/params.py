"""Read and write MXNet `.params` files without MXNet and without loading a tensor.

The form is that of ``NDArray::Save`` and ``NDArray::Load`` (MXNet 1.9.1,
``src/ndarray/ndarray.cc``), little-endian: list magic 0x112 (u64), reserved (u64), count (u64),
the arrays, count of names (u64), each name as length (u64) and bytes. An array is, by its
first u32: V2 (0xF993FAC9) and V3 (0xF993FACA) storage type, shape as u32 rank and i64 sizes,
device type and number, type flag, data; V1 (0xF993FAC8) the same without storage type; else the
legacy form V0, where that u32 is the rank itself and sizes are u32 (the model zoo's files).
"""

from __future__ import annotations

import math
import os
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mmectl.errors import ArtifactError

LIST_MAGIC = 0x112
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
CPU = (1, 0)
MAX_RANK = 32
MAX_NAME = 1024
MOST_ARRAYS = 100_000  # the largest networks have some thousands

# type flag -> name, bytes per element (mshadow/base.h)
TYPES = {
    0: ("float32", 4),
    1: ("float64", 8),
    2: ("float16", 2),
    3: ("uint8", 1),
    4: ("int32", 4),
    5: ("int8", 1),
    6: ("int64", 8),
    7: ("bool", 1),
    8: ("int16", 2),
    9: ("uint16", 2),
    10: ("uint32", 4),
    11: ("uint64", 8),
    12: ("bfloat16", 2),
}


@dataclass(frozen=True, slots=True)
class Array:
    """One tensor of a file: its data are `size` bytes from `offset`; `name` may be empty."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    offset: int
    size: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


class _Reader:
    """Reads fields in order and knows where it stands, for messages that say so."""

    def __init__(self, stream: BinaryIO, size: int, label: str) -> None:
        self.stream, self.size, self.label = stream, size, label
        self.offset = 0

    def fail(self, why: str, offset: int | None = None) -> ArtifactError:
        at = self.offset if offset is None else offset
        return ArtifactError(
            f"{self.label}: not a readable MXNet parameter file: {why} (at byte {at:,})",
            hint="save the model again, or fetch the file again if it was downloaded",
            code="bad_params",
        )

    def sparse(self, offset: int) -> ArtifactError:
        return ArtifactError(
            f"{self.label}: an array is sparse, only dense ones are served (at byte {offset:,})",
            hint="convert them: tostype('default') of each array, and save the model again",
            code="bad_params",
        )

    def left(self) -> int:
        return self.size - self.offset

    def read(self, count: int, what: str) -> bytes:
        data = self.stream.read(count) if count <= self.left() else b""
        if len(data) != count:
            raise self.fail(f"the file ends inside {what}")
        self.offset += count
        return data

    def unpack(self, form: str, what: str) -> tuple[int, ...]:
        return struct.unpack("<" + form, self.read(struct.calcsize("<" + form), what))

    def skip(self, count: int, what: str) -> None:
        if count > self.left():
            raise self.fail(f"{what} declares {count:,} bytes and {self.left():,} are left")
        self.stream.seek(count, os.SEEK_CUR)
        self.offset += count


def _shape(reader: _Reader, rank: int, wide: bool) -> tuple[int, ...]:
    if rank > MAX_RANK:
        raise reader.fail(f"an array declares {rank:,} dimensions")
    sizes = reader.unpack(f"{rank}{'q' if wide else 'I'}", "a shape")
    if any(size < 0 for size in sizes):
        raise reader.fail(f"an array declares the shape {sizes}")
    return sizes


def _header(reader: _Reader) -> tuple[tuple[int, ...], bool]:
    """The shape and whether the array has anything behind it."""
    start = reader.offset
    (magic,) = reader.unpack("I", "an array's header")
    if magic in (V2, V3):
        (storage,) = reader.unpack("i", "a storage type")
        if storage != 0:
            if storage in (1, 2):
                raise reader.sparse(start)
            raise reader.fail(f"an array is stored as type {storage}", start)
    if magic in (V1, V2, V3):
        (rank,) = reader.unpack("i", "a rank")
        if rank < 0:
            return (), False
        return _shape(reader, rank, wide=True), rank > 0 or magic == V3
    if magic > MAX_RANK:
        raise reader.fail(f"no array begins with {magic:#x}", start)
    return _shape(reader, magic, wide=False), magic > 0


def _array(reader: _Reader, number: int) -> Array:
    shape, filled = _header(reader)
    if not filled:
        return Array("", (), "none", reader.offset, 0)
    reader.unpack("ii", "a device")
    (flag,) = reader.unpack("i", "a type flag")
    if flag not in TYPES:
        raise reader.fail(f"array {number} has the unknown type flag {flag}", reader.offset - 4)
    dtype, width = TYPES[flag]
    size, offset = math.prod(shape) * width, reader.offset
    reader.skip(size, f"array {number} of shape {shape}")
    return Array("", shape, dtype, offset, size)


def _names(reader: _Reader, arrays: int) -> list[str]:
    (count,) = reader.unpack("Q", "the number of names")
    if count not in (0, arrays):
        raise reader.fail(f"{count:,} names for {arrays:,} arrays", reader.offset - 8)
    names = []
    for _ in range(count):
        (length,) = reader.unpack("Q", "the length of a name")
        if length > MAX_NAME:
            raise reader.fail(f"a name declares {length:,} bytes", reader.offset - 8)
        try:
            names.append(reader.read(length, "a name").decode())
        except UnicodeDecodeError as error:
            raise reader.fail("a name is not UTF-8", reader.offset - length) from error
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise reader.fail(f"'{twice[0]}' occurs twice")
    return names


def read_stream(stream: BinaryIO, size: int, label: str) -> tuple[Array, ...]:
    """Describe the arrays in `size` bytes of a seekable stream; `label` names it in errors.

    Raises ArtifactError (code ``bad_params``) with the offset of what is wrong.
    """
    reader = _Reader(stream, size, label)
    magic, _, count = reader.unpack("QQQ", "the list header")
    if magic != LIST_MAGIC:
        raise reader.fail(f"it begins with {magic:#x}, not {LIST_MAGIC:#x}", 0)
    if count > size // 4:
        raise reader.fail(f"it declares {count:,} arrays in {size:,} bytes", 16)
    if count > MOST_ARRAYS:
        raise reader.fail(f"it declares {count:,} arrays, at most {MOST_ARRAYS:,}", 16)
    arrays = [_array(reader, number) for number in range(count)]
    names = _names(reader, count)
    if reader.left():
        raise reader.fail(f"{reader.left():,} bytes follow the last name")
    pairs = zip(arrays, names or [""] * count, strict=True)
    return tuple(Array(name, a.shape, a.dtype, a.offset, a.size) for a, name in pairs)


def read(path: Path, label: str | None = None) -> tuple[Array, ...]:
    """Describe the arrays of a file (a few kilobytes are read, whatever its size).

    Raises ArtifactError as `read_stream`; also where the file cannot be opened.
    """
    label = label or str(path)
    try:
        with path.open("rb") as stream:
            return read_stream(stream, path.stat().st_size, label)
    except OSError as error:
        raise ArtifactError(f"{label}: cannot be read: {error.strerror}") from error


def array_header(shape: tuple[int, ...], *, legacy: bool) -> bytes:
    """What stands before the float32 data of an array, in the legacy form or as V2."""
    rank = len(shape)
    if legacy:
        return struct.pack(f"<I{rank}Iiii", rank, *shape, *CPU, 0)
    return struct.pack(f"<Iii{rank}qiii", V2, 0, rank, *shape, *CPU, 0)


def write_header(stream: BinaryIO, count: int) -> None:
    """Begin a file of `count` arrays; each is then its `array_header` and its data."""
    stream.write(struct.pack("<QQQ", LIST_MAGIC, 0, count))


def write_names(stream: BinaryIO, names: Iterable[str]) -> None:
    """End a file with the names of its arrays, in their order."""
    encoded = [name.encode() for name in names]
    stream.write(struct.pack("<Q", len(encoded)))
    for name in encoded:
        stream.write(struct.pack("<Q", len(name)) + name)


def write(
    stream: BinaryIO,
    arrays: Iterable[tuple[str, tuple[int, ...], bytes]],
    *,
    legacy: bool = False,
) -> None:
    """Write float32 arrays as (name, shape, data); data is little-endian, in C order.

    Raises ValueError where data and shape do not agree.
    """
    arrays = list(arrays)
    write_header(stream, len(arrays))
    for name, shape, data in arrays:
        if len(data) != 4 * math.prod(shape):
            raise ValueError(f"{name}: {len(data)} bytes for the shape {shape}")
        stream.write(array_header(shape, legacy=legacy))
        stream.write(data)
    write_names(stream, (name for name, _, _ in arrays))

"""MXNet `.params` files as mmectl sees them: read by the container's own reader, and written.

The form is that of ``NDArray::Save`` and ``NDArray::Load`` (MXNet 1.9.1,
``src/ndarray/ndarray.cc``), little-endian: list magic 0x112 (u64), reserved (u64), count (u64),
the arrays, count of names (u64), each name as length (u64) and bytes. An array is, by its
first u32: V2 (0xF993FAC9) and V3 (0xF993FACA) storage type, shape as u32 rank and i64 sizes,
device type and number, type flag, data; V1 (0xF993FAC8) the same without storage type; else the
legacy form V0, where that u32 is the rank itself and sizes are u32 (the model zoo's files).
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mmectl.base.errors import ArtifactError
from mmectl.frameworks.mxnet.model_files import ModelError, Tensor, read_arrays

LIST_MAGIC = 0x112
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
CPU = (1, 0)

# type flag -> name (mshadow/base.h)
TYPES = {
    0: "float32",
    1: "float64",
    2: "float16",
    3: "uint8",
    4: "int32",
    5: "int8",
    6: "int64",
    7: "bool",
    8: "int16",
    9: "uint16",
    10: "uint32",
    11: "uint64",
    12: "bfloat16",
}


@dataclass(frozen=True, slots=True)
class Array:
    """One tensor of a file: its data are `size` bytes from `offset`; `name` as it stands there."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    offset: int
    size: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def _array(name: str, tensor: Tensor) -> Array:
    dtype = TYPES[tensor.kind] if tensor.size or tensor.shape else "none"
    return Array(name, tensor.shape, dtype, tensor.offset, tensor.size)


def describe(data: bytes | mmap.mmap, label: str) -> tuple[Array, ...]:
    """Describe the arrays of a whole file; `label` names it in errors.

    Raises ArtifactError (code ``bad_params``) with the offset of what is wrong.
    """
    try:
        pairs = read_arrays(data, label)
    except ModelError as error:
        message = str(error).removesuffix(f": {error.fix}")
        raise ArtifactError(message, hint=error.fix, code="bad_params") from error
    return tuple(_array(name, tensor) for name, tensor in pairs)


def read(path: Path, label: str | None = None) -> tuple[Array, ...]:
    """Describe the arrays of a file (a few kilobytes are read, whatever its size).

    Raises ArtifactError as `describe`; also where the file cannot be opened.
    """
    label = label or str(path)
    try:
        with path.open("rb") as stream:
            if not path.stat().st_size:
                return describe(b"", label)
            return describe(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), label)
    except OSError as error:
        raise ArtifactError(
            f"{label}: cannot be read: {error.strerror}", code="unreadable_file"
        ) from error


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

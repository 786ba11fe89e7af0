"""The checksums of S3: compute while streaming, combine over parts; pure.

CRC-32 is native (isal). CRC-32C and CRC-64/NVME have no native code in the base
dependencies: their table loop is run over many lanes at once with `bytes.translate`,
about ten times faster than byte by byte, and the lanes are combined algebraically.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from isal import isal_zlib

from mmectl.local.values import AwsError

PREFIX = "x-amz-checksum-"


class Checksum(Protocol):
    """A running checksum, as hashlib's objects."""

    def update(self, data: bytes, /) -> object:
        """Take in more bytes."""
        ...

    def digest(self) -> bytes:
        """The checksum so far, big endian."""
        ...


class Crc32:
    """CRC-32 (ISO-HDLC), the default of boto3."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes) -> None:
        """Take in more bytes."""
        self._value = isal_zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """Four bytes, big endian."""
        return self._value.to_bytes(4, "big")


class TableCrc:
    """A reflected CRC whose initial and final values are all ones; `size` in bytes."""

    LANES = 1024  # states advanced together
    STEPS = 256  # bytes of one lane

    def __init__(self, polynomial: int, size: int) -> None:
        self._polynomial, self._size = polynomial, size
        self._value = 0

    def update(self, data: bytes) -> None:
        """Take in more bytes."""
        block = self.LANES * self.STEPS
        whole = len(data) - len(data) % block
        for start in range(0, whole, block):
            self._value = self._block(self._value, data[start : start + block])
        self._value = _bytewise(self._polynomial, self._size, self._value, data[whole:])

    def _block(self, value: int, block: bytes) -> int:
        """Advance by one block: each lane is a contiguous piece with its own state."""
        planes = _planes(self._polynomial, self._size)
        full = (1 << 8 * self.LANES) - 1
        state = [full] * self._size  # one big integer for each byte of the states
        for step in range(self.STEPS):
            column = int.from_bytes(block[step :: self.STEPS], "little")
            index = (state[0] ^ column).to_bytes(self.LANES, "little")
            looked = [int.from_bytes(index.translate(plane), "little") for plane in planes]
            state = [a ^ b for a, b in zip([*state[1:], 0], looked, strict=True)]
        rows = [part.to_bytes(self.LANES, "little") for part in state]
        full = (1 << 8 * self._size) - 1
        for lane in zip(*rows, strict=True):
            lane_value = int.from_bytes(bytes(lane), "little") ^ full
            value = _shift(self._polynomial, self._size, value, self.STEPS) ^ lane_value
        return value

    def digest(self) -> bytes:
        """The value, big endian."""
        return self._value.to_bytes(self._size, "big")


@lru_cache(maxsize=8)
def _table(polynomial: int) -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        table.append(value)
    return tuple(table)


@lru_cache(maxsize=8)
def _planes(polynomial: int, size: int) -> tuple[bytes, ...]:
    """The table, taken apart into its bytes, least significant first."""
    table = _table(polynomial)
    return tuple(bytes(value >> 8 * i & 255 for value in table) for i in range(size))


def _bytewise(polynomial: int, size: int, value: int, data: bytes) -> int:
    table, full = _table(polynomial), (1 << 8 * size) - 1
    value ^= full
    for byte in data:
        value = table[(value ^ byte) & 255] ^ (value >> 8)
    return value ^ full


@lru_cache(maxsize=64)
def _zeros(polynomial: int, size: int, length: int) -> tuple[int, ...]:
    """The matrix over GF(2) that appends `length` zero bytes to a CRC of that size."""
    bits = 8 * size
    if length == 1:
        table = _table(polynomial)
        return tuple(table[(1 << i) & 255] ^ (1 << i >> 8) for i in range(bits))
    half = _zeros(polynomial, size, length // 2)
    matrix = tuple(_times(half, row) for row in half)
    if length % 2:
        one = _zeros(polynomial, size, 1)
        matrix = tuple(_times(one, row) for row in matrix)
    return matrix


def _times(matrix: Sequence[int], vector: int) -> int:
    result, row = 0, 0
    while vector:
        if vector & 1:
            result ^= matrix[row]
        vector >>= 1
        row += 1
    return result


def _shift(polynomial: int, size: int, value: int, length: int) -> int:
    return _times(_zeros(polynomial, size, length), value) if length else value


# reflected polynomial and size in bytes
CRCS = {
    "crc32": (0xEDB88320, 4),
    "crc32c": (0x82F63B78, 4),
    "crc64nvme": (0x9A6C9329AC4BC9B5, 8),
}
ABOUT = ("algorithm", "type", "mode")  # headers about checksums, not of one
NAMES = (*CRCS, "sha1", "sha256", "sha512", "md5")


def new(name: str) -> Checksum:
    """A running checksum of that lower-case name; AwsError for one that S3 alone knows."""
    if name == "crc32":
        return Crc32()
    if name in CRCS:
        return TableCrc(*CRCS[name])
    if name in NAMES:
        return hashlib.new(name, usedforsecurity=False)
    raise AwsError("NotImplemented", f"The checksum algorithm {name} is not implemented.", 501)


def encode(digest: bytes) -> str:
    """A checksum as S3 writes it: base64."""
    return base64.b64encode(digest).decode()


def decode(text: str) -> bytes:
    """Read base64; a bad one is an AwsError InvalidRequest."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise AwsError("InvalidRequest", "Value for a checksum header is invalid.") from None


def composite(name: str, parts: Sequence[str]) -> str:
    """The checksum of the parts' checksums, ``<base64>-<count>``."""
    running = new(name)
    for part in parts:
        running.update(decode(part))
    return f"{encode(running.digest())}-{len(parts)}"


def check_combines(name: str) -> None:
    """Refuse a full-object checksum that cannot be had from those of the parts."""
    if name not in CRCS:
        raise AwsError(
            "InvalidRequest",
            f"The FULL_OBJECT checksum type cannot be used with the {name} checksum algorithm.",
        )


def check_type(name: str, kind: str) -> None:
    """Refuse a type that an algorithm does not have; AwsError InvalidRequest."""
    if kind == "FULL_OBJECT":
        check_combines(name)
    elif name == "crc64nvme":
        raise AwsError(
            "InvalidRequest",
            f"The COMPOSITE checksum type cannot be used with the {name} checksum algorithm.",
        )


def full_object(name: str, parts: Sequence[tuple[str, int]]) -> str:
    """The CRC of the whole from those of its parts and their lengths in bytes."""
    check_combines(name)
    polynomial, size = CRCS[name]
    value = 0
    for checksum, length in parts:
        value = _shift(polynomial, size, value, length) ^ int.from_bytes(decode(checksum), "big")
    return encode(value.to_bytes(size, "big"))

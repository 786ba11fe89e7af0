"""Arrays in NumPy's NPY format, read strictly; NumPy itself would evaluate their header as Python.

The format is that of numpy.lib.format: magic, version, the header's length and a dictionary.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any, NamedTuple

import numpy as np

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 1024  # NumPy writes 118 bytes for numbers; blanks between its parts are few then
MOST_AXES = 32
_LENGTHS = {1: "<H", 2: "<I", 3: "<I"}  # by major version
_START = len(MAGIC) + 2
_PAIR = (
    r"(?:'descr'\s*:\s*'[^']{1,20}'|'fortran_order'\s*:\s*(?:True|False)"
    r"|'shape'\s*:\s*\([0-9L, ]{0,700}\))\s*"
)
_HEADER = re.compile(rf"\{{\s*{_PAIR}(?:,\s*{_PAIR}){{2}},?\s*\}}\s*")
_DESCR = re.compile(r"'descr'\s*:\s*'([^']*)'")
_ORDER = re.compile(r"'fortran_order'\s*:\s*(True|False)")
_SHAPE = re.compile(r"'shape'\s*:\s*\(([^)]*)\)")
_AXES = re.compile(r"\s*(?:[0-9]{1,18}L?\s*,\s*)*(?:[0-9]{1,18}L?\s*)?")


class NpyError(Exception):
    """The bytes are no NPY array of numbers; the text says why."""


class Header(NamedTuple):
    """What an NPY file declares; its data begin at `offset`."""

    shape: tuple[int, ...]
    dtype: Any
    fortran: bool
    offset: int


def header(body: bytes) -> Header:
    """Read the header of a file. Raises NpyError."""
    layout = _LENGTHS.get(body[6]) if body.startswith(MAGIC) and len(body) > _START else None
    if layout is None:
        raise NpyError("it does not begin as one")
    start = _START + struct.calcsize(layout)
    if len(body) < start:
        raise NpyError("it ends early")
    (length,) = struct.unpack_from(layout, body, _START)
    if length > min(LONGEST_HEADER, len(body) - start):
        raise NpyError(f"its header of {length} bytes is too long")
    text = bytes(body[start : start + length]).decode("latin-1").replace('"', "'")
    if not _HEADER.fullmatch(text):
        raise NpyError("its header is damaged")
    return Header(*_parsed(text), start + length)


def _parsed(text: str) -> tuple[tuple[int, ...], Any, bool]:
    descr, order, shape = (found.findall(text) for found in (_DESCR, _ORDER, _SHAPE))
    if [len(descr), len(order), len(shape)] != [1, 1, 1] or not _AXES.fullmatch(shape[0]):
        raise NpyError("its header is damaged")
    axes = tuple(int(size.strip(" L")) for size in shape[0].split(",") if size.strip(" L"))
    if len(axes) > MOST_AXES:
        raise NpyError(f"it has {len(axes)} axes, at most {MOST_AXES}")
    try:
        dtype = np.dtype(descr[0])
    except (TypeError, ValueError, SyntaxError):
        raise NpyError(f"it is of the unknown type {descr[0]!r}") from None
    if dtype.kind not in "biuf":
        raise NpyError(f"it is of type {dtype}, not of numbers")
    return axes, dtype, order[0] == "True"


def array(body: bytes, declared: Header) -> Any:
    """The array of a file, a view of its bytes. Raises NpyError where they are not that many."""
    size = math.prod(declared.shape) * declared.dtype.itemsize
    if size != len(body) - declared.offset:
        raise NpyError("its size is not what it declares")
    flat = np.frombuffer(body, declared.dtype, math.prod(declared.shape), declared.offset)
    if declared.fortran:
        return flat.reshape(declared.shape[::-1]).T
    return flat.reshape(declared.shape)

"""Writes a gzip file of one member, in blocks: each compressed, or stored as it is.

Blocks are compressed independently, in threads, and written in their order. A stored block grows
by 5 bytes in each 65,535.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

from isal import isal_zlib

BLOCK = 1 << 20
# method deflate, no flags, no time, no system
_HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
_STORED = 0xFFFF  # bytes at most in one stored block of deflate
_END = b"\x03\x00"  # the last block, an empty one
_WINDOW = 1 << 15


class Sink(Protocol):
    """Where the packed bytes go; `write` is called from one thread."""

    def write(self, data: bytes, /) -> object:
        """Take the next bytes."""
        ...


class GzipWriter(AbstractContextManager["GzipWriter"]):
    """See the module. `written` counts the bytes that the sink was given.

    The bytes do not depend on `threads`; with one, everything is done in the caller's.
    """

    def __init__(self, sink: Sink, *, level: int, threads: int) -> None:
        self.written = 0
        self._sink = sink
        self._level = level
        self._pool = ThreadPoolExecutor(threads, "gzip") if threads > 1 else None
        self._ahead = 2 * threads
        self._making: deque[Future[Sequence[bytes]]] = deque()
        self._gathered = bytearray()
        self._window = b""
        self._crc = self._size = 0
        self._put((_HEADER,))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is left and the trailer; after an error, only let the threads go."""
        try:
            if error is None:
                self._finish()
        finally:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)

    def compress(self, data: bytes) -> None:
        """Take the next bytes, to be compressed; `BLOCK` at most."""
        if len(self._gathered) + len(data) > BLOCK:
            self._flush()
        if len(data) >= BLOCK:
            self._compress(data)
        else:
            self._gathered += data

    def store(self, data: bytes) -> None:
        """Take the next bytes, to be stored as they are."""
        self._flush()
        self._make(data, lambda: (stored(data),))

    def _flush(self) -> None:
        if self._gathered:
            block = bytes(self._gathered)
            self._gathered.clear()
            self._compress(block)

    def _compress(self, block: bytes) -> None:
        window = self._window
        self._make(block, lambda: compressed(block, self._level, window))

    def _make(self, plain: bytes, work: Callable[[], Sequence[bytes]]) -> None:
        self._crc = isal_zlib.crc32(plain, self._crc)
        self._size += len(plain)
        self._window = plain[-_WINDOW:]
        if self._pool is None:
            self._put(work())
            return
        self._making.append(self._pool.submit(work))
        while len(self._making) > self._ahead:
            self._put(self._making.popleft().result())

    def _finish(self) -> None:
        self._flush()
        while self._making:
            self._put(self._making.popleft().result())
        self._put((_END, struct.pack("<II", self._crc, self._size & 0xFFFFFFFF)))

    def _put(self, pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            self._sink.write(piece)
            self.written += len(piece)


def compressed(block: bytes, level: int, window: bytes) -> tuple[bytes, bytes]:
    """Blocks of deflate that end at a whole byte; `window` are plain bytes that went before."""
    packer = (
        isal_zlib.compressobj(level, isal_zlib.DEFLATED, -15, zdict=window)
        if window
        else isal_zlib.compressobj(level, isal_zlib.DEFLATED, -15)
    )
    return packer.compress(block), packer.flush(isal_zlib.Z_SYNC_FLUSH)


def stored(data: bytes) -> bytes:
    """Stored blocks of deflate."""
    view = memoryview(data)
    pieces: list[bytes | memoryview] = []
    for at in range(0, len(data), _STORED):
        piece = view[at : at + _STORED]
        pieces += [struct.pack("<BHH", 0, len(piece), len(piece) ^ 0xFFFF), piece]
    return b"".join(pieces)

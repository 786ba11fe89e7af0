"""The entries of a tar stream: names, kinds and sizes, read within bounds; nothing is written.

Reads what GNU tar, bsdtar and Python's tarfile write: old, ustar, GNU (long names) and pax
archives. tarfile itself would follow hostile ones anywhere: extended headers without end, maps of
sparse files, a name for each of a thousand headers. Everything that is odd is an UntarError here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

BLOCK = 512
# Names and extended headers are read whole into memory; real ones take some hundred bytes, a list
# of extended attributes some thousand
LONGEST_HEADER = 1 << 16
MOST_HEADER_BYTES = 1 << 24
MOST_RECORDS = 200
MOST_IN_A_ROW = 8

_ZEROS = bytes(BLOCK)
_OCTAL = re.compile(rb" *([0-7]*) *")
_DECIMAL = re.compile(rb"[0-9]{1,20}")
_LENGTH = re.compile(rb"([0-9]{1,7}) ")
_LONG_NAME, _LONG_LINK, _SHARED = b"L", b"K", b"g"
_OWN = (b"x", b"X")  # pax, and Solaris before it


class Kind(Enum):
    """What an entry is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    SPARSE = "sparse"
    OTHER = "other"


_KINDS = {
    **dict.fromkeys((b"0", b"\0", b"7"), Kind.FILE),
    b"5": Kind.FOLDER,
    **dict.fromkeys((b"1", b"2"), Kind.LINK),
    b"S": Kind.SPARSE,
}


class UntarError(Exception):
    """The stream is not a sound tar file; `member` names the entry, or is None for the whole."""

    def __init__(self, reason: str, member: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.member = member


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; `size` in bytes, 0 for what is not a file."""

    name: str
    kind: Kind
    size: int


@dataclass(frozen=True, slots=True)
class _Header:
    """What one block says; `name` as bytes, `size` of the data behind it."""

    name: bytes
    kind: bytes
    size: int


class Untar:
    """Iterate over the entries of a stream; `data` gives the bytes of the file just yielded.

    `chunks` is the stream in pieces of any size. Raises UntarError.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._stream = _Stream(chunks)
        self._shared: dict[bytes, bytes] = {}
        self._budget = MOST_HEADER_BYTES
        self._size = 0

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self._next()) is not None:
            self._size = entry.size
            yield entry
            if self._size:
                raise RuntimeError(f"the data of {entry.name!r} were not read")
        if not self._stream.only_zeros():
            raise UntarError("the archive has other data after its end")

    def data(self) -> Iterator[memoryview]:
        """The bytes of the file that was yielded last; every file's must be read."""
        size, self._size = self._size, 0
        yield from self._stream.pieces(size)
        self._stream.skip(-size % BLOCK)

    def _next(self) -> Entry | None:
        own: dict[bytes, bytes] = {}
        for _ in range(MOST_IN_A_ROW + 1):
            header = self._header()
            if header is None:
                if own:
                    raise UntarError("it ends after an extended header")
                return None
            if header.kind == _SHARED:
                self._shared |= _records(self._extension(header))
            elif header.kind in _OWN:
                own = {**_records(self._extension(header)), **own}
            elif header.kind == _LONG_NAME:
                own.setdefault(b"path", self._extension(header).partition(b"\0")[0])
            elif header.kind == _LONG_LINK:
                self._extension(header)
            else:
                return _entry(header, {**self._shared, **own})
        raise UntarError(f"it has more than {MOST_IN_A_ROW} extended headers in a row")

    def _header(self) -> _Header | None:
        at = self._stream.offset
        block = self._stream.block()
        if block is None or block == _ZEROS:
            if at == 0:
                raise UntarError("it is empty")
            return None
        return _parse(block, at)

    def _extension(self, header: _Header) -> bytes:
        if header.size > LONGEST_HEADER:
            raise UntarError(f"it has an extended header of {header.size} bytes")
        self._budget -= header.size
        if self._budget < 0:
            raise UntarError(f"it has more than {MOST_HEADER_BYTES} bytes of extended headers")
        data = b"".join(self._stream.pieces(header.size))
        self._stream.skip(-header.size % BLOCK)
        return data


class _Stream:
    """Chunks of any size as pieces of the sizes that are asked for."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self.offset = 0

    def _more(self) -> bool:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._rest = memoryview(chunk)
        return True

    def pieces(self, size: int) -> Iterator[memoryview]:
        while size:
            if not self._more():
                raise UntarError(f"it ends too early, after {self.offset} bytes")
            piece, self._rest = self._rest[:size], self._rest[size:]
            size -= len(piece)
            self.offset += len(piece)
            yield piece

    def skip(self, size: int) -> None:
        for _ in self.pieces(size):
            pass

    def block(self) -> bytes | None:
        """The next block, or None at the end of the stream."""
        return b"".join(self.pieces(BLOCK)) if self._more() else None

    def only_zeros(self) -> bool:
        """Read the rest: whether it is padding."""
        while self._more():
            if bytes(self._rest).strip(b"\0"):
                return False
            self._rest = memoryview(b"")
        return True


def _parse(block: bytes, at: int) -> _Header:
    """Read a header block, which stands `at` that byte of the stream."""
    if not _sound(block):
        what = "it is another kind of file" if at == 0 else f"a header is damaged, at byte {at}"
        raise UntarError(what)
    size = _number(block[124:136])
    name = _field(block[:100])
    if size is None or size < 0:
        raise UntarError("has a size that is not a number of bytes", _shown(name))
    # only ustar has it: the older format of GNU has times there
    prefix = _field(block[345:500]) if block[257:263] == b"ustar\0" else b""
    return _Header(prefix + b"/" + name if prefix else name, block[156:157], size)


def _sound(block: bytes) -> bool:
    told = _number(block[148:156])
    blank = block[:148] + b" " * 8 + block[156:]
    # some old programs summed signed bytes
    return told == sum(blank) or told == sum(b - 256 if b > 127 else b for b in blank)


def _field(data: bytes) -> bytes:
    return data.partition(b"\0")[0]


def _number(data: bytes) -> int | None:
    """A number in octal digits, or in base 256 (GNU's, for large ones); None for neither."""
    if data[0] in (0x80, 0xFF):
        return int.from_bytes(data[1:], "big") - (1 << 8 * len(data[1:]) if data[0] == 0xFF else 0)
    digits = _OCTAL.fullmatch(_field(data))
    return int(digits[1] or b"0", 8) if digits else None


def _records(data: bytes) -> dict[bytes, bytes]:
    """The records of a pax header: each ``LENGTH KEY=VALUE`` and a line feed."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data) and data[at]:
        length = _LENGTH.match(data, at)
        end = at + int(length[1]) if length else at
        if length is None or not length.end() < end <= len(data) or data[end - 1] != ord("\n"):
            raise UntarError("it has an extended header that is damaged")
        key, equals, value = data[length.end() : end - 1].partition(b"=")
        if not equals:
            raise UntarError("it has an extended header that is damaged")
        found[key] = value
        if len(found) > MOST_RECORDS:
            raise UntarError(f"it has an extended header of more than {MOST_RECORDS} records")
        at = end
    return found


def _entry(header: _Header, more: dict[bytes, bytes]) -> Entry:
    raw = more.get(b"path", header.name)
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        raise UntarError("has a name that is not UTF-8", _shown(raw)) from None
    kind = _KINDS.get(header.kind, Kind.OTHER)
    if any(key.startswith(b"GNU.sparse.") for key in more):
        kind = Kind.SPARSE
    if header.kind == b"\0" and name.endswith("/"):  # before there were kinds
        kind = Kind.FOLDER
    if kind is not Kind.FILE:
        return Entry(name, kind, 0)
    return Entry(name, kind, _size(more[b"size"], name) if b"size" in more else header.size)


def _size(value: bytes, name: str) -> int:
    if not _DECIMAL.fullmatch(value):
        raise UntarError("has a size that is not a number of bytes", name)
    return int(value)


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")

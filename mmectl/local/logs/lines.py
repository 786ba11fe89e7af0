"""Lines of a container's log and places between them, read in blocks, never a whole file.

A log is ``<name>.log`` with what came before it in ``<name>.log.1``; each line is
``<epoch milliseconds> <text>``. A place names the file by its inode, so it stays valid when the
file is renamed by rotation.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

BLOCK = 64 << 10
LINE_LIMIT = 256 << 10
"""Bytes after which a line is cut in two."""

SLACK = 60_000
"""Milliseconds by which lines may be out of order."""

_DATED = re.compile(rb"(\d{12,14}) (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """A byte offset between two lines of the file with that inode."""

    inode: int
    offset: int

    def __str__(self) -> str:
        return f"{self.inode}-{self.offset}"


def place(text: str) -> Place | None:
    """The place written as ``inode-offset``, or None."""
    match = re.fullmatch(r"(\d{1,20})-(\d{1,20})", text)
    return Place(int(match[1]), int(match[2])) if match else None


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `time` in epoch milliseconds, the places before and after it."""

    time: int
    text: str
    start: Place
    end: Place


@dataclass(frozen=True, slots=True)
class _Part:
    """One file of a log, as large as it was when we looked."""

    path: Path
    inode: int
    size: int
    time: int


def _parts(path: Path) -> list[_Part]:
    """The files of a log, oldest first; each inode once."""
    parts: dict[int, _Part] = {}
    for file in (path.with_name(f"{path.name}.1"), path):
        try:
            stat = file.stat()
        except OSError:
            continue
        parts[stat.st_ino] = _Part(file, stat.st_ino, stat.st_size, stat.st_mtime_ns // 1_000_000)
    return list(parts.values())


def size(path: Path) -> int:
    """Bytes of a log, what was rotated away included."""
    return sum(part.size for part in _parts(path))


def start(path: Path) -> Place:
    """The place before the first line."""
    parts = _parts(path)
    return Place(parts[0].inode, 0) if parts else Place(0, 0)


def end(path: Path) -> Place:
    """The place after the last line."""
    parts = _parts(path)
    return Place(parts[-1].inode, parts[-1].size) if parts else Place(0, 0)


def forward(path: Path, since: Place | None = None) -> Iterator[Line]:
    """Lines from a place on, oldest first; from the beginning if that place is gone."""
    parts = _parts(path)
    first = next((n for n, part in enumerate(parts) if since and part.inode == since.inode), None)
    for number, part in enumerate(parts[first or 0 :]):
        offset = since.offset if since and first is not None and number == 0 else 0
        cut_off = offset > part.size  # as platform.log is when it is full
        yield from _read(part, 0 if cut_off else offset, part.size)


def backward(path: Path, until: Place | None = None) -> Iterator[Line]:
    """Lines before a place, newest first; nothing if that place is gone."""
    parts = _parts(path)
    if until is not None:
        last = next((n for n, part in enumerate(parts) if part.inode == until.inode), -1)
        parts = parts[: last + 1]
    for number, part in enumerate(reversed(parts)):
        stop = min(until.offset, part.size) if until and number == 0 else part.size
        while stop > 0:
            start = _line_start(part, stop)
            lines = list(_read(part, start, stop))
            yield from reversed(lines)
            stop = start if lines else 0


def after(path: Path, time: int) -> Place:
    """A place before every line of that millisecond and later, found without reading it all.

    A clock that was set back by more than `SLACK` may hide lines.
    """
    parts = _parts(path)
    for part in parts[:-1]:
        if _last_time(part) >= time - SLACK:
            return Place(part.inode, _before(part, time - SLACK))
    return Place(parts[-1].inode, _before(parts[-1], time - SLACK)) if parts else Place(0, 0)


def _last_time(part: _Part) -> int:
    lines = _read(part, _line_start(part, part.size), part.size)
    return max((line.time for line in lines), default=0)


def _before(part: _Part, time: int) -> int:
    """The start of some line before that time, as late as bisection in blocks finds it."""
    low, high = 0, part.size
    while high - low > 4 * BLOCK:
        middle = (low + high) // 2
        begin = _line_start(part, middle)
        line = next(_read(part, begin, part.size), None)
        if line is not None and line.time < time:
            low = max(low, begin)
        else:
            high = middle
    return low


def last_time(path: Path) -> int | None:
    """The time of the last line."""
    return next((line.time for line in backward(path)), None)


def first_time(path: Path) -> int | None:
    """The time of the first line."""
    return next((line.time for line in islice(forward(path), 1)), None)


def _line_start(part: _Part, stop: int) -> int:
    """The start of a line about a block before `stop`."""
    with _open(part) as file:
        start = max(0, stop - BLOCK)
        while start > 0:
            file.seek(start - 1)
            block = file.read(stop - start)
            newline = block.find(b"\n")
            if newline >= 0:
                return start + newline
            if stop - start >= LINE_LIMIT:
                return start
            start = max(0, start - BLOCK)
    return 0


def _read(part: _Part, start: int, stop: int) -> Iterator[Line]:
    """The lines between two offsets; undated ones get the time of the file's last change."""
    with _open(part) as file:
        file.seek(start)
        while start < stop and (raw := file.readline(min(LINE_LIMIT, stop - start))):
            after = start + len(raw)
            dated = _DATED.match(raw)
            text = (dated[2] if dated else raw).decode("utf-8", "replace").rstrip("\r\n")
            time = int(dated[1]) if dated else part.time
            yield Line(time, text, Place(part.inode, start), Place(part.inode, after))
            start = after


def _open(part: _Part) -> BinaryIO:
    """The file of a part, also when it has been renamed since; empty when it is gone."""
    for path in (part.path, part.path.with_name(f"{part.path.name}.1")):
        try:
            file = path.open("rb")
        except OSError:
            continue
        if os.fstat(file.fileno()).st_ino == part.inode:
            return file
        file.close()
    return io.BytesIO()

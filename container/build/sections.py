"""Take a section that is never read out of a shared library: its bytes become a hole.

`.nv_fatbin`, the programs for GPUs of a library that runs on CPUs, is most of some files. It lies
amid what is loaded, so strip and objcopy leave it. Here the segment is split in two: no address
changes, and what was between them reads as zeros that take neither disk nor memory. The table of
sections, which no loader reads, and the symbols for debuggers behind all that is loaded go, too; a
section among those (`.symtab`) means them alone.

The new segment takes the place of PT_PHDR, which a library does not need. A file of another form
is left as it is.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, NamedTuple, Sequence  # Python 3.8 has no others

PAGE = 0x1000  # of amd64; segments of wheels for larger ones are aligned to those: p_align
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_LOAD, _PHDR = 1, 6


class Segment(NamedTuple):
    """One program header of ELF64."""

    type: int
    flags: int
    offset: int
    address: int
    physical: int
    in_file: int
    in_memory: int
    align: int


class Hole(NamedTuple):
    """Pages of a file that go; `after` is where the bytes of the next segment then begin."""

    start: int
    end: int


def without(data: bytes, section: str) -> bytes | None:
    """The library without that section; None where it has none, or is of another form."""
    if data[:6] != b"\x7fELF\x02\x01":
        return None
    header = _HEADER.unpack_from(data)
    place = header[5]
    segments = [Segment(*one) for one in _table(data, _SEGMENT, place, header[10])]
    found = _find(data, header, section)
    if found is None or not segments:
        return None
    start, end = found
    last = max(one.offset + one.in_file for one in segments if one.type == _LOAD)
    headers_end = place + len(segments) * _SEGMENT.size
    if start >= last and headers_end <= last:
        return bytes(_headless(data[:last], header))
    around = [one for one in segments if one.type == _LOAD and _holds(one, start, end)]
    if segments[0].type != _PHDR or len(around) != 1:
        return None
    if around[0].in_file != around[0].in_memory:
        return None
    hole = _hole(start, end, max(around[0].align, PAGE))
    if not headers_end <= hole.start < hole.end or not _first_load(segments, around[0]):
        return None
    made = list(_split(segments, around[0], hole))
    kept = _headless(data[: hole.start] + data[hole.end : last], header)
    for number, one in enumerate(made):
        _SEGMENT.pack_into(kept, place + number * _SEGMENT.size, *one)
    return bytes(kept)


def _headless(data: bytes, header: Sequence[Any]) -> bytearray:
    """A library without the table of its sections."""
    kept = bytearray(data)
    kept[: _HEADER.size] = _HEADER.pack(*header[:6], 0, *header[7:11], 0, 0, 0)
    return kept


def _table(data: bytes, form: struct.Struct, place: int, count: int) -> list[tuple[Any, ...]]:
    """The entries of a table of headers; none where the file does not hold all of it."""
    if not place or len(data) < place + count * form.size:
        return []
    return [form.unpack_from(data, place + n * form.size) for n in range(count)]


def _find(data: bytes, header: Sequence[Any], wanted: str) -> tuple[int, int] | None:
    """Where a section's bytes begin and end in the file."""
    sections, names = _table(data, _SECTION, header[6], header[12]), header[13]
    if names >= len(sections):
        return None
    texts = sections[names][4]
    for one in sections:
        begin = texts + one[0]
        if data[begin : data.index(b"\0", begin)] == wanted.encode():
            return one[4], one[4] + one[5]
    return None


def _holds(segment: Segment, start: int, end: int) -> bool:
    return segment.offset <= start and end <= segment.offset + segment.in_file


def _hole(start: int, end: int, page: int) -> Hole:
    """The whole pages between: what lies beside them stays where it is."""
    return Hole(-(-start // page) * page, end // page * page)


def _first_load(segments: list[Segment], one: Segment) -> bool:
    """Whether it is the first that is loaded: its second half then may stand in PT_PHDR's place."""
    loads = [other for other in segments if other.type == _LOAD]
    return loads[0] is one and segments[1] is one


def _split(segments: list[Segment], around: Segment, hole: Hole) -> list[Segment]:
    """The headers after it: two segments for the one, all that comes later moved to the front."""
    lost = hole.end - hole.start
    distance = around.address - around.offset
    head = around._replace(in_file=hole.start - around.offset, in_memory=hole.end - around.offset)
    tail = around._replace(
        offset=hole.start,
        address=hole.end + distance,
        physical=hole.end + distance,
        in_file=around.offset + around.in_file - hole.end,
        in_memory=around.offset + around.in_file - hole.end,
    )
    others = [
        one._replace(offset=one.offset - lost) if one.offset >= hole.end else one
        for one in segments[2:]
    ]
    return [head, tail, *others]


def remove(path: Path, section: str) -> int:
    """Take a section out of a file in place; returns how many bytes smaller it is."""
    before = path.read_bytes()
    after = without(before, section)
    if after is None:
        return 0
    path.write_bytes(after)
    return len(before) - len(after)

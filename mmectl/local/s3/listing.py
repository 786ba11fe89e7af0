"""Listing with prefix, delimiter and paging, over any ordered scan; pure.

A page costs in proportion to what it shows: a common prefix is skipped by seeking past it,
however many keys it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mmectl.local.s3.index import Entry, blob, text

# start (inclusive), end (exclusive, None for open), limit -> entries in order
PREFIX_BATCH = 64  # rows read at once where most may belong to one common prefix

Scan = Callable[[bytes, "bytes | None", int], "list[Entry]"]


@dataclass(frozen=True, slots=True)
class Page:
    """One page: objects and common prefixes together at most max-keys; `last` resumes it."""

    entries: tuple[Entry, ...]
    prefixes: tuple[str, ...]
    truncated: bool
    last: str


def successor(prefix: bytes) -> bytes | None:
    """The least key above every key with that prefix; None when there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def start_of(prefix: bytes, after: bytes, delimiter: bytes) -> bytes | None:
    """Where a page begins that resumes behind `after` (a key or a common prefix)."""
    if not after or after < prefix:
        return prefix
    rest = after[len(prefix) :] if after.startswith(prefix) else b""
    if delimiter and rest.find(delimiter) == len(rest) - len(delimiter) >= 0:
        return successor(after)
    return after + b"\0"


def page(scan: Scan, prefix: str, delimiter: str, after: str, max_keys: int) -> Page:
    """The page of at most `max_keys` behind `after`."""
    head, mark = blob(prefix), blob(delimiter)
    end = successor(head)
    start = start_of(head, blob(after), mark)
    entries: list[Entry] = []
    prefixes: list[str] = []
    last = ""
    while start is not None and (end is None or start < end):
        wanted = max_keys - len(entries) - len(prefixes) + 1
        batch = scan(start, end, min(wanted, PREFIX_BATCH) if mark else wanted)
        if not batch:
            break
        start = blob(batch[-1].key) + b"\0"
        skip = b""
        for entry in batch:
            key = blob(entry.key)
            if skip and key.startswith(skip):
                continue
            if len(entries) + len(prefixes) == max_keys:
                return Page(tuple(entries), tuple(prefixes), max_keys > 0, last)
            cut = key.find(mark, len(head)) if mark else -1
            if cut >= 0:
                skip = key[: cut + len(mark)]
                last = text(skip)
                prefixes.append(last)
            else:
                skip = b""
                last = entry.key
                entries.append(entry)
        if skip:
            start = successor(skip)
    return Page(tuple(entries), tuple(prefixes), False, last)

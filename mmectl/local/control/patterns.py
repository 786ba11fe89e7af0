"""AWS's regular expressions (Java's dialect) as Python ones; no I/O."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

_POSIX = {
    "Alnum": "0-9A-Za-z",
    "Alpha": "A-Za-z",
    "Digit": "0-9",
    "Lower": "a-z",
    "Upper": "A-Z",
    "Print": r"\x20-\x7e",
    "Graph": r"\x21-\x7e",
    "ASCII": r"\x00-\x7f",
    "Space": r" \t-\r",
    "Punct": r"!-/:-@\[-`{-~",
}
_TOKEN = re.compile(r"\\p\{(\w+)\}|\\z|\\.|\[\^?\]?|\]", re.DOTALL)


def matches(pattern: str, text: str) -> bool:
    """Say whether the whole text matches a pattern of a service model.

    A pattern that Python cannot compile constrains nothing (3 of SageMaker's 252, none of them
    on an operation served here).
    """
    compiled = _compiled(pattern, _last(text))
    return compiled is None or compiled.fullmatch(text) is not None


def _last(text: str) -> int:
    """How far categories must be spelt out: all of Unicode costs 0.3 s, its first plane 0.02."""
    if text.isascii():
        return 0x7F
    return 0xFFFF if max(text) <= "\uffff" else sys.maxunicode


@cache
def _compiled(pattern: str, last: int) -> re.Pattern[str] | None:
    try:
        return re.compile(translate(pattern, last), re.ASCII)
    except re.error:
        return None


def translate(pattern: str, last: int = sys.maxunicode) -> str:
    r"""Write ``\p{..}`` as ranges up to the code point `last`, and ``\z`` as ``\Z``."""
    inside = False

    def replace(match: re.Match[str]) -> str:
        nonlocal inside
        part = match[0]
        if part.startswith("[") and not inside:
            inside = True
        elif part == "]":
            inside = False
        elif match[1]:
            ranges = _POSIX.get(match[1]) or category_ranges(match[1], last)
            return ranges if inside else f"[{ranges}]"
        elif part == r"\z":
            return r"\Z"
        elif part.startswith("["):
            return part.replace("[", r"\[")
        return part

    return _TOKEN.sub(replace, pattern)


@cache
def category_ranges(category: str, last: int = sys.maxunicode) -> str:
    """The characters of a Unicode category (``L``, ``Zs``) as the inside of a class.

    An empty category gives a range that matches nothing beside what else stands in the class.
    """
    ranges: list[tuple[int, int]] = []
    for point in range(last + 1):
        if not unicodedata.category(chr(point)).startswith(category):
            continue
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1] = (ranges[-1][0], point)
        else:
            ranges.append((point, point))
    return "".join(f"\\U{first:08x}-\\U{end:08x}" for first, end in ranges) or r"\ud800"

"""Content types and Accept headers; pure."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

_QUALITY = re.compile(r"[01](\.[0-9]{0,9})?")
_ZERO = re.compile(r"0(\.0{0,9})?")
# name=value or name="value", in which a semicolon may stand
_PARAMETER = re.compile(r';([^;=]*)(?:=\s*("(?:[^"\\]|\\.)*"|[^;]*))?')


class MediaType(NamedTuple):
    """A content type in lower case, with its parameters by lower-case name, values unquoted."""

    kind: str
    parameters: dict[str, str]


def media_type(header: str | None) -> MediaType:
    """Take a Content-Type header apart; no header is the kind ""."""
    kind, _, rest = (header or "").partition(";")
    parameters = {}
    for name, value in _PARAMETER.findall(f";{rest}"):
        if name.strip():
            parameters[name.strip().lower()] = value.strip().strip('"')
    return MediaType(kind.strip().lower(), parameters)


def ranked(accept: str) -> list[MediaType]:
    """List the types that an Accept header takes (RFC 9110, 12.5.1), the most wanted first."""
    types = sorted(_types(accept), key=_weight, reverse=True)
    return [one for one in types if _weight(one) > 0]


def refused(accept: str) -> list[str]:
    """List the types that an Accept header excludes (``q=0``) from the ranges that it takes."""
    return [one.kind for one in _types(accept) if _ZERO.fullmatch(one.parameters.get("q", ""))]


@functools.lru_cache(maxsize=64)
def _types(accept: str) -> tuple[MediaType, ...]:
    return tuple(media_type(part) for part in accept.split(","))


def _weight(one: MediaType) -> float:
    """A quality value, 0 to 1; 0 for what is none."""
    quality = one.parameters.get("q", "1")
    return float(quality) if _QUALITY.fullmatch(quality) else 0.0

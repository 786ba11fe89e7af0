"""Conditional and ranged reads; pure. Rules of RFC 9110 as S3 applies them."""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Literal

from mmectl.local.s3.index import Entry
from mmectl.local.s3.store import Condition, failed
from mmectl.local.values import AwsError

Header = Callable[[str], "str | None"]
_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z", re.ASCII)
MOST_DIGITS = 19  # of an offset in bytes


def write_condition(header: Header) -> Condition:
    """If-None-Match (only ``*``) and If-Match of a write."""
    none_match, match = header("If-None-Match"), header("If-Match")
    if none_match is not None and none_match.strip() != "*":
        raise AwsError(
            "NotImplemented", "A write supports If-None-Match only with the value '*'.", 501
        )
    return Condition(none_match is not None, match and unquoted(match))


def unquoted(etag: str) -> str:
    """An entity tag without its quotes."""
    return etag.strip().removeprefix("W/").strip('"')


def read_condition(header: Header, entry: Entry, prefix: str = "") -> Literal["send", "unchanged"]:
    """Evaluate If-Match and its like (with `prefix` those of a copy source).

    Raises AwsError PreconditionFailed; ``unchanged`` means 304.
    """
    match, none_match = header(prefix + "If-Match"), header(prefix + "If-None-Match")
    since, until = header(prefix + "If-Modified-Since"), header(prefix + "If-Unmodified-Since")
    if match is not None:
        if not _matches(match, entry.etag):
            raise failed("If-Match")
    elif until is not None and _modified_after(entry, until):
        raise failed("If-Unmodified-Since")
    if none_match is not None:
        return "unchanged" if _matches(none_match, entry.etag) else "send"
    if since is not None and _modified_after(entry, since) is False:
        return "unchanged"
    return "send"


def _matches(header: str, etag: str) -> bool:
    tags = [unquoted(tag) for tag in header.split(",")]
    return "*" in tags or etag in tags


def _modified_after(entry: Entry, date: str) -> bool | None:
    try:
        return int(entry.modified) > parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def copy_range(header: str | None, size: int) -> tuple[int, int]:
    """Offset and count that x-amz-copy-source-range asks for; the whole without one."""
    if header is None:
        return 0, size
    match = re.fullmatch(r"bytes=(\d{1,19})-(\d{1,19})", header.strip(), re.ASCII)
    if match is None or int(match[1]) > int(match[2]):
        raise AwsError(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first "
            "and last are the zero-based offsets of the first and last bytes to copy",
            400,
            {"ArgumentName": "x-amz-copy-source-range", "ArgumentValue": header},
        )
    if int(match[2]) >= size:
        raise AwsError(
            "InvalidArgument",
            f"Range specified is not valid for source object of size: {size}",
            400,
            {"ArgumentName": "x-amz-copy-source-range", "ArgumentValue": header},
        )
    return int(match[1]), int(match[2]) - int(match[1]) + 1


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Offset and count that a Range header asks for; None for the whole.

    A header S3 does not understand (several ranges, another unit) is ignored; one outside
    the object is an AwsError InvalidRange, an offset beyond all sizes InvalidArgument.
    """
    match = header and _RANGE.match(header.strip())
    if not match or match[1] == match[2] == "":
        return None
    if max(map(len, match.groups())) > MOST_DIGITS:
        raise AwsError(
            "InvalidArgument",
            "An offset of the Range header is too large",
            400,
            {"ArgumentName": "Range", "ArgumentValue": (header or "")[:100]},
        )
    if not match[1]:
        start, end = max(0, size - int(match[2])), size - 1
    else:
        start, end = int(match[1]), min(int(match[2] or size - 1), size - 1)
        if match[2] and int(match[2]) < start:
            return None
    if start >= size or end < start:
        raise AwsError(
            "InvalidRange",
            "The requested range is not satisfiable",
            416,
            {"RangeRequested": header or "", "ActualObjectSize": size},
        )
    return start, end - start + 1

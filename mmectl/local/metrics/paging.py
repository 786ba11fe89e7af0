"""Pages of a sorted list; the token says how many went before. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from mmectl.local.values import AwsError

T = TypeVar("T")


def page(items: Sequence[T], token: str | None, size: int) -> tuple[list[T], str | None]:
    """One page and the token of the next; AwsError InvalidNextToken for a token not of ours."""
    start = 0 if token is None else _place(token)
    end = start + size
    return list(items[start:end]), _token(end) if end < len(items) else None


def _token(place: int) -> str:
    return base64.urlsafe_b64encode(f"at {place}".encode()).decode()


def _place(token: str) -> int:
    try:
        word, _, number = base64.urlsafe_b64decode(token.encode()).decode().partition(" ")
        if word == "at" and number.isdecimal():
            return int(number)
    except (ValueError, binascii.Error):
        pass
    raise AwsError("InvalidNextToken", "The next token specified is invalid.")

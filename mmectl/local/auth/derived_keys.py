"""Key pairs made of a platform's own one: they may do the same, and tell clients apart. Pure.

Whoever has the own pair can make them all; whoever has a derived one can make no other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from mmectl.base.values import Credentials

MOST = 1023
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def derived(own: Credentials, number: int) -> Credentials:
    """The key pair of that number, 0 to 1022; raises ValueError for any other."""
    if not 0 <= number < MOST:
        raise ValueError(f"{number} is not between 0 and {MOST - 1}")
    place = (_number(own.access_key_id[-2:]) + 1 + number) % (MOST + 1)
    high, low = divmod(place, len(_DIGITS))
    return _pair(own, own.access_key_id[:-2] + _DIGITS[high] + _DIGITS[low])


def find(own: Credentials, access_key_id: str) -> Credentials | None:
    """The key pair of that id, the own one too; None where it is made of another."""
    if access_key_id == own.access_key_id:
        return own
    same = access_key_id[:-2] == own.access_key_id[:-2]
    well_formed = len(access_key_id) == len(own.access_key_id)
    if not same or not well_formed or not set(access_key_id[-2:]) <= set(_DIGITS):
        return None
    return _pair(own, access_key_id)


def _number(digits: str) -> int:
    return _DIGITS.index(digits[0]) * len(_DIGITS) + _DIGITS.index(digits[1])


def _pair(own: Credentials, access_key_id: str) -> Credentials:
    digest = hmac.digest(
        own.secret_access_key.encode(), f"mmectl derived {access_key_id}".encode(), hashlib.sha256
    )
    return Credentials(access_key_id, base64.urlsafe_b64encode(digest).decode().rstrip("="))

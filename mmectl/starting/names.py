"""Names of endpoints and models made from names of folders and files; pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

DEFAULT_ENDPOINT = "multi-model"
_LONGEST_ENDPOINT, _LONGEST_MODEL = 63, 100
_PACKED = re.compile(r"(\.tar\.gz|\.tgz|\.tar)+$")


def endpoint_name(folder: str) -> str:
    """A valid name of an endpoint: letters and digits of the folder's name, lower case.

    Runs of anything else become one hyphen: ``My Shop_2`` gives ``my-shop-2``.
    """
    words = re.sub(r"[^a-z0-9]+", "-", _plain(folder).lower())
    return words[:_LONGEST_ENDPOINT].strip("-") or DEFAULT_ENDPOINT


def model_name(text: str, taken: Collection[str] = (), more: str = "") -> str:
    """A valid name of a model that is not `taken`; `more` tells it from another one first."""
    base = re.sub(r"[^A-Za-z0-9_.-]+", "-", _PACKED.sub("", _plain(text))).lstrip(".-")
    base = _PACKED.sub("", base[:_LONGEST_MODEL]).strip("-") or "model"
    tried = [base, *([f"{base[: _LONGEST_MODEL - len(more) - 1]}-{more}"] if more else [])]
    for name in tried:
        if name not in taken:
            return name
    number = 2
    while (name := f"{base[: _LONGEST_MODEL - 6]}-{number}") in taken:
        number += 1
    return name


def _plain(text: str) -> str:
    """Letters without their accents; what has no plain letter becomes a hyphen."""
    apart = unicodedata.normalize("NFKD", text)
    kept = (char for char in apart if not unicodedata.combining(char))
    return "".join(char if char.isascii() else "-" for char in kept)

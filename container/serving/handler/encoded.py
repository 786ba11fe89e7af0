"""Pictures in JSON, as base64: what clients of TensorFlow Serving and Hugging Face send; pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from typing import Any, NamedTuple

from serving.handler.payloads import PayloadError, brief

_KEYS = ("b64", "image")
_URL = "data:"


class Pictures(NamedTuple):
    """Files of pictures; `batched` where they came in a list."""

    files: list[bytes]
    batched: bool


def pictures(value: Any, names: Collection[str]) -> Pictures | None:
    """Take pictures out of what JSON said; None where it holds something else.

    A picture is a text, ``"iVBORw..."``, or that in an object by itself: ``{"b64": "iVBORw..."}``.
    The key may be ``image``, too, or one of the inputs' `names`, and objects may nest. Several are
    a list. Raises PayloadError for a text that is not base64, and for a list that is not all texts.
    """
    value = _inner(value, names)
    items = [_inner(one, names) for one in value] if isinstance(value, list) else [value]
    if not items or not isinstance(items[0], str):
        return None
    return Pictures([_file(one, number) for number, one in enumerate(items)], value is not items[0])


def _inner(value: Any, names: Collection[str]) -> Any:
    while isinstance(value, dict) and len(value) == 1:
        name, held = next(iter(value.items()))
        if name not in _KEYS and name not in names:
            break
        value = held
    return value


def _file(text: Any, number: int) -> bytes:
    if not isinstance(text, str):
        raise PayloadError(f"item {number + 1} is not a picture in base64, but item 1 is a text")
    held = text[text.find(",") + 1 :] if text.startswith(_URL) else text
    try:
        return base64.b64decode("".join(held.split()), validate=True)
    except (binascii.Error, ValueError):
        what = f"item {number + 1}, {brief(text)!r}, is not a picture in base64"
        raise PayloadError(what) from None

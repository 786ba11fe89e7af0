"""What readers and writers of all payloads share: errors and strict JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from runtimes.values import RequestError

PayloadError = RequestError  # what a client is told, also by runtimes
JSON = "application/json"
NPY = "application/x-npy"
_PARAMETERS = ("parameters", "params")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SHOWN = 40  # letters of a client's text in a message


def brief(text: str) -> str:
    """Cut a client's text to what fits a message."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def load_json(body: bytes, constant: Callable[[str], Any] | None = None) -> tuple[Any, bool]:
    """Read JSON; the value, and whether there is any text in it beside the keys of objects.

    `constant` makes a value of NaN, Infinity and -Infinity, which JSON does not have; without it
    they are refused. Raises PayloadError for what is not JSON or has the same key twice.
    """
    keys = _Keys()
    try:
        value = json.loads(
            bytes(body).decode("utf-8-sig"),
            parse_constant=constant or _refuse,
            object_pairs_hook=keys.unique,
        )
        if _SURROGATE.search(body):  # half of a pair is no text, and frameworks fail with it
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"the body is not JSON: {error}") from None
    return value, body.count(b'"') != 2 * keys.count


def within(value: Mapping[str, Any], wrappers: Collection[str]) -> Any:
    """Take out what one of the `wrappers` of an object holds; the object where there is none.

    Clients of TensorFlow Serving name a signature beside it, of which there is one here; those of
    Hugging Face and MLflow send parameters. Raises PayloadError for parameters that are not empty.
    """
    held = [name for name in value if name not in ("signature_name", *_PARAMETERS)]
    if len(held) != 1 or held[0] not in wrappers:
        return value
    for name in _PARAMETERS:
        if value.get(name):
            raise PayloadError(f"no model takes {name!r} of a request: leave them out")
    return value[held[0]]


class _Keys:
    """Counts the keys of all objects of a JSON text, and refuses one that comes twice."""

    def __init__(self) -> None:
        self.count = 0

    def unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Make an object of its pairs; ValueError."""
        self.count += len(pairs)
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("an object has the same key twice")
        return made


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number of JSON")

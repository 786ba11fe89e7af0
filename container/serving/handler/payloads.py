"""What readers and writers of all payloads share: content types, Accept headers, strict JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from runtimes.values import RequestError

PayloadError = RequestError  # what a client is told, also by runtimes
JSON = "application/json"
NPY = "application/x-npy"
_QUALITY = re.compile(r"[01](\.[0-9]{0,9})?")
_ZERO = re.compile(r"0(\.0{0,9})?")
# name=value or name="value", in which a semicolon may stand
_PARAMETER = re.compile(r';([^;=]*)(?:=\s*("(?:[^"\\]|\\.)*"|[^;]*))?')
_PARAMETERS = ("parameters", "params")
_SHOWN = 40  # letters of a client's text in a message


def brief(text: str) -> str:
    """Cut a client's text to what fits a message."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


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


def _types(accept: str) -> list[MediaType]:
    return [media_type(part) for part in accept.split(",")]


def _weight(one: MediaType) -> float:
    """A quality value, 0 to 1; 0 for what is none."""
    quality = one.parameters.get("q", "1")
    return float(quality) if _QUALITY.fullmatch(quality) else 0.0


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

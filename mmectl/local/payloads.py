"""Request bodies as values: JSON objects and Query fields, of any client; pure.

Everything here raises AwsError with a 400 for what cannot be read, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from datetime import datetime, timezone
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from mmectl.local.values import AwsError

MOST_FIELDS = 50_000
"""Fields of one Query request; AWS's largest has 1,000 metrics with a few dozen each."""

_DEEPEST = 64
_MOST_DIGITS = 19  # of a 64-bit integer
_ROOT = ""  # where a node of the tree keeps the value of its own name

Tree = dict[str, Any]


def inflated(body: bytes, encoding: str | None, limit: int) -> bytes:
    """The body behind its Content-Encoding, at most `limit` bytes; botocore compresses metrics."""
    if not encoding or encoding.strip().lower() == "identity":
        return body
    if encoding.strip().lower() != "gzip":
        raise _unreadable(f"the content encoding {encoding[:64]!r} is not gzip")
    unpacking = zlib.decompressobj(wbits=31)
    try:
        plain = unpacking.decompress(body, limit + 1)
    except zlib.error as error:
        raise _unreadable(f"it is not gzip: {error}") from None
    if len(plain) > limit:
        raise AwsError(
            "RequestEntityTooLarge", f"The inflated body is larger than {limit} bytes.", 413
        )
    if not unpacking.eof or unpacking.unused_data:
        raise _unreadable("it must be one gzip stream, as a whole")
    return plain


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is; an empty body is an empty one."""
    try:
        found = json.loads(body or b"{}", parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"it is not JSON: {str(error) or 'nested too deeply'}") from None
    if not isinstance(found, dict):
        raise AwsError("SerializationException", "The body must be a JSON object.")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def query_fields(text: bytes) -> dict[str, str]:
    """Names and values of a form; of a name that comes twice the last counts."""
    try:
        pairs = parse_qsl(
            text.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise AwsError("MalformedQueryString", f"The query cannot be read: {error}.") from None
    return dict(pairs)


def query_params(shape: Any, fields: dict[str, str]) -> dict[str, Any]:
    """Query fields (``Metrics.member.1.Name``) as the parameters of a botocore input shape.

    Times become epoch seconds. Fields that the shape does not have are left out.
    """
    tree: Tree = {}
    for name, value in fields.items():
        _plant(tree, name, value)
    found: dict[str, Any] = _structure(shape, tree, "") if shape is not None else {}
    return found


def _plant(tree: Tree, name: str, value: str) -> None:
    parts = name.split(".")
    if len(parts) > _DEEPEST:
        raise _malformed(name[:128], "is nested too deeply")
    for part in parts:
        tree = tree.setdefault(part or " ", {})
    tree[_ROOT] = value


def _structure(shape: Any, tree: Tree, path: str) -> dict[str, Any]:
    known = ((name, member, tree[name]) for name, member in shape.members.items() if name in tree)
    return {
        name: _value(member, below, f"{path}.{name}" if path else name)
        for name, member, below in known
    }


def _value(shape: Any, tree: Tree, path: str) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return _structure(shape, tree, path)
    if kind == "list":
        items = _numbered(tree.get("member", {}))
        return [_value(shape.member, item, f"{path}.member.{n}") for n, item in items]
    if kind == "map":
        entries = [entry for _, entry in _numbered(tree.get("entry", {}))]
        return {
            entry["key"].get(_ROOT, ""): _value(shape.value, entry.get("value", {}), path)
            for entry in entries
            if "key" in entry
        }
    if _ROOT not in tree:
        raise _malformed(path, "has no value of its own")
    return _scalar(kind, tree[_ROOT], path)


def _numbered(tree: Tree) -> list[tuple[int, Tree]]:
    """Items in the order of their numbers; what has none is left out."""
    numbered = [
        (int(name), item)
        for name, item in tree.items()
        if name.isascii() and name.isdigit() and len(name) < _MOST_DIGITS
    ]
    return sorted(numbered, key=lambda pair: pair[0])


def _scalar(kind: str, text: str, path: str) -> Any:
    try:
        return _READERS.get(kind, str)(text)
    except (ValueError, OverflowError):
        raise _malformed(path, f"must be a {kind}; it is {text[:64]!r}") from None


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS + 1:
        raise ValueError(text[:64])
    return int(text)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text[:64])
    return text.lower() == "true"


def _moment(text: str) -> float:
    """Epoch seconds of an ISO 8601 time, or of a number."""
    if len(text) > _DEEPEST:
        raise ValueError(text[:64])
    try:
        return float(text)
    except ValueError:
        found = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()


def _blob(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(error) from None


_READERS: dict[str, Any] = {
    "integer": _integer,
    "long": _integer,
    "float": float,
    "double": float,
    "boolean": _boolean,
    "timestamp": _moment,
    "blob": _blob,
}


def _malformed(path: str, why: str) -> AwsError:
    return AwsError("MalformedInput", f"The parameter {path} {why}.")


def _unreadable(why: str) -> AwsError:
    return AwsError("SerializationException", f"The body cannot be read: {why}.")

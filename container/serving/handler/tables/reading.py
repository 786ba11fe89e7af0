"""Which format a request is in, and the module that reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from serving.handler import npy, payloads
from serving.handler.payloads import PayloadError, brief
from serving.handler.tables import delimited, objects
from serving.handler.tables.kinds import CSV, JSON, JSONLINES, NPY, canonical
from serving.handler.tables.values import Dialect, Features, Table

_UNKNOWN = {"", "application/octet-stream", "binary/octet-stream"}
_READERS: Mapping[str, Callable[[bytes, Mapping[str, str], Features, Dialect], Table]] = {
    CSV: delimited.read,
    JSON: lambda body, _, features, __: objects.read(body, features),
    JSONLINES: lambda body, _, features, __: objects.read_lines(body, features),
}


def read(
    body: bytes,
    content_type: str | None,
    features: Features,
    dialect: Dialect = Dialect.OWN,
) -> Table:
    """Read one request. Raises PayloadError 400 (bad content) or 415 (not supported).

    Without a content type, or with application/octet-stream, the body itself tells; in the dialect
    of XGBoost no content type means libsvm.
    """
    if not body:
        raise PayloadError("the request has no body")
    kind, parameters = payloads.media_type(content_type)
    kind = canonical(kind)
    if kind in _UNKNOWN:
        kind = _sniff(body)
    reader = _READERS.get(kind)
    if reader is None:
        raise PayloadError(
            f"content type {brief(kind)!r} is not supported: send {', '.join(_READERS)}", 415
        )
    return reader(body, parameters, features, dialect)


def _sniff(body: bytes) -> str:
    if body.startswith(npy.MAGIC):
        return NPY
    start = body[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"[":
        return JSON
    if start == b"{":
        return JSONLINES if re.search(rb"\}\s*\n\s*\{", body) else JSON
    return CSV

"""Which format a request is in, and the module that reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from runtimes import media_types

from serving.handler import npy
from serving.handler.payloads import PayloadError, brief
from serving.handler.tables import (
    arrays,
    columnar,
    delimited,
    libsvm,
    mappings,
    objects,
    recordio,
)
from serving.handler.tables.kinds import (
    ARROW,
    CSV,
    JSON,
    JSONLINES,
    LIBSVM,
    NPY,
    NPZ,
    PARQUET,
    RECORDIO,
    canonical,
)
from serving.handler.tables.values import Dialect, Features, Table

_MAGIC = {
    npy.MAGIC: NPY, b"PK\x03\x04": NPZ, recordio.MAGIC: RECORDIO, b"PAR1": PARQUET,
    b"ARROW1": ARROW, b"\xff\xff\xff\xff": ARROW,
}  # fmt: skip
_UNKNOWN = {"", "application/octet-stream", "binary/octet-stream"}
_READERS: Mapping[str, Callable[[bytes, Mapping[str, str], Features, Dialect], Table]] = {
    CSV: delimited.read,
    JSON: lambda body, _, features, __: objects.read(body, features),
    JSONLINES: lambda body, _, features, __: objects.read_lines(body, features),
    NPY: lambda body, _, features, dialect: arrays.read_npy(body, features, dialect),
    NPZ: lambda body, _, features, dialect: arrays.read_npz(body, features, dialect),
    LIBSVM: libsvm.read,
    RECORDIO: lambda body, _, features, dialect: recordio.read(body, features, dialect),
    PARQUET: lambda body, _, features, __: columnar.read_parquet(body, features),
    ARROW: lambda body, _, features, __: columnar.read_arrow(body, features),
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
    kind, parameters = media_types.media_type(content_type)
    kind = canonical(kind)
    if kind in _UNKNOWN:
        kind = _sniff(body, colon=not kind and dialect is Dialect.XGBOOST)
    reader = _READERS.get(kind)
    if reader is not None and features.objects:
        return mappings.read(body, kind)
    if reader is None:
        raise PayloadError(
            f"content type {brief(kind)!r} is not supported: send {', '.join(_READERS)}", 415
        )
    if features.named:
        table = mappings.named(body, kind, parameters)
        if table is not None:
            return table
    return reader(body, parameters, features, dialect)


def is_rows(kind: str) -> bool:
    """Whether a content type is one of those that hold rows and nothing else: CSV and the like."""
    return canonical(kind) in _READERS and canonical(kind) not in (JSON, NPY)


def _sniff(body: bytes, *, colon: bool) -> str:
    """Tell the format by the first bytes; with `colon`, text that has one is libsvm."""
    for magic, kind in _MAGIC.items():
        if body.startswith(magic):
            return kind
    start = body[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"[":
        return JSON
    if start == b"{":
        return JSONLINES if re.search(rb"\}[ \t\r]*\n\s*\{", body) else JSON
    return LIBSVM if libsvm.looks_like(body) or (colon and b":" in body) else CSV

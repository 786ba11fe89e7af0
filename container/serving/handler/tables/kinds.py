"""Content types of tables, and the other names that clients have for them."""

from __future__ import annotations

from serving.handler.payloads import JSON as JSON
from serving.handler.payloads import NPY as NPY

CSV = "text/csv"
JSONLINES = "application/jsonlines"
NPZ = "application/x-npz"
LIBSVM = "text/libsvm"
RECORDIO = "application/x-recordio-protobuf"
PARQUET = "application/vnd.apache.parquet"
ARROW = "application/vnd.apache.arrow.stream"
_NAMES = {
    CSV: ["csv", "application/csv", "text/plain", "text/tab-separated-values"],
    JSON: ["json", "text/json"],
    JSONLINES: ["jsonlines", "ndjson", "jsonl"],
    NPY: ["npy", "application/npy"],
    NPZ: ["npz", "application/npz"],
    LIBSVM: ["libsvm", "text/x-libsvm"],
    RECORDIO: ["recordio-protobuf", "application/recordio-protobuf"],
    PARQUET: ["parquet", "application/x-parquet", "application/parquet"],
    ARROW: ["application/vnd.apache.arrow.file"],
}
_ALIASES = {name: kind for kind, names in _NAMES.items() for name in names}
_LINES = {"jsonlines", "x-jsonlines", "ndjson", "x-ndjson", "jsonl", "x-jsonl", "json-lines"}
_ALIASES.update({f"application/{name}": JSONLINES for name in _LINES})


def canonical(kind: str) -> str:
    """Name a content type, in lower case, as the readers and writers do."""
    return _ALIASES.get(kind, kind)

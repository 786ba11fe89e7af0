"""The headers that an object keeps and its answers carry; pure.

What a header cannot carry back is refused when it is written, not found out when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import formatdate

from multidict import CIMultiDictProxy

from mmectl.local.s3 import checksums, encryption
from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.index import Entry
from mmectl.local.values import AwsError

META = "x-amz-meta-"
STORED = (
    "Content-Type",
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Expires",
)
STORAGE_CLASS = "x-amz-storage-class"
REDIRECT = "x-amz-website-redirect-location"
# what else is kept of a write and answered, though it changes nothing here
SYSTEM = (STORAGE_CLASS, REDIRECT, *encryption.NAMES)
ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})
STORAGE_CLASSES = ARCHIVED | {
    *("STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING"),
    *("GLACIER_IR", "EXPRESS_ONEZONE"),
}
OVERRIDES = {
    "response-content-type": "Content-Type",
    "response-content-language": "Content-Language",
    "response-expires": "Expires",
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
}
MAX_METADATA = 2048  # bytes, names and values
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def check_sendable(name: str, value: str) -> None:
    """Refuse what no header can carry: control characters, and bytes that are no UTF-8."""
    if _TOKEN.fullmatch(name) and not _CONTROL.search(value) and s3_xml.is_text(value):
        return
    raise AwsError(
        "InvalidArgument",
        "A header cannot carry this value: it holds control characters or is not valid UTF-8.",
        400,
        {"ArgumentName": name, "ArgumentValue": value[:100]},
    )


def content_headers(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """The content headers and the user metadata that an object keeps; raises AwsError."""
    kept: dict[str, str] = {}
    for name in STORED:
        value = headers.get(name)
        if name == "Content-Encoding" and value:
            parts = (part.strip() for part in value.split(","))
            value = ", ".join(part for part in parts if part != "aws-chunked")
        if value:
            kept[name] = value
    kept.setdefault("Content-Type", "binary/octet-stream")
    kept |= _metadata(headers)
    for name, value in kept.items():
        check_sendable(name, value)
    return kept


def _metadata(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    metadata = {
        name.lower(): ",".join(headers.getall(name))
        for name in headers
        if name.lower().startswith(META)
    }
    if sum(len(n) - len(META) + len(v) for n, v in metadata.items()) > MAX_METADATA:
        raise AwsError(
            "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size"
        )
    return metadata


def system_headers(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """Storage class and redirection that a write asks for; raises AwsError."""
    kept = {name: headers[name] for name in (STORAGE_CLASS, REDIRECT) if headers.get(name)}
    if kept.get(STORAGE_CLASS, "STANDARD") not in STORAGE_CLASSES:
        raise AwsError("InvalidStorageClass", "The storage class you specified is not valid", 400)
    if kept.get(STORAGE_CLASS) == "STANDARD":
        del kept[STORAGE_CLASS]
    redirect = kept.get(REDIRECT, "/")
    check_sendable(REDIRECT, redirect)
    if not redirect.startswith(("/", "http://", "https://")):
        raise AwsError(
            "InvalidRedirectLocation",
            "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
        )
    return kept


def stored_headers(headers: CIMultiDictProxy[str], encrypted: Mapping[str, str]) -> dict[str, str]:
    """The headers that an object keeps, `encrypted` among them; raises AwsError."""
    return {**content_headers(headers), **system_headers(headers), **encrypted}


def overrides(params: Mapping[str, str]) -> dict[str, str]:
    """What the query sets of the answer's headers; raises AwsError."""
    found = {header: params[name] for name, header in OVERRIDES.items() if name in params}
    for name, value in found.items():
        check_sendable(name, value)
        if not value.isascii() and any(ord(character) > 0xFF for character in value):
            text = "Header value cannot be represented using ISO-8859-1."
            raise AwsError("InvalidArgument", text, 400, {"ArgumentName": name})
    return found


def storage_class(entry: Entry) -> str:
    """As a listing shows it."""
    return entry.headers.get(STORAGE_CLASS, "STANDARD")


def check_readable(entry: Entry) -> None:
    """Refuse to read what is archived and was not restored; AwsError InvalidObjectState."""
    found = storage_class(entry)
    if found in ARCHIVED:
        raise AwsError(
            "InvalidObjectState",
            "The operation is not valid for the object's storage class",
            403,
            {"StorageClass": found},
        )


def entity_headers(entry: Entry) -> dict[str, str]:
    """What GetObject and HeadObject answer about an object."""
    count = {"x-amz-tagging-count": str(len(entry.tags))} if entry.tags else {}
    return {
        **encryption.DEFAULT,
        **entry.headers,
        **count,
        "ETag": f'"{entry.etag}"',
        "Last-Modified": formatdate(entry.modified, usegmt=True),
        "Accept-Ranges": "bytes",
    }


def checksum_headers(found: Mapping[str, str], kind: str | None = None) -> dict[str, str]:
    """Checksums as response headers, with their type."""
    headers = {checksums.PREFIX + name: value for name, value in found.items()}
    if headers and kind:
        headers[checksums.PREFIX + "type"] = kind
    return headers

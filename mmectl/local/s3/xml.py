"""S3's XML: built from nested tuples, read from small documents; pure."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import quote
from xml.etree import ElementTree as ET  # input is signed, small and refused with a DTD

from mmectl.local.values import AwsError

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
Node = tuple[str, str | int | bool | Sequence["Node"] | None]
_SPECIAL = re.compile(r"[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f]")
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(text: str) -> str:
    """Escape markup; control characters become references, as S3 writes them."""
    return _SPECIAL.sub(lambda m: _NAMED.get(m[0]) or f"&#x{ord(m[0]):x};", text)


def document(name: str, children: Iterable[Node], namespace: str = NAMESPACE) -> bytes:
    """A whole document; children whose value is None are left out."""
    inner = "".join(_render(child) for child in children)
    xmlns = f' xmlns="{namespace}"' if namespace else ""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name}{xmlns}>{inner}</{name}>'
    return text.encode("utf-8", "replace")


def _render(node: Node) -> str:
    name, value = node
    if value is None:
        return ""
    if isinstance(value, bool):
        inner = "true" if value else "false"
    elif isinstance(value, (str, int)):
        inner = escape(str(value))
    else:
        inner = "".join(_render(child) for child in value)
    return f"<{name}>{inner}</{name}>"


def error(code: str, message: str, members: Iterable[Node], request_id: str) -> bytes:
    """An error document."""
    nodes: list[Node] = [("Code", code), ("Message", message), *members]
    nodes += [("RequestId", request_id), ("HostId", "mmectl")]
    return document("Error", nodes, namespace="")


def timestamp(seconds: float) -> str:
    """Epoch seconds as ``2026-01-02T03:04:05.678Z``."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds * 1000) % 1000:03d}Z"


def encoder(encoding_type: str | None) -> Callable[[str], str]:
    """How keys are written in a listing, after its encoding-type."""
    return _url_encode if encoding_type == "url" else str


def _url_encode(key: str) -> str:
    return quote(key.encode("utf-8", "surrogateescape"), safe="/-_.*")


def parse(body: bytes, root: str) -> ET.Element:
    """Read a document whose root has that name; tags lose their namespace."""
    if b"<!" in body:
        raise malformed()
    try:
        tree = ET.fromstring(body)  # noqa: S314
    except ET.ParseError:
        raise malformed() from None
    for element in tree.iter():
        element.tag = element.tag.rpartition("}")[2]
    if tree.tag != root:
        raise malformed()
    return tree


def malformed() -> AwsError:
    """The answer to XML that S3 does not understand."""
    return AwsError(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )

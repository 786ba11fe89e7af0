"""S3's XML: built from nested tuples, read from small documents; pure."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import quote
from xml.etree import ElementTree as ET
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from mmectl.local.values import AwsError

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
Node = tuple[str, str | int | bool | Sequence["Node"] | None]
MAX_DEPTH = 32
MAX_ELEMENTS = 150_000  # ten thousand parts with all of their checksums
_DECLARED = re.compile(rb"""(?:\xef\xbb\xbf)?<\?xml[^>]*?\sencoding\s*=\s*["']([^"'>]*)["']""")
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
    """Read a document whose root has that name; tags lose their namespace.

    It must be UTF-8, without a document type, and neither deep nor of very many elements;
    else an AwsError MalformedXML.
    """
    if _encoding(body) not in ("utf-8", "us-ascii") or b"\0" in body:
        raise malformed()
    try:
        body.decode("utf-8")  # expat would take UTF-16 for what it is
        tree = _Reader().read(body)
    except (expat.ExpatError, UnicodeDecodeError):
        raise malformed() from None
    if tree.tag != root:
        raise malformed()
    return tree


def _encoding(body: bytes) -> str:
    """The encoding that the declaration names, in lower case; UTF-8 without one."""
    found = _DECLARED.match(body)
    return found[1].decode("latin-1").lower() if found else "utf-8"


class _Reader:
    """One document on its way from expat into a tree; stops as soon as a limit is passed."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate("utf-8", "}")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._builder = ET.TreeBuilder()
        self._parser.CharacterDataHandler = self._builder.data
        self._depth = self._count = 0

    def read(self, body: bytes) -> ET.Element:
        """The root."""
        self._parser.Parse(body, True)
        return self._builder.close()

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._count += 1
        if self._depth > MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise malformed()
        names = {name.rpartition("}")[2]: value for name, value in attributes.items()}
        self._builder.start(tag.rpartition("}")[2], names)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        self._builder.end(tag.rpartition("}")[2])

    def _refuse(self, *_: object) -> None:
        raise malformed()


def write(tree: ET.Element) -> bytes:
    """A tree without namespaces as a document of S3."""
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + _element(tree, {"xmlns": NAMESPACE})


def _element(tree: ET.Element, more: Mapping[str, str]) -> bytes:
    inner = b"".join(_element(child, {}) for child in tree) or escape(tree.text or "").encode()
    named = {**more, **tree.attrib}
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in named.items())
    return f"<{tree.tag}{attributes}>".encode() + inner + f"</{tree.tag}>".encode()


def is_text(value: str) -> bool:
    """Whether it was UTF-8: bytes that were not are held as surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def malformed() -> AwsError:
    """The answer to XML that S3 does not understand."""
    return AwsError(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )

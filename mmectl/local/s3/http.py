"""What the S3 operations share: the request as S3 sees it, bodies in, XML and headers out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate

from aiohttp import web
from multidict import CIMultiDictProxy

from mmectl.local.call import Call
from mmectl.local.s3 import body as s3_body
from mmectl.local.s3 import checksums
from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.chunked import ChunkSigner
from mmectl.local.s3.index import Entry
from mmectl.local.s3.store import ObjectStore
from mmectl.local.values import AwsError

SMALL = 4 * 1024 * 1024  # bytes of an XML body
META = "x-amz-meta-"
STORED = (
    "Content-Type",
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Expires",
)
# what else is kept of a write and answered, though it changes nothing here
SYSTEM = (
    "x-amz-storage-class",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-website-redirect-location",
)
STORAGE_CLASS = "x-amz-storage-class"
STORAGE_CLASSES = frozenset(
    {
        *("STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING"),
        *("GLACIER", "DEEP_ARCHIVE", "GLACIER_IR", "EXPRESS_ONEZONE"),
    }
)
ENCRYPTIONS = frozenset({"AES256", "aws:kms", "aws:kms:dsse"})
OWN_ACLS = (None, "private", "bucket-owner-full-control")
MAX_PARTS = 10_000
MAX_METADATA = 2048  # bytes, names and values
_BUCKET = re.compile(
    r"(?!xn--|sthree-|\d+\.\d+\.\d+\.\d+\Z)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z", re.ASCII
)


@dataclass
class Context:
    """One S3 request: the store, the call, and what its path names."""

    store: ObjectStore
    call: Call
    bucket: str
    key: str

    @property
    def params(self) -> dict[str, str]:
        """The decoded query."""
        return self.call.params

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return self.call.header(name)

    def now(self) -> float:
        """Epoch seconds, to the millisecond as S3 shows them."""
        return round(time.time(), 3)

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """An integer of the query, cut at `high`; InvalidArgument when it is none."""
        value = self.params.get(name, "")
        if not value:
            return default
        if not re.fullmatch(r"\d{1,10}", value, re.ASCII) or int(value) < low:
            raise AwsError(
                "InvalidArgument",
                f"Argument {name} must be an integer between {low} and 2147483647",
                400,
                {"ArgumentName": name, "ArgumentValue": value},
            )
        return min(int(value), high)

    def check_acl(self) -> None:
        """Refuse access control lists that would change something."""
        grants = any(name.lower().startswith("x-amz-grant-") for name in self.call.headers)
        if grants or self.header("x-amz-acl") not in OWN_ACLS:
            raise AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs")

    async def receive(
        self,
        write: Callable[[bytes], object],
        checksum: str | None = None,
        *,
        of_body: bool = True,
    ) -> s3_body.Received:
        """Read the body into `write`, checked against everything its headers promise.

        `of_body` is false where ``x-amz-checksum-`` headers speak of something else.
        """
        request = self.call.request
        length = request.content_length
        if length is None and not request.can_read_body:
            length = 0
        promised = s3_body.expected(self.call.headers, length)
        if not of_body:
            promised = replace(promised, checksums={})
        claim = self.call.claim
        signer = ChunkSigner(self.call.key, claim.timestamp, claim.scope, claim.signature)
        await self.call.go_on()
        return await s3_body.receive(request.content, promised, signer, write, checksum=checksum)

    async def document(self, *, of_body: bool = True) -> bytes:
        """A small body; AwsError when it is too large or not what was signed."""
        length = self.call.request.content_length
        if length is not None and length > SMALL:
            raise AwsError("EntityTooLarge", "The XML document is too large.")
        body = bytearray()
        await self.receive(body.extend, of_body=of_body)
        return bytes(body)

    def xml(self, name: str, children: list[s3_xml.Node], **headers: str) -> web.Response:
        """An XML answer."""
        return web.Response(
            body=s3_xml.document(name, children),
            headers={"Content-Type": "application/xml", **headers},
        )


def check_bucket_name(name: str) -> None:
    """Refuse a name outside S3's rules for general purpose buckets."""
    if not _BUCKET.match(name):
        raise AwsError(
            "InvalidBucketName", "The specified bucket is not valid.", 400, {"BucketName": name}
        )


def system_headers(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """Storage class, encryption and redirection that a write asks for; raises AwsError."""
    kept = {name: headers[name] for name in SYSTEM if headers.get(name)}
    if kept.get(STORAGE_CLASS, "STANDARD") not in STORAGE_CLASSES:
        raise AwsError("InvalidStorageClass", "The storage class you specified is not valid", 400)
    if kept.get(SYSTEM[1], "AES256") not in ENCRYPTIONS:
        raise AwsError(
            "InvalidArgument",
            "The encryption method specified is not supported",
            400,
            {"ArgumentName": SYSTEM[1], "ArgumentValue": kept[SYSTEM[1]]},
        )
    if kept.get(STORAGE_CLASS) == "STANDARD":
        del kept[STORAGE_CLASS]
    return kept


def storage_class(entry: Entry) -> str:
    """As a listing shows it."""
    return entry.headers.get(STORAGE_CLASS, "STANDARD")


def encryption_headers(entry_headers: Mapping[str, str]) -> dict[str, str]:
    """What a write answers of its encryption."""
    return {name: entry_headers[name] for name in SYSTEM[1:4] if name in entry_headers}


def content_headers(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """The content headers and the user metadata that an object keeps."""
    kept: dict[str, str] = {}
    for name in STORED:
        value = headers.get(name)
        if name == "Content-Encoding" and value:
            parts = (part.strip() for part in value.split(","))
            value = ", ".join(part for part in parts if part != "aws-chunked")
        if value:
            kept[name] = value
    kept.setdefault("Content-Type", "binary/octet-stream")
    metadata = {
        name.lower(): ",".join(headers.getall(name))
        for name in headers
        if name.lower().startswith(META)
    }
    if sum(len(n) - len(META) + len(v) for n, v in metadata.items()) > MAX_METADATA:
        raise AwsError(
            "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size"
        )
    for value in (*kept.values(), *metadata.values()):
        if not _is_text(value):
            raise AwsError("InvalidArgument", "A header value is not valid UTF-8.")
    return {**kept, **metadata}


def stored_headers(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """The headers that an object keeps; raises AwsError."""
    return {**content_headers(headers), **system_headers(headers)}


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def entity_headers(entry: Entry) -> dict[str, str]:
    """What GetObject and HeadObject answer about an object."""
    count = {"x-amz-tagging-count": str(len(entry.tags))} if entry.tags else {}
    return {
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


def checksum_nodes(found: Mapping[str, str]) -> list[s3_xml.Node]:
    """Checksums as XML elements, ``ChecksumCRC32`` and so on."""
    return [("Checksum" + name.upper(), value) for name, value in found.items()]

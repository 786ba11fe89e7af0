"""What the S3 operations share: the request as S3 sees it, bodies in, XML and headers out."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from aiohttp import web

from mmectl.local.call import Call
from mmectl.local.s3 import body as s3_body
from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.chunked import ChunkSigner
from mmectl.local.s3.store import ObjectStore
from mmectl.local.values import AwsError

LARGE = 16 * 1024  # bytes of an XML body that is read in a thread
SMALL = 4 * 1024 * 1024  # bytes of an XML body
MAX_PARTS = 10_000
MAX_INT = 2_147_483_647
# letters and digits with dots and dashes between them, a dot beside neither dot nor dash;
# no address of the Internet, none of the beginnings and ends that AWS keeps for itself
_BUCKET = re.compile(
    r"(?!xn--|sthree-|amzn-s3-demo-|\d+\.\d+\.\d+\.\d+\Z)(?!.*(?:\.\.|\.-|-\.))"
    r"(?!.*(?:-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)\Z)"
    r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z",
    re.ASCII,
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
        return whole_number(name, self.params.get(name, ""), default, low, high)

    def has_body(self) -> bool:
        """Whether the client sends one that is not empty."""
        return self.call.request.can_read_body and self.call.request.content_length != 0

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
        promised = s3_body.expected(self.call.headers, length, of_body=of_body)
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

    async def tree(self, root: str, *, of_body: bool = True) -> ET.Element:
        """The document in the body; a large one is read in a thread, beside other requests."""
        body = await self.document(of_body=of_body)
        if len(body) < LARGE:
            return s3_xml.parse(body, root)
        return await asyncio.to_thread(s3_xml.parse, body, root)

    def xml(self, name: str, children: list[s3_xml.Node], **headers: str) -> web.Response:
        """An XML answer."""
        return web.Response(
            body=s3_xml.document(name, children),
            headers={"Content-Type": "application/xml", **headers},
        )


def whole_number(name: str, value: str, default: int, low: int, high: int) -> int:
    """A number of a request, `default` for none, cut at `high`; AwsError InvalidArgument."""
    if not value:
        return default
    if not re.fullmatch(r"\d{1,10}", value, re.ASCII) or not low <= int(value) <= MAX_INT:
        raise AwsError(
            "InvalidArgument",
            f"Argument {name} must be an integer between {low} and {MAX_INT}",
            400,
            {"ArgumentName": name, "ArgumentValue": value[:100]},
        )
    return min(int(value), high)


def check_bucket_name(name: str) -> None:
    """Refuse a name outside S3's rules for general purpose buckets."""
    if not _BUCKET.match(name):
        raise AwsError(
            "InvalidBucketName", "The specified bucket is not valid.", 400, {"BucketName": name}
        )


def checksum_nodes(found: Mapping[str, str]) -> list[s3_xml.Node]:
    """Checksums as XML elements, ``ChecksumCRC32`` and so on."""
    return [("Checksum" + name.upper(), value) for name, value in found.items()]

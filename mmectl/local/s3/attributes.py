"""GetObjectAttributes: what an object is, without its bytes."""

from __future__ import annotations

from email.utils import formatdate

from aiohttp import web

from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.http import Context, checksum_nodes, storage_class
from mmectl.local.values import AwsError

KNOWN = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")


async def get_attributes(context: Context) -> web.StreamResponse:
    """GET /bucket/key?attributes: those that x-amz-object-attributes names."""
    listed = ",".join(context.call.headers.getall("x-amz-object-attributes", []))
    wanted = {name.strip() for name in listed.split(",")} - {""}
    if not wanted or not wanted <= set(KNOWN):
        raise AwsError(
            "InvalidArgument",
            "Invalid attribute name specified.",
            400,
            {"ArgumentName": "x-amz-object-attributes", "ArgumentValue": listed},
        )
    entry = await context.store.get(context.bucket, context.key)
    checksum: list[s3_xml.Node] = [
        *checksum_nodes(entry.checksums),
        ("ChecksumType", entry.checksum_type),
    ]
    answers: dict[str, s3_xml.Node] = {
        "ETag": ("ETag", entry.etag),
        "Checksum": ("Checksum", checksum if entry.checksums else None),
        "ObjectParts": ("ObjectParts", [("PartsCount", len(entry.parts))] if entry.parts else None),
        "StorageClass": ("StorageClass", storage_class(entry)),
        "ObjectSize": ("ObjectSize", entry.size),
    }
    body = s3_xml.document(
        "GetObjectAttributesResponse", [answers[name] for name in KNOWN if name in wanted]
    )
    headers = {
        "Content-Type": "application/xml",
        "Last-Modified": formatdate(entry.modified, usegmt=True),
    }
    return web.Response(body=body, headers=headers)

"""GetObjectAttributes: what an object is, without its bytes."""

from __future__ import annotations

from email.utils import formatdate

from aiohttp import web

from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.headers import storage_class
from mmectl.local.s3.http import MAX_INT, Context, checksum_nodes, whole_number
from mmectl.local.s3.index import Entry
from mmectl.local.values import AwsError

KNOWN = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")
MAX_PARTS = 1000  # shown in one answer


async def get_attributes(context: Context) -> web.StreamResponse:
    """GET /bucket/key?attributes: those that x-amz-object-attributes names."""
    wanted = _wanted(context)
    entry = await context.store.get(context.bucket, context.key)
    answers: dict[str, s3_xml.Node] = {
        "ETag": ("ETag", entry.etag),
        "Checksum": ("Checksum", _checksum(entry)),
        "ObjectParts": ("ObjectParts", _parts(context, entry)),
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


def _wanted(context: Context) -> set[str]:
    listed = ",".join(context.call.headers.getall("x-amz-object-attributes", []))
    wanted = {name.strip() for name in listed.split(",")} - {""}
    if not wanted or not wanted <= set(KNOWN):
        raise AwsError(
            "InvalidArgument",
            "Invalid attribute name specified.",
            400,
            {"ArgumentName": "x-amz-object-attributes", "ArgumentValue": listed},
        )
    return wanted


def _checksum(entry: Entry) -> list[s3_xml.Node] | None:
    """The object's checksum; one of parts without their number, which HeadObject shows."""
    if not entry.checksums:
        return None
    plain = {name: value.partition("-")[0] for name, value in entry.checksums.items()}
    return [*checksum_nodes(plain), ("ChecksumType", entry.checksum_type)]


def _parts(context: Context, entry: Entry) -> list[s3_xml.Node] | None:
    """One page of the parts; their number alone where they have no checksums."""
    marker, limit = (
        whole_number(name, context.header(name) or "", default, 0, high)
        for name, default, high in (
            ("x-amz-part-number-marker", 0, MAX_INT),
            ("x-amz-max-parts", MAX_PARTS, MAX_PARTS),
        )
    )
    if not entry.parts:
        return None
    count: s3_xml.Node = ("PartsCount", len(entry.parts))
    if not any(entry.part_sums):
        return [count]
    last = min(marker + limit, len(entry.parts))
    shown = range(marker + 1, last + 1)
    return [
        count,
        ("PartNumberMarker", marker),
        ("NextPartNumberMarker", shown[-1] if shown else marker),
        ("MaxParts", limit),
        ("IsTruncated", last < len(entry.parts)),
        *(_part(entry, number) for number in shown),
    ]


def _part(entry: Entry, number: int) -> s3_xml.Node:
    size: s3_xml.Node = ("Size", entry.parts[number - 1])
    return "Part", [("PartNumber", number), size, *checksum_nodes(entry.sums_of(number))]

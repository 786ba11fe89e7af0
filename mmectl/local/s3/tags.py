"""Tags of buckets and objects: read from XML and headers, kept, answered."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl

from aiohttp import web

from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.http import Context
from mmectl.local.values import AwsError

MAX_OF_BUCKET = 50
MAX_OF_OBJECT = 10


def checked(pairs: Iterable[tuple[str, str]], most: int) -> dict[str, str]:
    """Tags within S3's limits; InvalidTag, BadRequest."""
    tags: dict[str, str] = {}
    for key, value in pairs:
        if not 0 < len(key) <= 128:
            raise AwsError("InvalidTag", "The TagKey you have provided is invalid", 400)
        if len(value) > 256:
            raise AwsError("InvalidTag", "The TagValue you have provided is invalid", 400)
        if key in tags:
            raise AwsError("InvalidTag", "Cannot provide multiple Tags with the same key", 400)
        tags[key] = value
    if len(tags) > most:
        kind = "Object" if most == MAX_OF_OBJECT else "Bucket"
        raise AwsError("BadRequest", f"{kind} tags cannot be greater than {most}")
    return tags


def of_header(header: str | None) -> dict[str, str]:
    """The tags of x-amz-tagging, ``key=value&key=value``; raises AwsError."""
    if not header:
        return {}
    try:
        pairs = parse_qsl(header, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise AwsError(
            "InvalidArgument",
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query "
            "parameters without tag name duplicates.",
            400,
            {"ArgumentName": "x-amz-tagging", "ArgumentValue": header},
        ) from None
    return checked(pairs, MAX_OF_OBJECT)


async def _sent(context: Context, most: int) -> dict[str, str]:
    tree = s3_xml.parse(await context.document(), "Tagging")
    pairs = ((t.findtext("Key") or "", t.findtext("Value") or "") for t in tree.iter("Tag"))
    return checked(pairs, most)


def _answer(context: Context, tags: dict[str, str]) -> web.Response:
    nodes: list[s3_xml.Node] = [
        ("Tag", [("Key", key), ("Value", value)]) for key, value in tags.items()
    ]
    return context.xml("Tagging", [("TagSet", nodes)])


async def get_of_bucket(context: Context) -> web.StreamResponse:
    """GET /bucket?tagging."""
    bucket = await context.store.bucket(context.bucket)
    if not bucket.tags:
        raise AwsError(
            "NoSuchTagSet", "The TagSet does not exist", 404, {"BucketName": context.bucket}
        )
    return _answer(context, bucket.tags)


async def put_of_bucket(context: Context) -> web.StreamResponse:
    """PUT /bucket?tagging."""
    await context.store.tag_bucket(context.bucket, await _sent(context, MAX_OF_BUCKET))
    return web.Response(status=204)


async def delete_of_bucket(context: Context) -> web.StreamResponse:
    """DELETE /bucket?tagging."""
    await context.store.tag_bucket(context.bucket, {})
    return web.Response(status=204)


async def get_of_object(context: Context) -> web.StreamResponse:
    """GET /bucket/key?tagging: an empty set where there are none."""
    entry = await context.store.get(context.bucket, context.key)
    return _answer(context, entry.tags)


async def put_of_object(context: Context) -> web.StreamResponse:
    """PUT /bucket/key?tagging."""
    tags = await _sent(context, MAX_OF_OBJECT)
    await context.store.tag_object(context.bucket, context.key, tags)
    return web.Response()


async def delete_of_object(context: Context) -> web.StreamResponse:
    """DELETE /bucket/key?tagging."""
    await context.store.tag_object(context.bucket, context.key, {})
    return web.Response(status=204)

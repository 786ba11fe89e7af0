"""Tags of buckets and objects: read from XML and headers, kept, answered."""

from __future__ import annotations

from collections.abc import Iterable
from unicodedata import category
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

from aiohttp import web

from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.http import Context
from mmectl.local.values import AwsError

MAX_OF_BUCKET = 50
MAX_OF_OBJECT = 10
SIGNS = "+-=._:/@"
SYSTEM_TAGS = {
    MAX_OF_BUCKET: "System tags cannot be added/updated by requester",
    MAX_OF_OBJECT: "Your TagKey cannot be prefixed with aws:",
}


def checked(pairs: Iterable[tuple[str, str]], most: int) -> dict[str, str]:
    """Tags within S3's limits; InvalidTag, BadRequest."""
    tags: dict[str, str] = {}
    for key, value in pairs:
        if not 0 < len(key) <= 128 or not _is_plain(key):
            raise _invalid("The TagKey you have provided is invalid", key)
        if len(value) > 256 or not _is_plain(value):
            raise _invalid("The TagValue you have provided is invalid", key)
        if key in tags:
            raise _invalid("Cannot provide multiple Tags with the same key", key)
        if key.startswith("aws:"):
            raise _invalid(SYSTEM_TAGS[most], key)
        tags[key] = value
    if len(tags) > most:
        kind = "Object" if most == MAX_OF_OBJECT else "Bucket"
        raise AwsError("BadRequest", f"{kind} tags cannot be greater than {most}")
    return tags


def _invalid(message: str, key: str) -> AwsError:
    return AwsError("InvalidTag", message, 400, {"TagKey": key})


def _is_plain(text: str) -> bool:
    """Letters, digits and spaces of any script, and a few signs; nothing else."""
    return all(character in SIGNS or category(character)[0] in "LNZ" for character in text)


def of_header(header: str | None) -> dict[str, str]:
    """The tags of x-amz-tagging, ``key=value&key=value``; raises AwsError.

    A key without an equals sign has an empty value.
    """
    if not header:
        return {}
    try:
        pairs = parse_qsl(header, keep_blank_values=True, max_num_fields=1000, errors="strict")
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
    return _of_tree(await context.tree("Tagging"), most)


def of_bucket_document(tree: ET.Element) -> dict[str, str]:
    """The tags in a document about a bucket; raises AwsError."""
    return _of_tree(tree, MAX_OF_BUCKET)


def _of_tree(tree: ET.Element, most: int) -> dict[str, str]:
    pairs = [(tag.findtext("Key"), tag.findtext("Value")) for tag in tree.iter("Tag")]
    if any(key is None or value is None for key, value in pairs):
        raise s3_xml.malformed()
    return checked(((key or "", value or "") for key, value in pairs), most)


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

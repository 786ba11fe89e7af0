"""Bucket operations and listings."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable

from aiohttp import web

from mmectl.local.s3 import listing
from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.creation import arn
from mmectl.local.s3.headers import storage_class
from mmectl.local.s3.http import Context
from mmectl.local.s3.index import Entry, blob, text
from mmectl.local.s3.settings import OWNER
from mmectl.local.s3.store import FIRST_REGION
from mmectl.local.values import AwsError

MAX_KEYS = 1000


async def list_buckets(context: Context) -> web.StreamResponse:
    """GET /."""
    params = context.params
    prefix, region = params.get("prefix", ""), params.get("bucket-region")
    token = params.get("continuation-token")
    after = _read_token(token) if token is not None else ""
    limit = context.number("max-buckets", 10_000, 1, 10_000)
    found = [
        bucket
        for bucket in await context.store.buckets()
        if bucket.name.startswith(prefix)
        and bucket.name > after
        and region in (None, bucket.region)
    ]
    nodes: list[s3_xml.Node] = [
        (
            "Bucket",
            [
                ("Name", bucket.name),
                ("CreationDate", s3_xml.timestamp(bucket.created)),
                ("BucketRegion", bucket.region),
            ],
        )
        for bucket in found[:limit]
    ]
    answer: list[s3_xml.Node] = [
        OWNER,
        ("Buckets", nodes),
        ("ContinuationToken", _token(found[limit - 1].name) if len(found) > limit else None),
        ("Prefix", prefix or None),
    ]
    return context.xml("ListAllMyBucketsResult", answer)


async def head_bucket(context: Context) -> web.StreamResponse:
    """HEAD /bucket."""
    bucket = await context.store.bucket(context.bucket)
    return web.Response(
        headers={
            "Content-Type": "application/xml",
            "x-amz-bucket-region": bucket.region,
            "x-amz-bucket-arn": arn(bucket.name, bucket.region),
            "x-amz-access-point-alias": "false",
        }
    )


async def delete_bucket(context: Context) -> web.StreamResponse:
    """DELETE /bucket."""
    await context.store.delete_bucket(context.bucket)
    return web.Response(status=204)


async def get_location(context: Context) -> web.StreamResponse:
    """GET /bucket?location: empty for us-east-1."""
    bucket = await context.store.bucket(context.bucket)
    region = "" if bucket.region == FIRST_REGION else bucket.region
    body = s3_xml.document("LocationConstraint", []).replace(
        b"></", b">" + s3_xml.escape(region).encode() + b"</"
    )
    return web.Response(body=body, headers={"Content-Type": "application/xml"})


async def list_objects_v2(context: Context) -> web.StreamResponse:
    """GET /bucket?list-type=2."""
    token = context.params.get("continuation-token")
    start_after = context.params.get("start-after", "")
    after = _read_token(token) if token is not None else start_after
    page, encode, max_keys = await _page(context, after)
    nodes = _head(context, encode, max_keys, page)
    nodes += [
        ("KeyCount", len(page.entries) + len(page.prefixes)),
        ("ContinuationToken", token),
        ("NextContinuationToken", _token(page.last) if page.truncated else None),
        ("StartAfter", encode(start_after) if start_after else None),
    ]
    owner = context.params.get("fetch-owner") == "true"
    return context.xml("ListBucketResult", nodes + _contents(page, encode, owner=owner))


async def list_objects(context: Context) -> web.StreamResponse:
    """GET /bucket: version 1, paged by marker."""
    marker = context.params.get("marker", "")
    page, encode, max_keys = await _page(context, marker)
    nodes = _head(context, encode, max_keys, page)
    following = page.truncated and context.params.get("delimiter")
    nodes += [
        ("Marker", encode(marker)),
        ("NextMarker", encode(page.last) if following else None),
    ]
    return context.xml("ListBucketResult", nodes + _contents(page, encode, owner=True))


async def list_versions(context: Context) -> web.StreamResponse:
    """GET /bucket?versions: every object is its only version, ``null``."""
    params = context.params
    marker, version = params.get("key-marker", ""), params.get("version-id-marker")
    if version not in (None, "", "null"):
        raise AwsError("InvalidArgument", "Invalid version id specified")
    page, encode, max_keys = await _page(context, marker)
    nodes = _head(context, encode, max_keys, page)
    nodes += [
        ("KeyMarker", encode(marker)),
        ("VersionIdMarker", version or ""),
        ("NextKeyMarker", encode(page.last) if page.truncated else None),
        ("NextVersionIdMarker", "null" if page.truncated else None),
    ]
    for entry in page.entries:
        inner = _object(entry, encode, owner=True)
        nodes.append(("Version", [*inner, ("VersionId", "null"), ("IsLatest", True)]))
    return context.xml("ListVersionsResult", nodes + _prefixes(page, encode))


Encode = Callable[[str], str]


async def _page(context: Context, after: str) -> tuple[listing.Page, Encode, int]:
    params = context.params
    encoding = params.get("encoding-type")
    if encoding not in (None, "url"):
        raise AwsError("InvalidArgument", "Invalid Encoding Method specified in Request")
    max_keys = context.number("max-keys", MAX_KEYS, 0, MAX_KEYS)
    page = await context.store.page(
        context.bucket, params.get("prefix", ""), params.get("delimiter", ""), after, max_keys
    )
    return page, s3_xml.encoder(encoding), max_keys


def _head(context: Context, encode: Encode, max_keys: int, page: listing.Page) -> list[s3_xml.Node]:
    delimiter = context.params.get("delimiter")
    return [
        ("Name", context.bucket),
        ("Prefix", encode(context.params.get("prefix", ""))),
        ("Delimiter", encode(delimiter) if delimiter else None),
        ("EncodingType", context.params.get("encoding-type")),
        ("MaxKeys", max_keys),
        ("IsTruncated", page.truncated),
    ]


def _contents(page: listing.Page, encode: Encode, *, owner: bool) -> list[s3_xml.Node]:
    nodes: list[s3_xml.Node] = [
        ("Contents", _object(entry, encode, owner=owner)) for entry in page.entries
    ]
    return nodes + _prefixes(page, encode)


def _prefixes(page: listing.Page, encode: Encode) -> list[s3_xml.Node]:
    return [("CommonPrefixes", [("Prefix", encode(prefix))]) for prefix in page.prefixes]


def _object(entry: Entry, encode: Encode, *, owner: bool) -> list[s3_xml.Node]:
    nodes: list[s3_xml.Node] = [
        ("Key", encode(entry.key)),
        ("LastModified", s3_xml.timestamp(entry.modified)),
        ("ETag", f'"{entry.etag}"'),
        *(("ChecksumAlgorithm", name.upper()) for name in entry.checksums),
        ("ChecksumType", entry.checksum_type if entry.checksums else None),
        ("Size", entry.size),
        ("StorageClass", storage_class(entry)),
    ]
    if owner:
        nodes.append(OWNER)
    return nodes


def _token(last: str) -> str:
    raw = blob(last)
    return base64.urlsafe_b64encode(_mark(raw) + raw).decode()


def _mark(raw: bytes) -> bytes:
    """What tells a token of ours from other text."""
    return hashlib.sha256(b"continuation " + raw).digest()[:6]


def _read_token(token: str) -> str:
    try:
        read = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        read = b""
    if not read or _mark(read[6:]) != read[:6]:
        raise AwsError(
            "InvalidArgument",
            "The continuation token provided is incorrect",
            400,
            {"ArgumentName": "continuation-token"},
        )
    return text(read[6:])

"""Object operations: put, get, head, copy."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import BinaryIO

from aiohttp import web

from mmectl.local.call import unquote
from mmectl.local.s3 import checksums, encryption
from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.body import MAX_OBJECT
from mmectl.local.s3.conditions import byte_range, read_condition, write_condition
from mmectl.local.s3.headers import (
    SYSTEM,
    check_readable,
    checksum_headers,
    content_headers,
    entity_headers,
    overrides,
    stored_headers,
    system_headers,
)
from mmectl.local.s3.http import MAX_PARTS, Context, checksum_nodes
from mmectl.local.s3.index import Entry
from mmectl.local.s3.store import failed, no_such_key
from mmectl.local.s3.tags import of_header
from mmectl.local.values import AwsError

INLINE = 256 * 1024  # bytes up to which an answer is built in memory


async def put_object(context: Context) -> web.StreamResponse:
    """PUT /bucket/key."""
    condition = write_condition(context.header)
    encrypted = await encryption.of_write(context)
    headers = stored_headers(context.call.headers, encrypted)
    tags = of_header(context.header("x-amz-tagging"))
    await context.store.check(context.bucket, context.key, condition)
    incoming = context.store.incoming()
    try:
        received = await context.receive(incoming.write)
        file = await asyncio.to_thread(incoming.keep)
    finally:
        incoming.discard()
    entry = Entry(
        context.key,
        file,
        received.size,
        received.etag,
        context.now(),
        headers,
        received.checksums,
        tags=tags,
    )
    await context.store.put(context.bucket, entry, condition)
    answer = checksum_headers(entry.checksums, entry.checksum_type) | encrypted
    return web.Response(headers={"ETag": f'"{entry.etag}"', **answer})


async def get_object(context: Context) -> web.StreamResponse:
    """GET /bucket/key, the whole or one range of it."""
    entry, file = await _open(context)
    try:
        return await _send(context, entry, file)
    finally:
        file.close()


async def _open(context: Context) -> tuple[Entry, BinaryIO]:
    """The object and its open file; again when it is replaced between the two."""
    for _ in range(10):
        entry = await context.store.get(context.bucket, context.key)
        try:
            return entry, await asyncio.to_thread(context.store.path(entry).open, "rb")
        except FileNotFoundError:
            continue
    raise no_such_key(context.key)


async def head_object(context: Context) -> web.StreamResponse:
    """HEAD /bucket/key."""
    entry = await context.store.get(context.bucket, context.key)
    return await _send(context, entry, None)


async def _send(context: Context, entry: Entry, file: BinaryIO | None) -> web.StreamResponse:
    encryption.refuse_on_read(context.call.headers)
    headers = entity_headers(entry) | overrides(context.params)
    if read_condition(context.header, entry) == "unchanged":
        kept = {name: headers[name] for name in ("ETag", "Last-Modified")}
        return web.Response(status=304, headers=kept)
    if file:
        check_readable(entry)
    number = _number(context, entry)
    part = _span(entry, number) if number else byte_range(context.header("Range"), entry.size)
    offset, count = part or (0, entry.size)
    if number and entry.parts:
        headers["x-amz-mp-parts-count"] = str(len(entry.parts))
    if part:
        headers["Content-Range"] = f"bytes {offset}-{offset + count - 1}/{entry.size}"
    if (number or not part) and _wants_checksum(context):
        sums = entry.sums_of(number) if number else entry.checksums
        headers.update(checksum_headers(sums, entry.checksum_type))
    response = web.StreamResponse(status=206 if part else 200, headers=headers)
    response.content_length = count
    return await _stream(context, response, file, offset, count)


def _wants_checksum(context: Context) -> bool:
    return (context.header("x-amz-checksum-mode") or "").upper() == "ENABLED"


def _number(context: Context, entry: Entry) -> int | None:
    """The number of the part that is asked for, if one is; raises AwsError."""
    if context.params.get("partNumber") is None:
        return None
    if context.header("Range") is not None:
        raise AwsError(
            "InvalidRequest", "Cannot specify both Range header and partNumber query parameter"
        )
    number = part_number(context)
    if number > (len(entry.parts) or 1):
        raise AwsError("InvalidPartNumber", "The requested partnumber is not satisfiable", 416)
    return number


def _span(entry: Entry, number: int) -> tuple[int, int] | None:
    """Offset and count of a part; None where there is not a byte."""
    sizes = entry.parts or [entry.size]
    return (sum(sizes[: number - 1]), sizes[number - 1]) if entry.size else None


def part_number(context: Context) -> int:
    """The query's partNumber; raises AwsError."""
    number = context.params.get("partNumber", "")
    if not re.fullmatch(r"\d{1,5}", number, re.ASCII) or not 1 <= int(number) <= MAX_PARTS:
        raise AwsError(
            "InvalidArgument",
            "Part number must be an integer between 1 and 10000, inclusive",
            400,
            {"ArgumentName": "partNumber", "ArgumentValue": number},
        )
    return int(number)


async def _stream(
    context: Context, response: web.StreamResponse, file: BinaryIO | None, offset: int, count: int
) -> web.StreamResponse:
    request = context.call.request
    if file and count <= INLINE:
        file.seek(offset)
        data = file.read(count)
        return web.Response(status=response.status, headers=response.headers, body=data)
    await response.prepare(request)
    transport = request.transport
    if file and transport is not None:
        try:
            await asyncio.get_running_loop().sendfile(transport, file, offset, count)
        except OSError as error:  # the head is out: no other answer can follow
            transport.close()
            raise ConnectionResetError(str(error)) from None
    await response.write_eof()
    return response


def copy_source(context: Context) -> tuple[str, str]:
    """Bucket and key of x-amz-copy-source."""
    raw, _, version = (context.header("x-amz-copy-source") or "").partition("?versionId=")
    source = unquote(raw).removeprefix("/")
    bucket, _, key = source.partition("/")
    if not bucket or not key or not s3_xml.is_text(source):
        raise AwsError(
            "InvalidArgument",
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            400,
            {"ArgumentName": "x-amz-copy-source"},
        )
    if version not in ("", "null"):
        raise AwsError("NotImplemented", "Object versions are not implemented.", 501)
    return bucket, key


async def source_entry(context: Context) -> Entry:
    """The object to copy from, its conditions checked."""
    entry = await context.store.get(*copy_source(context))
    if read_condition(context.header, entry, "x-amz-copy-source-") == "unchanged":
        raise failed("x-amz-copy-source-If-None-Match")
    check_readable(entry)
    return entry


async def copy_object(context: Context) -> web.StreamResponse:
    """PUT /bucket/key with x-amz-copy-source: the bytes are shared, not copied.

    The copy keeps the source's entity tag, also that of a multipart upload.
    """
    condition = write_condition(context.header)
    source = await source_entry(context)
    if source.size > MAX_OBJECT:
        raise AwsError(
            "InvalidRequest",
            "The specified copy source is larger than the maximum allowable size for a copy "
            f"source: {MAX_OBJECT}",
        )
    encrypted = await encryption.of_write(context)
    headers, tags = _of_copy(context, source)
    target = replace(
        source,
        key=context.key,
        modified=context.now(),
        headers={**headers, **encrypted},
        tags=tags,
        upload=None,
    )
    target = await _with_checksum(context, source, target)
    await context.store.copy(source, context.bucket, target, condition)
    nodes: list[s3_xml.Node] = [
        ("LastModified", s3_xml.timestamp(target.modified)),
        ("ETag", f'"{target.etag}"'),
        ("ChecksumType", target.checksum_type if target.checksums else None),
        *checksum_nodes(target.checksums),
    ]
    return context.xml("CopyObjectResult", nodes, **encrypted)


def _of_copy(context: Context, source: Entry) -> tuple[dict[str, str], dict[str, str]]:
    """Headers and tags of a copy, by its directives; raises AwsError."""
    metadata, tagging = (
        (context.header(f"x-amz-{kind}-directive") or "COPY").upper()
        for kind in ("metadata", "tagging")
    )
    if not {metadata, tagging} <= {"COPY", "REPLACE"}:
        raise AwsError("InvalidArgument", "Unknown metadata or tagging directive.")
    asked = system_headers(context.call.headers)
    kept = {name: value for name, value in source.headers.items() if name not in SYSTEM}
    same = copy_source(context) == (context.bucket, context.key)
    if same and metadata == "COPY" and not any(context.header(name) for name in SYSTEM):
        raise AwsError(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself "
            "without changing the object's metadata, storage class, website redirect location "
            "or encryption attributes.",
        )
    headers = content_headers(context.call.headers) if metadata == "REPLACE" else kept
    tags = of_header(context.header("x-amz-tagging")) if tagging == "REPLACE" else source.tags
    return {**headers, **asked}, tags


async def _with_checksum(context: Context, source: Entry, target: Entry) -> Entry:
    """The target with the checksum that x-amz-checksum-algorithm asks for."""
    name = (context.header("x-amz-checksum-algorithm") or "").lower()
    if not name or (name in source.checksums and source.checksum_type == "FULL_OBJECT"):
        return target
    running = checksums.new(name)

    def read() -> None:
        with context.store.path(source).open("rb") as file:
            while data := file.read(1 << 20):
                running.update(data)

    await asyncio.to_thread(read)
    found = {name: checksums.encode(running.digest())}
    return replace(target, checksums=found, checksum_type="FULL_OBJECT")

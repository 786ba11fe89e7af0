"""Object operations: put, get, head, delete, copy."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import BinaryIO

from aiohttp import web

from mmectl.local.call import unquote
from mmectl.local.s3 import checksums
from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.body import given_checksums
from mmectl.local.s3.conditions import byte_range, read_condition, unquoted, write_condition
from mmectl.local.s3.http import (
    Context,
    checksum_headers,
    checksum_nodes,
    entity_headers,
    stored_headers,
)
from mmectl.local.s3.index import Entry
from mmectl.local.s3.store import ALWAYS, Condition, failed, no_such_key
from mmectl.local.values import AwsError

INLINE = 256 * 1024  # bytes up to which an answer is built in memory
OVERRIDES = {
    "response-content-type": "Content-Type",
    "response-content-language": "Content-Language",
    "response-expires": "Expires",
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
}


async def put_object(context: Context) -> web.StreamResponse:
    """PUT /bucket/key."""
    condition = write_condition(context.header)
    headers = stored_headers(context.call.headers)
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
    )
    await context.store.put(context.bucket, entry, condition)
    answer = checksum_headers(entry.checksums, entry.checksum_type)
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
    headers = entity_headers(entry)
    if read_condition(context.header, entry) == "unchanged":
        return web.Response(status=304, headers={"ETag": headers["ETag"]})
    for name, header in OVERRIDES.items():
        if name in context.params:
            headers[header] = context.params[name]
    part = byte_range(context.header("Range"), entry.size)
    offset, count = part or (0, entry.size)
    if part:
        headers["Content-Range"] = f"bytes {offset}-{offset + count - 1}/{entry.size}"
    elif (context.header("x-amz-checksum-mode") or "").upper() == "ENABLED":
        headers.update(checksum_headers(entry.checksums, entry.checksum_type))
    response = web.StreamResponse(status=206 if part else 200, headers=headers)
    response.content_length = count
    return await _stream(context, response, file, offset, count)


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


async def delete_object(context: Context) -> web.StreamResponse:
    """DELETE /bucket/key; an unknown key is fine."""
    match = context.header("If-Match")
    condition = Condition(etag=unquoted(match)) if match else ALWAYS
    await context.store.delete(context.bucket, [context.key], condition)
    return web.Response(status=204)


async def delete_objects(context: Context) -> web.StreamResponse:
    """POST /bucket?delete: up to 1000 keys."""
    body = await context.document()
    if context.header("Content-MD5") is None and not given_checksums(context.call.headers):
        raise AwsError(
            "InvalidRequest",
            "Missing required header for this request: Content-MD5 OR x-amz-checksum",
        )
    tree = s3_xml.parse(body, "Delete")
    keys = [item.findtext("Key") or "" for item in tree.iter("Object")]
    if not 0 < len(keys) <= 1000 or not all(keys):
        raise s3_xml.malformed()
    await context.store.delete(context.bucket, keys)
    quiet = (tree.findtext("Quiet") or "").strip().lower() == "true"
    nodes: list[s3_xml.Node] = [("Deleted", [("Key", key)]) for key in keys]
    return context.xml("DeleteResult", [] if quiet else nodes)


def copy_source(context: Context) -> tuple[str, str]:
    """Bucket and key of x-amz-copy-source."""
    raw, _, version = (context.header("x-amz-copy-source") or "").partition("?versionId=")
    bucket, _, key = unquote(raw).removeprefix("/").partition("/")
    if not bucket or not key:
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
    return entry


async def copy_object(context: Context) -> web.StreamResponse:
    """PUT /bucket/key with x-amz-copy-source: the bytes are shared, not copied.

    The copy keeps the source's entity tag, also that of a multipart upload.
    """
    condition = write_condition(context.header)
    source = await source_entry(context)
    directive = (context.header("x-amz-metadata-directive") or "COPY").upper()
    if directive not in ("COPY", "REPLACE"):
        raise AwsError("InvalidArgument", "Unknown metadata directive.")
    if directive == "COPY" and copy_source(context) == (context.bucket, context.key):
        raise AwsError(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself "
            "without changing the object's metadata, storage class, website redirect location "
            "or encryption attributes.",
        )
    headers = stored_headers(context.call.headers) if directive == "REPLACE" else source.headers
    target = replace(source, key=context.key, modified=context.now(), headers=headers, upload=None)
    target = await _with_checksum(context, source, target)
    await context.store.copy(source, context.bucket, target, condition)
    nodes: list[s3_xml.Node] = [
        ("LastModified", s3_xml.timestamp(target.modified)),
        ("ETag", f'"{target.etag}"'),
        ("ChecksumType", target.checksum_type if target.checksums else None),
        *checksum_nodes(target.checksums),
    ]
    return context.xml("CopyObjectResult", nodes)


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

"""Multipart uploads."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from xml.etree import ElementTree as ET

from aiohttp import web

from mmectl.local.s3 import checksums, encryption
from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.conditions import copy_range, unquoted, write_condition
from mmectl.local.s3.headers import STORAGE_CLASS, checksum_headers, stored_headers
from mmectl.local.s3.http import MAX_INT, Context, checksum_nodes
from mmectl.local.s3.index import Entry, Part, Upload
from mmectl.local.s3.objects import part_number, source_entry
from mmectl.local.s3.settings import IDENTITY, OWNER
from mmectl.local.s3.store import no_such_upload
from mmectl.local.s3.tags import of_header
from mmectl.local.values import AwsError

MIN_PART = 5 * 1024 * 1024  # bytes of every part but the last


async def create(context: Context) -> web.StreamResponse:
    """POST /bucket/key?uploads."""
    name, kind = _checksum(context)
    encrypted = await encryption.of_write(context)
    upload = Upload(
        uuid.uuid4().hex,
        context.bucket,
        context.key,
        context.now(),
        stored_headers(context.call.headers, encrypted),
        name,
        kind,
        of_header(context.header("x-amz-tagging")),
    )
    await context.store.create_upload(upload)
    headers = dict(encrypted)
    if name:
        headers |= {"x-amz-checksum-algorithm": name.upper(), "x-amz-checksum-type": kind}
    nodes: list[s3_xml.Node] = [
        ("Bucket", context.bucket),
        ("Key", context.key),
        ("UploadId", upload.id),
    ]
    return context.xml("InitiateMultipartUploadResult", nodes, **headers)


def _checksum(context: Context) -> tuple[str | None, str]:
    """Algorithm and type of the checksum that an upload is begun with; raises AwsError."""
    name = (context.header("x-amz-checksum-algorithm") or "").lower() or None
    asked = context.header("x-amz-checksum-type")
    kind = (asked or ("FULL_OBJECT" if name == "crc64nvme" else "COMPOSITE")).upper()
    if kind not in ("FULL_OBJECT", "COMPOSITE"):
        raise AwsError("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
    if asked and not name:
        raise AwsError(
            "InvalidRequest",
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm "
            "header.",
        )
    if name:
        checksums.new(name)
        checksums.check_type(name, kind)
    return name, kind


async def _upload(context: Context) -> tuple[Upload, list[Part]]:
    return await context.store.upload(context.bucket, context.key, context.params["uploadId"])


async def upload_part(context: Context) -> web.StreamResponse:
    """PUT /bucket/key?partNumber&uploadId."""
    number = part_number(context)
    upload, _ = await _upload(context)
    incoming = context.store.incoming()
    try:
        received = await context.receive(incoming.write, upload.checksum)
        file = await asyncio.to_thread(incoming.keep)
    finally:
        incoming.discard()
    part = Part(number, file, received.size, received.etag, context.now(), received.checksums)
    await context.store.put_part(upload, part)
    answer = checksum_headers(part.checksums) | encryption.answered(upload.headers)
    return web.Response(headers={"ETag": f'"{part.etag}"', **answer})


async def upload_part_copy(context: Context) -> web.StreamResponse:
    """PUT /bucket/key?partNumber&uploadId with x-amz-copy-source."""
    number = part_number(context)
    upload, _ = await _upload(context)
    source = await source_entry(context)
    offset, count = copy_range(context.header("x-amz-copy-source-range"), source.size)
    part = await asyncio.to_thread(_copy_part, context, upload, number, source, offset, count)
    await context.store.put_part(upload, part)
    nodes: list[s3_xml.Node] = [
        ("LastModified", s3_xml.timestamp(part.modified)),
        ("ETag", f'"{part.etag}"'),
        *checksum_nodes(part.checksums),
    ]
    return context.xml("CopyPartResult", nodes, **encryption.answered(upload.headers))


def _copy_part(
    context: Context, upload: Upload, number: int, source: Entry, offset: int, count: int
) -> Part:
    path = context.store.path(source)
    md5 = hashlib.md5(usedforsecurity=False)
    running = checksums.new(upload.checksum) if upload.checksum else None
    with path.open("rb") as reader:
        reader.seek(offset)
        left = count
        while left and (data := reader.read(min(left, 1 << 20))):
            md5.update(data)
            if running:
                running.update(data)
            left -= len(data)
    incoming = context.store.incoming()
    try:
        incoming.append(path, offset, count)
        file = incoming.keep()
    finally:
        incoming.discard()
    found = {}
    if running and upload.checksum:
        found = {upload.checksum: checksums.encode(running.digest())}
    return Part(number, file, count, md5.hexdigest(), context.now(), found)


async def complete(context: Context) -> web.StreamResponse:
    """POST /bucket/key?uploadId: join the parts into the object."""
    condition = write_condition(context.header)
    tree = await context.tree("CompleteMultipartUpload", of_body=False)
    try:
        upload, stored = await _upload(context)
    except AwsError:
        return _completed(context, await _earlier(context))
    parts = chosen(tree, stored)
    check_named(tree, upload)
    await context.store.check(context.bucket, context.key, condition)
    found = joined_checksums(upload, parts)
    _check_promises(context, parts, found)
    file = await asyncio.to_thread(context.store.join, parts)
    entry = Entry(
        context.key,
        file,
        sum(part.size for part in parts),
        joined_etag(parts),
        context.now(),
        upload.headers,
        found,
        upload.checksum_type,
        upload.id,
        upload.tags,
        [part.size for part in parts],
        [part.checksums for part in parts],
    )
    await context.store.complete(upload, entry, condition)
    return _completed(context, entry)


def _check_promises(context: Context, parts: Sequence[Part], found: Mapping[str, str]) -> None:
    """Compare checksum and size with what the request says of the whole."""
    for name, value in found.items():
        given = context.header(checksums.PREFIX + name)
        if given is not None and given not in (value, value.partition("-")[0]):
            raise AwsError("BadDigest", f"The {name.upper()} you specified did not match.")
    size, given = sum(part.size for part in parts), context.header("x-amz-mp-object-size")
    if given is not None and given != str(size):
        raise AwsError(
            "InvalidRequest",
            f"The provided 'x-amz-mp-object-size' header value {given} does not match what was "
            f"computed: {size}",
        )


async def _earlier(context: Context) -> Entry:
    """The object which that upload became: a client may ask again when it lost the answer."""
    upload_id = context.params["uploadId"]
    with suppress(AwsError):
        entry = await context.store.get(context.bucket, context.key)
        if entry.upload == upload_id:
            return entry
    raise no_such_upload(upload_id)


def _completed(context: Context, entry: Entry) -> web.Response:
    nodes: list[s3_xml.Node] = [
        ("Location", f"http://{context.header('Host')}{context.call.path}"),
        ("Bucket", context.bucket),
        ("Key", context.key),
        ("ETag", f'"{entry.etag}"'),
        ("ChecksumType", entry.checksum_type if entry.checksums else None),
        *checksum_nodes(entry.checksums),
    ]
    answer = encryption.answered(entry.headers)
    return context.xml("CompleteMultipartUploadResult", nodes, **answer)


def check_named(tree: ET.Element, upload: Upload) -> None:
    """Refuse a completion that leaves out a part's checksum, where these make the whole's."""
    name = upload.checksum
    if name is None or upload.checksum_type != "COMPOSITE":
        return
    for part in tree.iter("Part"):
        if part.findtext("Checksum" + name.upper()) is None:
            raise AwsError(
                "InvalidRequest",
                f"The upload was created using a {name} checksum. The complete request must "
                "include the checksum for each part. It was missing for part "
                f"{part.findtext('PartNumber')} in the request.",
            )


def chosen(tree: ET.Element, stored: Sequence[Part]) -> list[Part]:
    """The stored parts that a CompleteMultipartUpload document lists, checked."""
    by_number = {str(part.number): part for part in stored}
    parts: list[Part] = []
    for element in tree.iter("Part"):
        number = (element.findtext("PartNumber") or "").strip()
        part = by_number.get(number.lstrip("0"))
        if part is None or not _agrees(part, element):
            raise AwsError(
                "InvalidPart",
                "One or more of the specified parts could not be found. The part may not have "
                "been uploaded, or the specified entity tag may not match the part's entity tag.",
                400,
                {"PartNumber": number},
            )
        if parts and part.number <= parts[-1].number:
            raise AwsError("InvalidPartOrder", "The list of parts was not in ascending order.")
        parts.append(part)
    if not parts:
        raise s3_xml.malformed()
    if any(part.size < MIN_PART for part in parts[:-1]):
        raise AwsError(
            "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"
        )
    return parts


def _agrees(part: Part, element: ET.Element) -> bool:
    if unquoted(element.findtext("ETag") or "") != part.etag:
        return False
    claimed = ((name, element.findtext("Checksum" + name.upper())) for name in checksums.NAMES)
    return all(value in (None, part.checksums.get(name)) for name, value in claimed)


def joined_etag(parts: Sequence[Part]) -> str:
    """The MD5 of the parts' MD5s and their number, as S3 forms it."""
    digests = b"".join(bytes.fromhex(part.etag) for part in parts)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"


def joined_checksums(upload: Upload, parts: Sequence[Part]) -> dict[str, str]:
    """The checksum of the joined object, of the type that the upload was begun with."""
    name = upload.checksum
    if name is None:
        return {}
    sums = [(part.checksums[name], part.size) for part in parts]
    if upload.checksum_type == "FULL_OBJECT":
        return {name: checksums.full_object(name, sums)}
    return {name: checksums.composite(name, [value for value, _ in sums])}


async def abort(context: Context) -> web.StreamResponse:
    """DELETE /bucket/key?uploadId."""
    upload, _ = await _upload(context)
    await context.store.abort(upload)
    return web.Response(status=204)


async def list_parts(context: Context) -> web.StreamResponse:
    """GET /bucket/key?uploadId."""
    upload, parts = await _upload(context)
    marker = context.number("part-number-marker", 0, 0, MAX_INT)
    limit = context.number("max-parts", 1000, 0, 1000)
    rest = [part for part in parts if part.number > marker]
    shown = rest[:limit]
    nodes: list[s3_xml.Node] = [
        ("Bucket", context.bucket),
        ("Key", context.key),
        ("UploadId", upload.id),
        ("PartNumberMarker", marker),
        ("NextPartNumberMarker", shown[-1].number if shown else 0),
        ("MaxParts", limit),
        ("IsTruncated", len(rest) > len(shown)),
        ("Initiator", IDENTITY),
        OWNER,
        ("ChecksumAlgorithm", upload.checksum and upload.checksum.upper()),
        ("ChecksumType", upload.checksum and upload.checksum_type),
        ("StorageClass", upload.headers.get(STORAGE_CLASS, "STANDARD")),
    ]
    return context.xml("ListPartsResult", nodes + [_part(part) for part in shown])


def _part(part: Part) -> s3_xml.Node:
    return "Part", [
        ("PartNumber", part.number),
        ("LastModified", s3_xml.timestamp(part.modified)),
        ("ETag", f'"{part.etag}"'),
        ("Size", part.size),
        *checksum_nodes(part.checksums),
    ]

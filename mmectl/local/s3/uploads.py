"""ListMultipartUploads."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.headers import STORAGE_CLASS
from mmectl.local.s3.http import Context
from mmectl.local.s3.index import Upload, blob
from mmectl.local.s3.settings import IDENTITY, OWNER

Mark = tuple[str, str]  # a key (or common prefix) and an upload's id


async def list_uploads(context: Context) -> web.StreamResponse:
    """GET /bucket?uploads."""
    params = context.params
    prefix, delimiter = params.get("prefix", ""), params.get("delimiter", "")
    mark = params.get("key-marker", ""), params.get("upload-id-marker", "")
    limit = context.number("max-uploads", 1000, 1, 1000)
    encode = s3_xml.encoder(params.get("encoding-type"))
    uploads = await context.store.uploads(context.bucket)
    shown, prefixes, following = page(uploads, prefix, delimiter, mark, limit)
    nodes: list[s3_xml.Node] = [
        ("Bucket", context.bucket),
        ("KeyMarker", encode(mark[0])),
        ("UploadIdMarker", mark[1]),
        ("NextKeyMarker", encode(following[0]) if following else None),
        ("NextUploadIdMarker", following[1] if following else None),
        ("Prefix", encode(prefix)),
        ("Delimiter", encode(delimiter) if delimiter else None),
        ("EncodingType", params.get("encoding-type")),
        ("MaxUploads", limit),
        ("IsTruncated", following is not None),
    ]
    for upload in shown:
        item: list[s3_xml.Node] = [
            ("Key", encode(upload.key)),
            ("UploadId", upload.id),
            ("Initiator", IDENTITY),
            OWNER,
            ("StorageClass", upload.headers.get(STORAGE_CLASS, "STANDARD")),
            ("Initiated", s3_xml.timestamp(upload.created)),
            ("ChecksumAlgorithm", upload.checksum and upload.checksum.upper()),
            ("ChecksumType", upload.checksum and upload.checksum_type),
        ]
        nodes.append(("Upload", item))
    nodes += [("CommonPrefixes", [("Prefix", encode(name))]) for name in prefixes]
    return context.xml("ListMultipartUploadsResult", nodes)


def page(
    uploads: Sequence[Upload], prefix: str, delimiter: str, mark: Mark, limit: int
) -> tuple[list[Upload], list[str], Mark | None]:
    """One page of uploads (given by key and id) and common prefixes; and where the next begins."""
    shown: list[Upload] = []
    prefixes: list[str] = []
    last: Mark | None = None
    for upload in uploads:
        if not upload.key.startswith(prefix) or not _behind(upload, *mark):
            continue
        cut = upload.key.find(delimiter, len(prefix)) if delimiter else -1
        common = upload.key[: cut + len(delimiter)] if cut >= 0 else ""
        if common and (common in prefixes[-1:] or common == mark[0]):
            continue
        if len(shown) + len(prefixes) == limit:
            return shown, prefixes, last
        if common:
            prefixes.append(common)
            last = common, ""
        else:
            shown.append(upload)
            last = upload.key, upload.id
    return shown, prefixes, None


def _behind(upload: Upload, key: str, upload_id: str) -> bool:
    if not key:
        return True
    mine, marked = blob(upload.key), blob(key)
    return (mine, upload.id) > (marked, upload_id) if upload_id else mine > marked

"""Deleting objects, one or up to a thousand at once."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from aiohttp import web

from mmectl.base import partitions
from mmectl.base.policies import Asked
from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.body import given_checksums
from mmectl.local.s3.conditions import unquoted
from mmectl.local.s3.http import Context
from mmectl.local.s3.store import ALWAYS, Condition
from mmectl.local.values import AwsError

MOST = 1000  # keys of one request


async def delete_object(context: Context) -> web.StreamResponse:
    """DELETE /bucket/key; an unknown key is fine."""
    match = context.header("If-Match")
    condition = Condition(etag=unquoted(match)) if match else ALWAYS
    await context.store.delete(context.bucket, [context.key], condition)
    return web.Response(status=204)


async def delete_objects(context: Context) -> web.StreamResponse:
    """POST /bucket?delete: what cannot be deleted is told, the others are deleted."""
    tree = await context.tree("Delete")
    if context.header("Content-MD5") is None and not given_checksums(context.call.headers):
        raise AwsError(
            "InvalidRequest",
            "Missing required header for this request: Content-MD5 OR x-amz-checksum",
        )
    items = list(tree.iter("Object"))
    if not 0 < len(items) <= MOST or not all(item.findtext("Key") for item in items):
        raise s3_xml.malformed()
    _refuse_conditions(tree)
    kept = [item for item in items if not _allowed(context, item)]
    others = [item for item in items if item not in kept]
    plain = [_key(item) for item in others if _is_plain(item)]
    await context.store.delete(context.bucket, plain)
    refused = [(item, _told(item, "AccessDenied", "Access Denied")) for item in kept]
    refused += [node for one in others if not _is_plain(one) for node in await _one(context, one)]
    failed = {_key(item) for item, node in refused}
    quiet = (tree.findtext("Quiet") or "").strip().lower() == "true"
    done: list[s3_xml.Node] = [
        ("Deleted", [("Key", _key(item))]) for item in items if _key(item) not in failed
    ]
    return context.xml("DeleteResult", ([] if quiet else done) + [node for _, node in refused])


def _refuse_conditions(tree: ET.Element) -> None:
    """Size and time are conditions of directory buckets; what they kept would be deleted here."""
    for name in ("LastModifiedTime", "Size"):
        if tree.find(f"Object/{name}") is not None:
            raise AwsError(
                "NotImplemented",
                f"DeleteObjects with the condition {name} is not implemented.",
                501,
                {"Header": name},
            )


def _allowed(context: Context, item: ET.Element) -> bool:
    partition = partitions.of(context.call.claim.region).name
    resource = f"arn:{partition}:s3:::{context.bucket}/{_key(item)}"
    return context.call.may(Asked("s3:DeleteObject", resource)) == "allowed"


def _told(item: ET.Element, code: str, message: str) -> s3_xml.Node:
    """What is said of an object that stays."""
    return "Error", [("Key", _key(item)), ("Code", code), ("Message", message)]


def _key(item: ET.Element) -> str:
    return item.findtext("Key") or ""


def _is_plain(item: ET.Element) -> bool:
    """Whether nothing but the key (and the only version there is) is named."""
    return item.findtext("ETag") is None and item.findtext("VersionId") in (None, "", "null")


def _check_version(item: ET.Element) -> None:
    if item.findtext("VersionId") not in (None, "", "null"):
        raise AwsError("NoSuchVersion", "The specified version does not exist.", 404)


async def _one(context: Context, item: ET.Element) -> list[tuple[ET.Element, s3_xml.Node]]:
    """Delete under a condition; the error if there is one."""
    key, etag = _key(item), item.findtext("ETag")
    try:
        _check_version(item)
        await context.store.delete(context.bucket, [key], Condition(etag=unquoted(etag or "")))
    except AwsError as error:
        return [(item, _told(item, error.code, error.message))]
    return []

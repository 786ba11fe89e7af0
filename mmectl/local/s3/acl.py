"""Access control lists: answered, and set only to what they are already.

Every object is its bucket owner's. Where a bucket's ownership setting disables lists, AWS's
own refusal is given; where it enables them, that they are not implemented is said.
"""

from __future__ import annotations

from aiohttp import web

from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.http import Context
from mmectl.local.s3.settings import ENFORCED, IDENTITY, OWNER, OWNERSHIPS
from mmectl.local.values import AwsError

HARMLESS = (None, "private", "bucket-owner-full-control")
CANNED = (
    *HARMLESS,
    *("public-read", "public-read-write", "authenticated-read", "aws-exec-read"),
    *("bucket-owner-read", "log-delivery-write"),
)
HEADER = "x-amz-acl"


def check_ownership(value: str) -> None:
    """Refuse an unknown value of ObjectOwnership."""
    if value not in OWNERSHIPS:
        raise _invalid("x-amz-object-ownership", value)


def _invalid(name: str, value: str) -> AwsError:
    members = {"ArgumentName": name, "ArgumentValue": value[:100]}
    return AwsError("InvalidArgument", f"Invalid {name} value: {value[:100]}", 400, members)


def _changes_something(context: Context) -> bool:
    """Whether the headers ask for a list that is not the owner's alone."""
    canned = context.header(HEADER)
    if canned not in CANNED:
        raise _invalid(HEADER, canned or "")
    grants = any(name.lower().startswith("x-amz-grant-") for name in context.call.headers)
    return grants or canned not in HARMLESS


def check_of_new_bucket(context: Context) -> None:
    """The list that CreateBucket names: none but the owner's."""
    if not _changes_something(context):
        return
    if context.header("x-amz-object-ownership") in (None, ENFORCED):
        raise AwsError(
            "InvalidBucketAclWithObjectOwnership",
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
        )
    raise _not_implemented()


async def check(context: Context) -> None:
    """The list that a write names: none but the owner's; NoSuchBucket.

    Where lists are disabled S3 takes no other name for it than bucket-owner-full-control.
    """
    private = context.header(HEADER) == "private"
    if _changes_something(context) or (private and await _is_enforced(context)):
        raise await _refusal(context)


async def _is_enforced(context: Context) -> bool:
    found = await context.store.setting(context.bucket, "ownershipControls")
    return found is None or f"<ObjectOwnership>{ENFORCED}<" in found


async def _refusal(context: Context) -> AwsError:
    if await _is_enforced(context):
        return AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs")
    return _not_implemented()


def _not_implemented() -> AwsError:
    return AwsError("NotImplemented", "Access control lists are not implemented.", 501)


async def get(context: Context) -> web.StreamResponse:
    """GET /bucket?acl and /bucket/key?acl: the owner, and nobody else."""
    await _check_target(context)
    kind = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"'
    grant: s3_xml.Node = ("Grant", [("Grantee", IDENTITY), ("Permission", "FULL_CONTROL")])
    body = s3_xml.document("AccessControlPolicy", [OWNER, ("AccessControlList", [grant])])
    body = body.replace(b"<Grantee>", f"<Grantee{kind}>".encode())
    return web.Response(body=body, headers={"Content-Type": "application/xml"})


async def put(context: Context) -> web.StreamResponse:
    """PUT ?acl: only what changes nothing."""
    await _check_target(context)
    if context.header(HEADER) is None:
        raise await _refusal(context)
    await check(context)
    return web.Response()


async def _check_target(context: Context) -> None:
    if context.key:
        await context.store.get(context.bucket, context.key)
    else:
        await context.store.bucket(context.bucket)

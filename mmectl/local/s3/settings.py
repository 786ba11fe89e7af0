"""Settings of a bucket that tools ask for: kept and answered as on AWS, but not carried out.

Nothing expires, is encrypted or is public here. Versioning is refused, because who asks for it
relies on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.http import Context
from mmectl.local.values import ACCOUNT, AwsError


@dataclass(frozen=True, slots=True)
class Setting:
    """A subresource: its document's root, what is there at first, and the error of none.

    `default` None means nothing is there at first; `kept` whether PUT and DELETE are taken.
    """

    root: str
    default: tuple[s3_xml.Node, ...] | None = ()
    missing: tuple[str, str] | None = None
    kept: bool = False


OWNER: s3_xml.Node = ("Owner", [("ID", ACCOUNT), ("DisplayName", "mmectl")])
_AES: s3_xml.Node = ("ApplyServerSideEncryptionByDefault", [("SSEAlgorithm", "AES256")])
_BLOCKED = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")

# Defaults of new buckets, error codes and texts: the S3 API reference, by operation.
SETTINGS: Mapping[str, Setting] = {
    "accelerate": Setting("AccelerateConfiguration"),
    "cors": Setting(
        "CORSConfiguration",
        None,
        ("NoSuchCORSConfiguration", "The CORS configuration does not exist"),
        kept=True,
    ),
    "encryption": Setting(
        "ServerSideEncryptionConfiguration",
        (("Rule", [_AES, ("BucketKeyEnabled", False)]),),
        kept=True,
    ),
    "lifecycle": Setting(
        "LifecycleConfiguration",
        None,
        ("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
        kept=True,
    ),
    "logging": Setting("BucketLoggingStatus"),
    "notification": Setting("NotificationConfiguration"),
    "object-lock": Setting(
        "ObjectLockConfiguration",
        None,
        (
            "ObjectLockConfigurationNotFoundError",
            "Object Lock configuration does not exist for this bucket",
        ),
    ),
    "ownershipControls": Setting(
        "OwnershipControls",
        (("Rule", [("ObjectOwnership", "BucketOwnerEnforced")]),),
        ("OwnershipControlsNotFoundError", "The bucket ownership controls were not found"),
        kept=True,
    ),
    "publicAccessBlock": Setting(
        "PublicAccessBlockConfiguration",
        tuple((name, True) for name in _BLOCKED),
        (
            "NoSuchPublicAccessBlockConfiguration",
            "The public access block configuration was not found",
        ),
        kept=True,
    ),
    "replication": Setting(
        "ReplicationConfiguration",
        None,
        (
            "ReplicationConfigurationNotFoundError",
            "The replication configuration was not found",
        ),
    ),
    "requestPayment": Setting("RequestPaymentConfiguration", (("Payer", "BucketOwner"),)),
    "versioning": Setting("VersioningConfiguration"),
    "website": Setting(
        "WebsiteConfiguration",
        None,
        (
            "NoSuchWebsiteConfiguration",
            "The specified bucket does not have a website configuration",
        ),
    ),
}
KEPT = frozenset(name for name, setting in SETTINGS.items() if setting.kept)


def _missing(context: Context, code: str, message: str) -> AwsError:
    return AwsError(code, message, 404, {"BucketName": context.bucket})


async def get(name: str, context: Context) -> web.StreamResponse:
    """GET /bucket?<name>: as it was put, else the default."""
    setting = SETTINGS[name]
    found = await context.store.setting(context.bucket, name)
    if found:
        return web.Response(body=found.encode(), headers={"Content-Type": "application/xml"})
    if setting.missing and (setting.default is None or found == ""):
        raise _missing(context, *setting.missing)
    return context.xml(setting.root, list(setting.default or ()))


async def put(name: str, context: Context) -> web.StreamResponse:
    """PUT /bucket?<name>."""
    body = await context.document()
    s3_xml.parse(body, SETTINGS[name].root)
    await context.store.keep_setting(context.bucket, name, body.decode("utf-8", "replace"))
    return web.Response()


async def delete(name: str, context: Context) -> web.StreamResponse:
    """DELETE /bucket?<name>: back to the default, or to nothing where that is another thing."""
    setting = SETTINGS[name]
    gone = "" if setting.default and setting.missing else None
    await context.store.keep_setting(context.bucket, name, gone)
    return web.Response(status=204)


async def put_versioning(context: Context) -> web.StreamResponse:
    """PUT /bucket?versioning: only what changes nothing."""
    tree = s3_xml.parse(await context.document(), "VersioningConfiguration")
    if tree.findtext("Status") == "Enabled":
        raise AwsError(
            "NotImplemented", "Object versions are not implemented on this platform.", 501
        )
    await context.store.bucket(context.bucket)
    return web.Response()


async def get_acl(context: Context) -> web.StreamResponse:
    """GET /bucket?acl and /bucket/key?acl: the owner, and nobody else."""
    if context.key:
        await context.store.get(context.bucket, context.key)
    else:
        await context.store.bucket(context.bucket)
    kind = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"'
    grant: s3_xml.Node = ("Grant", [("Grantee", [*_owner()]), ("Permission", "FULL_CONTROL")])
    body = s3_xml.document("AccessControlPolicy", [OWNER, ("AccessControlList", [grant])])
    body = body.replace(b"<Grantee>", f"<Grantee{kind}>".encode())
    return web.Response(body=body, headers={"Content-Type": "application/xml"})


def _owner() -> tuple[s3_xml.Node, ...]:
    return ("ID", ACCOUNT), ("DisplayName", "mmectl")


async def put_acl(context: Context) -> web.StreamResponse:
    """PUT ?acl: refused, as on a bucket whose owner owns every object."""
    context.check_acl()
    if context.header("x-amz-acl") is None:
        raise AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs")
    await context.store.bucket(context.bucket)
    return web.Response()


# policies are JSON


async def get_policy(context: Context) -> web.StreamResponse:
    """GET /bucket?policy."""
    return web.Response(
        body=(await _policy(context)).encode(), headers={"Content-Type": "application/json"}
    )


async def _policy(context: Context) -> str:
    found = await context.store.setting(context.bucket, "policy")
    if not found:
        raise _missing(context, "NoSuchBucketPolicy", "The bucket policy does not exist")
    return found


async def get_policy_status(context: Context) -> web.StreamResponse:
    """GET /bucket?policyStatus: nobody else gets in, whatever the policy says."""
    await _policy(context)
    return context.xml("PolicyStatus", [("IsPublic", False)])


async def put_policy(context: Context) -> web.StreamResponse:
    """PUT /bucket?policy."""
    body = await context.document()
    try:
        policy = json.loads(body)
    except ValueError:
        policy = None
    if not isinstance(policy, dict):
        raise AwsError(
            "MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'"
        )
    await context.store.keep_setting(context.bucket, "policy", body.decode())
    return web.Response(status=204)


async def delete_policy(context: Context) -> web.StreamResponse:
    """DELETE /bucket?policy."""
    await context.store.keep_setting(context.bucket, "policy", None)
    return web.Response(status=204)

"""Settings of a bucket that tools ask for: kept and answered as on AWS, but not carried out.

A document is checked as AWS checks it. Nothing expires, is encrypted or is public here.
Versioning is refused, because who asks for it relies on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from aiohttp import web

from mmectl.local.s3 import encryption, lifecycle, rules
from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.http import Context
from mmectl.local.values import ACCOUNT, AwsError

Check = Callable[[ET.Element], ET.Element]


@dataclass(frozen=True, slots=True)
class Setting:
    """A subresource: its document's root, what is there at first, and the error of none.

    `default` None means nothing is there at first. With a `check` PUT and DELETE are taken: it
    returns the document that is kept, or raises AwsError. `headers` go with the answers; no
    other value of them is taken.
    """

    root: str
    default: tuple[s3_xml.Node, ...] | None = ()
    missing: tuple[str, str] | None = None
    check: Check | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


IDENTITY: tuple[s3_xml.Node, ...] = (("ID", ACCOUNT), ("DisplayName", "mmectl"))
OWNER: s3_xml.Node = ("Owner", IDENTITY)
ENFORCED = "BucketOwnerEnforced"
OWNERSHIPS = (ENFORCED, "BucketOwnerPreferred", "ObjectWriter")
_AES: s3_xml.Node = ("ApplyServerSideEncryptionByDefault", [("SSEAlgorithm", "AES256")])

# Defaults of new buckets, error codes and texts: the S3 API reference, by operation.
SETTINGS: Mapping[str, Setting] = {
    "accelerate": Setting("AccelerateConfiguration"),
    "cors": Setting(
        "CORSConfiguration",
        None,
        ("NoSuchCORSConfiguration", "The CORS configuration does not exist"),
        check=rules.cors,
    ),
    "encryption": Setting(
        "ServerSideEncryptionConfiguration",
        (("Rule", [_AES, ("BucketKeyEnabled", False)]),),
        check=encryption.checked,
    ),
    "lifecycle": Setting(
        "LifecycleConfiguration",
        None,
        ("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
        check=lifecycle.checked,
        headers={"x-amz-transition-default-minimum-object-size": "all_storage_classes_128K"},
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
        (("Rule", [("ObjectOwnership", ENFORCED)]),),
        ("OwnershipControlsNotFoundError", "The bucket ownership controls were not found"),
        check=rules.ownership(OWNERSHIPS),
    ),
    "publicAccessBlock": Setting(
        "PublicAccessBlockConfiguration",
        tuple((name, True) for name in rules.BLOCKS),
        (
            "NoSuchPublicAccessBlockConfiguration",
            "The public access block configuration was not found",
        ),
        check=rules.public_access,
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
KEPT = frozenset(name for name, setting in SETTINGS.items() if setting.check)


def _missing(context: Context, code: str, message: str) -> AwsError:
    return AwsError(code, message, 404, {"BucketName": context.bucket})


async def get(name: str, context: Context) -> web.StreamResponse:
    """GET /bucket?<name>: as it was put, else the default."""
    setting = SETTINGS[name]
    found = await context.store.setting(context.bucket, name)
    if found:
        headers = {"Content-Type": "application/xml", **setting.headers}
        return web.Response(body=found.encode(), headers=headers)
    if setting.missing and (setting.default is None or found == ""):
        raise _missing(context, *setting.missing)
    return context.xml(setting.root, list(setting.default or ()))


async def put(name: str, context: Context) -> web.StreamResponse:
    """PUT /bucket?<name>."""
    setting = SETTINGS[name]
    refused = next(
        (h for h in setting.headers if context.header(h) not in (None, setting.headers[h])), None
    )
    if refused:
        raise AwsError("NotImplemented", f"{refused} is not implemented.", 501, {"Header": refused})
    tree = await context.tree(setting.root)
    body = s3_xml.write(setting.check(tree) if setting.check else tree)
    await context.store.keep_setting(context.bucket, name, body.decode())
    return web.Response(headers=setting.headers)


async def delete(name: str, context: Context) -> web.StreamResponse:
    """DELETE /bucket?<name>: back to the default, or to nothing where that is another thing."""
    setting = SETTINGS[name]
    gone = "" if setting.default and setting.missing else None
    await context.store.keep_setting(context.bucket, name, gone)
    return web.Response(status=204)


async def put_versioning(context: Context) -> web.StreamResponse:
    """PUT /bucket?versioning: refused, whatever the status, for it would not be kept."""
    await context.tree("VersioningConfiguration")
    await context.store.bucket(context.bucket)
    raise AwsError(
        "NotImplemented",
        "PutBucketVersioning: object versions are not implemented on this platform.",
        501,
    )

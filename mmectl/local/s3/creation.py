"""CreateBucket: name, region, namespace, ownership and tags of a new bucket."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from aiohttp import web

from mmectl.local.s3 import acl, tags
from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.http import Context, check_bucket_name
from mmectl.local.s3.store import FIRST_REGION
from mmectl.local.values import ACCOUNT, AwsError

CONFIGURATION = "CreateBucketConfiguration"
OTHER_KINDS = ("Bucket", "Location")  # members that speak of directory buckets
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}


async def create_bucket(context: Context) -> web.StreamResponse:
    """PUT /bucket: the location constraint must be the region that was asked, as on AWS."""
    check_bucket_name(context.bucket)
    tree = await context.tree(CONFIGURATION) if context.has_body() else ET.Element(CONFIGURATION)
    region = context.call.claim.region
    wanted = tree.findtext("LocationConstraint") or None
    _check_location(region, wanted)
    _check_kind(tree)
    _check_namespace(context, region)
    acl.check_of_new_bucket(context)
    await context.store.create_bucket(
        context.bucket,
        wanted or region,
        tags=tags.of_bucket_document(tree),
        settings=_ownership(context),
    )
    headers = {"Location": f"/{context.bucket}", "x-amz-bucket-arn": arn(context.bucket, region)}
    return web.Response(headers=headers)


def arn(bucket: str, region: str) -> str:
    """The name of a bucket in the partition of its region."""
    found = (name for start, name in _PARTITIONS.items() if region.startswith(start))
    return f"arn:{next(found, 'aws')}:s3:::{bucket}"


def _ownership(context: Context) -> Mapping[str, str]:
    """The setting that x-amz-object-ownership stands for; none without the header."""
    value = context.header("x-amz-object-ownership")
    if value is None:
        return {}
    acl.check_ownership(value)
    rule: s3_xml.Node = ("Rule", [("ObjectOwnership", value)])
    return {"ownershipControls": s3_xml.document("OwnershipControls", [rule]).decode()}


def _check_kind(tree: ET.Element) -> None:
    named = [name for name in OTHER_KINDS if tree.find(name) is not None]
    if named:
        raise AwsError(
            "NotImplemented", "Directory buckets are not implemented.", 501, {"Header": named[0]}
        )


def _check_namespace(context: Context, region: str) -> None:
    """A bucket of the account's own namespace tells account and region in its name."""
    namespace = context.header("x-amz-bucket-namespace")
    suffix = f"-{ACCOUNT}-{region}-an"
    good = namespace in (None, "global") or (
        namespace == "account-regional" and context.bucket.endswith(suffix)
    )
    if not good:
        raise AwsError(
            "InvalidNamespaceHeader",
            f"A bucket of the account-regional namespace has a name that ends in {suffix}.",
            400,
            {"ArgumentName": "x-amz-bucket-namespace", "ArgumentValue": namespace},
        )


def _check_location(region: str, wanted: str | None) -> None:
    if region == FIRST_REGION:
        if wanted == FIRST_REGION:
            raise AwsError(
                "InvalidLocationConstraint",
                "The specified location-constraint is not valid",
                400,
                {"LocationConstraint": wanted},
            )
    elif wanted != region:
        raise AwsError(
            "IllegalLocationConstraintException",
            f"The {wanted or 'unspecified'} location constraint is incompatible for the region "
            "specific endpoint this request was sent to.",
        )

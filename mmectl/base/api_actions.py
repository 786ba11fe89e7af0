"""The IAM actions that calls of AWS's APIs need, where they are not called as the call is.

Source: Service Authorization Reference; for S3 "Required permissions for Amazon S3 API operations".
"""

from __future__ import annotations

from collections.abc import Mapping

# operation -> actions; the other operations of S3 have an action of their name
_S3: Mapping[str, tuple[str, ...]] = {
    "HeadBucket": ("ListBucket",),
    "ListObjects": ("ListBucket",),
    "ListObjectsV2": ("ListBucket",),
    "ListBuckets": ("ListAllMyBuckets",),
    "ListObjectVersions": ("ListBucketVersions",),
    "ListMultipartUploads": ("ListBucketMultipartUploads",),
    "ListParts": ("ListMultipartUploadParts",),
    "HeadObject": ("GetObject",),
    "CreateMultipartUpload": ("PutObject",),
    "UploadPart": ("PutObject",),
    "CompleteMultipartUpload": ("PutObject",),
    "CopyObject": ("PutObject", "GetObject"),
    "DeleteObjects": ("DeleteObject",),
    "GetBucketEncryption": ("GetEncryptionConfiguration",),
    "PutBucketEncryption": ("PutEncryptionConfiguration",),
    "GetBucketLifecycleConfiguration": ("GetLifecycleConfiguration",),
    "PutBucketLifecycleConfiguration": ("PutLifecycleConfiguration",),
}
# signing name of a service -> prefix of its actions, where they differ
_PREFIXES = {
    "monitoring": "cloudwatch",
    "sagemaker-runtime": "sagemaker",
    "resourcegroupstaggingapi": "tag",
    "tagging": "tag",
    "service-quotas": "servicequotas",
}
FREE = frozenset({"sts:GetCallerIdentity"})
"""What needs no permission."""


def actions_of(service: str, operation: str) -> tuple[str, ...]:
    """The actions of a call, such as ``s3:ListBucket``; () where it needs none.

    `service` is the signing name or boto3's name of the service.
    """
    names = _S3.get(operation, (operation,)) if service == "s3" else (operation,)
    found = tuple(f"{_PREFIXES.get(service, service)}:{name}" for name in names)
    return tuple(action for action in found if action not in FREE)

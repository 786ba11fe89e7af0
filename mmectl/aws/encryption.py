"""Server-side encryption with a key of one's own: every write of a client into a bucket names it.

The headers are added where botocore builds the request, so that no write can be without them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# The operations that make an object. The parts of an upload take the key that it was begun with.
WRITES = ("PutObject", "CreateMultipartUpload", "CopyObject")


def encrypt_writes(client: Any, bucket: Callable[[], str], key: str) -> None:
    """Let a boto3 S3 client name the KMS key in every write into that bucket.

    A bucket key spares a request to KMS for each object.
    """

    def name_key(params: dict[str, Any], **_: Any) -> None:
        if params.get("Bucket") == bucket():
            params.update(ServerSideEncryption="aws:kms", SSEKMSKeyId=key, BucketKeyEnabled=True)

    for operation in WRITES:
        client.meta.events.register(f"before-parameter-build.s3.{operation}", name_key)

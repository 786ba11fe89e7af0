"""Objects that the platform itself writes, as an AWS service does for its customer."""

from __future__ import annotations

import asyncio
import hashlib
import time

from mmectl.local.s3 import denials, encryption
from mmectl.local.s3.index import Entry
from mmectl.local.s3.store import ObjectStore


async def write_document(
    store: ObjectStore, bucket: str, key: str, body: bytes, kms_key: str | None
) -> None:
    """Write an object, encrypted as asked or as its bucket does by itself.

    Raises AwsError: NoSuchBucket, AccessDenied by the bucket's policy.
    """
    default = encryption.of_setting(await store.setting(bucket, "encryption"))
    asked = {encryption.ALGORITHM: "aws:kms", encryption.KEY: kms_key} if kms_key else {}
    policy = await store.setting(bucket, "policy")
    denials.refuse_write(policy, bucket, key, asked)
    headers = {"Content-Type": "application/x-jsonlines", **encryption.chosen(asked, default)}
    incoming = store.incoming()
    try:
        await asyncio.to_thread(incoming.write, body)
        file = await asyncio.to_thread(incoming.keep)
    finally:
        incoming.discard()
    etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
    await store.put(bucket, Entry(key, file, len(body), etag, round(time.time(), 3), headers))

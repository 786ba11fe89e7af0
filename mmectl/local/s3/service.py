"""The S3 subset of the embedded platform: which operation a request means, and its errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from aiohttp import web

from mmectl.local.call import Call, unquote
from mmectl.local.s3 import (
    acl,
    attributes,
    creation,
    deletion,
    headers,
    policy,
    settings,
    tags,
    uploads,
)
from mmectl.local.s3 import buckets as s3_buckets
from mmectl.local.s3 import multipart as s3_multipart
from mmectl.local.s3 import objects as s3_objects
from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.http import Context
from mmectl.local.s3.store import ObjectStore
from mmectl.local.values import ACCOUNT, AwsError

__all__ = ["S3", "ObjectStore"]

Operation = Callable[[Context], Awaitable[web.StreamResponse]]
MAX_KEY = 1024  # bytes

BUCKET: Mapping[tuple[str, str], Operation] = {
    ("GET", ""): s3_buckets.list_objects,
    ("GET", "list-type"): s3_buckets.list_objects_v2,
    ("GET", "location"): s3_buckets.get_location,
    ("GET", "versions"): s3_buckets.list_versions,
    ("GET", "tagging"): tags.get_of_bucket,
    ("GET", "uploads"): uploads.list_uploads,
    ("PUT", ""): creation.create_bucket,
    ("PUT", "tagging"): tags.put_of_bucket,
    ("HEAD", ""): s3_buckets.head_bucket,
    ("DELETE", ""): s3_buckets.delete_bucket,
    ("DELETE", "tagging"): tags.delete_of_bucket,
    ("POST", "delete"): deletion.delete_objects,
    ("GET", "acl"): acl.get,
    ("PUT", "acl"): acl.put,
    ("GET", "policy"): policy.get,
    ("GET", "policyStatus"): policy.get_status,
    ("PUT", "policy"): policy.put,
    ("DELETE", "policy"): policy.delete,
    ("PUT", "versioning"): settings.put_versioning,
    **{("GET", name): partial(settings.get, name) for name in settings.SETTINGS},
    **{("PUT", name): partial(settings.put, name) for name in settings.KEPT},
    **{("DELETE", name): partial(settings.delete, name) for name in settings.KEPT},
}
OBJECT: Mapping[tuple[str, str], Operation] = {
    ("GET", ""): s3_objects.get_object,
    ("GET", "partNumber"): s3_objects.get_object,
    ("HEAD", "partNumber"): s3_objects.head_object,
    ("GET", "attributes"): attributes.get_attributes,
    ("GET", "acl"): acl.get,
    ("PUT", "acl"): acl.put,
    ("GET", "tagging"): tags.get_of_object,
    ("PUT", "tagging"): tags.put_of_object,
    ("DELETE", "tagging"): tags.delete_of_object,
    ("GET", "uploadId"): s3_multipart.list_parts,
    ("HEAD", ""): s3_objects.head_object,
    ("PUT", ""): s3_objects.put_object,
    ("PUT", "copy"): s3_objects.copy_object,
    ("PUT", "uploadId"): s3_multipart.upload_part,
    ("PUT", "uploadId+copy"): s3_multipart.upload_part_copy,
    ("POST", "uploads"): s3_multipart.create,
    ("POST", "uploadId"): s3_multipart.complete,
    ("DELETE", ""): deletion.delete_object,
    ("DELETE", "uploadId"): s3_multipart.abort,
}
# parameters that change an operation, not which one it is
MODIFIERS = frozenset(
    {
        *("x-id", "prefix", "delimiter", "max-keys", "marker", "continuation-token"),
        *("start-after", "fetch-owner", "encoding-type", "max-buckets", "bucket-region"),
        *("versionId", "version-id-marker", "key-marker", "upload-id-marker"),
        *("max-uploads", "max-parts", "part-number-marker"),
        *headers.OVERRIDES,
    }
)
# beginnings of headers that ask for what is not there: better refused than silently ignored
REFUSED_HEADERS = (
    "x-amz-object-lock-",
    "x-amz-server-side-encryption-customer-",
    "x-amz-copy-source-server-side-encryption-customer-",
    "x-amz-server-side-encryption-context",
    "x-amz-write-offset-bytes",
    "x-amz-if-match-",
)
# operations whose names are not formed as most are
NAMES = {
    ("POST", "restore"): "RestoreObject",
    ("POST", "select"): "SelectObjectContent",
    ("PUT", "renameObject"): "RenameObject",
    ("PUT", "versioning"): "PutBucketVersioning",
    ("PUT", "object-lock"): "PutObjectLockConfiguration",
    ("PUT", "publicAccessBlock"): "PutPublicAccessBlock",
    ("GET", "session"): "CreateSession",
}


def subresource(params: Mapping[str, str], copy: bool) -> str:
    """The parameter that selects the operation, ``""`` for none.

    ``list-type`` is no part of a signature of version 2: it selects only where nothing else does.
    """
    names = [name for name in params if name not in MODIFIERS]
    names.sort(key=lambda name: name == "list-type")
    if "uploadId" in names:
        names = [name for name in names if name != "partNumber"]
    main = names[0] if names else ""
    if copy:
        return f"{main}+copy" if main else "copy"
    return main


def operation_name(method: str, level: str, sub: str) -> str:
    """An operation's name as S3 forms most of them, ``GetBucketAcl``."""
    if (method, sub) in NAMES:
        return NAMES[method, sub]
    camel = "".join(part[:1].upper() + part[1:] for part in sub.split("-"))
    return f"{method.capitalize()}{level}{camel}"


class S3:
    """Answers the calls whose credential scope is ``s3``."""

    def __init__(self, store: ObjectStore, account: str = ACCOUNT) -> None:
        self._store, self._account = store, account

    async def __call__(self, call: Call) -> web.StreamResponse:
        """Run the operation; raises AwsError for the gateway to render."""
        raw_bucket, _, raw_key = call.path.removeprefix("/").partition("/")
        context = Context(self._store, call, unquote(raw_bucket), unquote(raw_key))
        _check_text(context)
        operation = self._operation(context)
        owner = call.header("x-amz-expected-bucket-owner")
        if owner not in (None, self._account):
            raise AwsError("AccessDenied", "Access Denied", 403)
        if self._names_acl(context):
            await acl.check(context)
        return await operation(context)

    @staticmethod
    def _names_acl(context: Context) -> bool:
        """Whether it writes an object; what makes a bucket or sets a list looks for itself."""
        writes = context.call.request.method in ("PUT", "POST")
        return bool(context.key) and writes and "acl" not in context.params

    def _operation(self, context: Context) -> Operation:
        call = context.call
        method, copy = call.request.method, call.header("x-amz-copy-source") is not None
        sub = subresource(call.params, copy)
        if context.key:
            level, table = "Object", OBJECT
        elif context.bucket:
            level, table = "Bucket", BUCKET
        else:
            level, table = "Service", {("GET", ""): s3_buckets.list_buckets}
        operation = table.get((method, sub))
        if operation is None:
            name = operation_name(method, level, sub)
            raise AwsError(
                "NotImplemented", f"The operation {name} is not implemented.", 501, {"Header": sub}
            )
        if call.params.get("versionId") not in (None, "", "null"):
            raise AwsError("InvalidArgument", "Invalid version id specified")
        _check_headers(call)
        if len(context.key.encode("utf-8", "surrogateescape")) > MAX_KEY:
            raise AwsError("KeyTooLongError", "Your key is too long")
        return operation


def _check_text(context: Context) -> None:
    """Bucket, key and query are UTF-8, else nobody could name them again."""
    names = (context.bucket, context.key, *context.params, *context.params.values())
    if not all(map(s3_xml.is_text, names)):
        raise AwsError("InvalidURI", "Couldn't parse the specified URI.")


def _check_headers(call: Call) -> None:
    for name in map(str.lower, call.headers):
        lock = name == "x-amz-bucket-object-lock-enabled" and call.header(name) != "false"
        if lock or name.startswith(REFUSED_HEADERS):
            raise AwsError(
                "NotImplemented",
                "A header you provided implies functionality that is not implemented",
                501,
                {"Header": name},
            )


def render_error(call: Call, error: AwsError) -> web.Response:
    """An error as S3 writes it; HEAD has no body."""
    members: list[s3_xml.Node] = [(name, str(value)) for name, value in error.members.items()]
    members.append(("Resource", unquote(call.path)))
    body = s3_xml.error(error.code, error.message, members, call.request_id)
    headers = {"Content-Type": "application/xml"}
    if call.request.method == "HEAD" or error.status == 304:
        return web.Response(status=error.status)
    return web.Response(status=error.status, body=body, headers=headers)

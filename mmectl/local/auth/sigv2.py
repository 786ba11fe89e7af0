"""Presigned URLs of AWS Signature Version 2, which boto3 still makes for S3 by default; pure.

Source of the rules: "Signing and authenticating REST requests (AWS signature version 2)" of
the S3 user guide. Only the query form is taken; requests are signed with version 4.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence

from mmectl.base.values import Credentials
from mmectl.local.auth.claims import Claim, Refused, Request, expired, mismatch, pairs

REGION = "us-east-1"  # version 2 names none
PARAMS = frozenset({"AWSAccessKeyId", "Signature", "Expires"})
# parameters that select what is done, and so are signed
SIGNED = frozenset(
    {
        *("accelerate", "acl", "analytics", "cors", "delete", "inventory", "lifecycle"),
        *("location", "logging", "metrics", "notification", "object-lock", "partNumber"),
        *("policy", "replication", "requestPayment", "restore", "select", "select-type"),
        *("storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId"),
        *("versioning", "versions", "website", "response-cache-control"),
        *("response-content-disposition", "response-content-encoding"),
        *("response-content-language", "response-content-type", "response-expires"),
    }
)
# parameters that are not signed and do no harm: they choose a page of a listing
FREE = frozenset(
    {
        *("x-id", "prefix", "delimiter", "max-keys", "marker", "list-type", "start-after"),
        *("continuation-token", "encoding-type", "fetch-owner", "key-marker", "max-parts"),
        *("max-uploads", "part-number-marker", "upload-id-marker", "version-id-marker"),
    }
)
HEADERS = ("content-md5", "content-type")


def is_claimed(request: Request) -> bool:
    """Whether the query carries such a signature, and nothing else does."""
    return "AWSAccessKeyId=" in request.query and request.headers.get("Authorization") is None


def read_claim(request: Request) -> Claim:
    """The claim, of the service s3; raises Refused. `expires` is an epoch second here."""
    fields = dict(pairs(request.query))
    key = fields.get("AWSAccessKeyId", "")
    signature = fields.get("Signature", "").replace(" ", "+")  # sloppily encoded base64
    until = fields.get("Expires", "")
    if not key or not signature or not (until.isascii() and until.isdigit() and len(until) < 12):
        raise Refused(
            "bad_query",
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId "
            "parameters",
        )
    return Claim(key, "", REGION, "s3", "", (), signature, presigned=True, expires=int(until))


def verify(request: Request, claim: Claim, credentials: Credentials, now: float) -> None:
    """Check time and signature; the access key was checked. Raises Refused."""
    if now > claim.expires:
        raise expired(claim.expires, now)
    fields = pairs(request.query)
    unknown = {
        name
        for name, _ in fields
        if name not in SIGNED | FREE | PARAMS and not name.lower().startswith("x-amz-")
    } - set(HEADERS)
    texts = [string_to_sign(request, claim, path, fields) for path in _resources(request.path)]
    given = claim.signature.encode("utf-8", "surrogateescape")
    if unknown or not any(
        hmac.compare_digest(_signature(text, credentials), given) for text in texts
    ):
        raise mismatch(claim.access_key_id, claim.signature, {"StringToSign": texts[-1]})


def _signature(text: str, credentials: Credentials) -> bytes:
    secret = credentials.secret_access_key.encode()
    digest = hmac.digest(secret, text.encode("utf-8", "surrogateescape"), "sha1")
    return base64.b64encode(digest)


def _resources(path: str) -> tuple[str, ...]:
    """The signed resource; a bucket alone is signed with a slash behind it, sent or not."""
    alone = len(path) > 1 and "/" not in path[1:]
    return (path, path + "/") if alone else (path,)


def string_to_sign(
    request: Request, claim: Claim, path: str, fields: Sequence[tuple[str, str]]
) -> str:
    """What is signed: method, two headers, expiry, ``x-amz-`` headers, path and parameters.

    `fields` are the decoded query. Its ``x-amz-`` parameters stand for headers; a parameter
    is signed by the name that it means, however it is encoded, and as often as it is there.
    """
    headers: dict[str, list[str]] = {}
    for name, value in fields:
        if name.lower().startswith("x-amz-"):
            headers.setdefault(name.lower(), []).append(value)
    for name in {name.lower() for name in request.headers.keys()}:  # noqa: SIM118  # a protocol
        headers[name] = [value.strip() for value in request.headers.getall(name, [])]
    amz = "".join(
        f"{n}:{','.join(headers[n])}\n" for n in sorted(headers) if n.startswith("x-amz-")
    )
    content = [",".join(headers.get(name, [])) for name in HEADERS]
    signed = sorted(_signed_parameters(request.query), key=lambda part: part[0])
    pairs_text = "&".join("".join(part) for part in signed)
    resource = path + ("?" + pairs_text if signed else "")
    return "\n".join([request.method, *content, str(claim.expires), amz + resource])


def _signed_parameters(query: str) -> list[tuple[str, str, str]]:
    """Name, equals sign if there is one, and value, decoded, of those that are signed."""
    raw = [part for part in query.split("&") if part]
    decoded = zip(raw, pairs(query), strict=True)
    return [(name, "=" * ("=" in part), value) for part, (name, value) in decoded if name in SIGNED]

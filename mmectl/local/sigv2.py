"""Presigned URLs of AWS Signature Version 2, which boto3 still makes for S3 by default; pure.

Source of the rules: "Signing and authenticating REST requests (AWS signature version 2)" of
the S3 user guide. Only the query form is taken; requests are signed with version 4.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from urllib.parse import unquote_plus

from mmectl.local.claims import Claim, Refused, Request, expired, mismatch
from mmectl.state import Credentials

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
    fields = _fields(request.query)
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
    fields = _fields(request.query)
    unknown = {
        name
        for name in fields
        if name not in SIGNED | FREE | PARAMS and not name.lower().startswith("x-amz-")
    } - set(HEADERS)
    text = string_to_sign(request, claim, fields)
    secret = credentials.secret_access_key.encode()
    digest = hmac.digest(secret, text.encode("utf-8", "surrogateescape"), "sha1")
    given = claim.signature.encode("utf-8", "surrogateescape")
    if unknown or not hmac.compare_digest(base64.b64encode(digest), given):
        raise mismatch(claim.access_key_id, claim.signature, {"StringToSign": text})


def string_to_sign(request: Request, claim: Claim, fields: Mapping[str, str]) -> str:
    """What is signed: method, two headers, expiry, ``x-amz-`` headers, path and parameters.

    Headers may stand in the query instead.
    """
    headers = {name.lower(): value for name, value in fields.items()}
    for name in {name.lower() for name in request.headers.keys()}:  # noqa: SIM118  # a protocol
        values = request.headers.getall(name, [])
        headers[name] = ",".join(value.strip() for value in values)
    amz = "".join(f"{n}:{headers[n]}\n" for n in sorted(headers) if n.startswith("x-amz-"))
    content = [headers.get(name, "") for name in HEADERS]
    chosen = sorted(
        (part.partition("=") for part in request.query.split("&")), key=lambda part: part[0]
    )
    pairs = [name + sign + fields[name] for name, sign, _ in chosen if name in SIGNED]
    resource = request.path + ("?" + "&".join(pairs) if pairs else "")
    return "\n".join([request.method, *content, str(claim.expires), amz + resource])


def _fields(query: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in query.split("&") if part)
    return {
        unquote_plus(name, errors="surrogateescape"): unquote_plus(value, errors="surrogateescape")
        for name, _, value in pairs
    }

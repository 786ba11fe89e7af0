"""AWS Signature Version 4: verify and sign; pure, standard library only.

Source of the rules: "Authenticating Requests (AWS Signature Version 4)" of the S3 API
reference and "Create a signed AWS API request" of the IAM user guide.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from mmectl.base.values import Credentials
from mmectl.local.auth.claims import (
    ALGORITHM,
    Claim,
    Refused,
    Request,
    check_key,
    check_signed_headers,
    check_time,
    mismatch,
    pairs,
)

EMPTY_SHA256 = hashlib.sha256().hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
SAFE = "-_.~"


@lru_cache(maxsize=64)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of one day, region and service."""
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode("utf-8", "surrogateescape"), "sha256")
    return key


def hex_hmac(key: bytes, text: str) -> str:
    """HMAC-SHA256 as lower-case hex."""
    return hmac.digest(key, text.encode("utf-8", "surrogateescape"), "sha256").hex()


def verify(
    request: Request, claim: Claim, credentials: Credentials, payload_hash: str, now: float
) -> bytes:
    """Check key, time and signature; return the signing key (chunks are signed with it).

    `payload_hash` is what stands in the canonical request: the hex SHA-256 of the body or,
    for S3, the value of ``x-amz-content-sha256``. Raises Refused.
    """
    check_key(claim, credentials)
    check_time(claim, now)
    check_signed_headers(request, claim)
    key = signing_key(credentials.secret_access_key, claim.date, claim.region, claim.service)
    given = claim.signature.encode("utf-8", "surrogateescape")
    text = canonical = ""
    for path, query in _forms(request, claim):
        canonical = _canonical(request, claim, path, query, payload_hash)
        text = string_to_sign(claim.timestamp, claim.scope, canonical)
        if hmac.compare_digest(hex_hmac(key, text).encode(), given):
            return key
    raise mismatch(
        claim.access_key_id, claim.signature, {"StringToSign": text, "CanonicalRequest": canonical}
    )


def _forms(request: Request, claim: Claim) -> Iterable[tuple[str, str]]:
    """The canonical path and query: first as sent, then normalised (clients differ)."""
    query = request.query
    if claim.presigned:
        query = "&".join(p for p in query.split("&") if not p.startswith("X-Amz-Signature="))
    raw = "&".join(sorted(p if "=" in p else p + "=" for p in query.split("&") if p))
    clean = "&".join(f"{k}={v}" for k, v in sorted(_encode(k, v) for k, v in pairs(query)))
    paths = _paths(request.path or "/", claim.service)
    seen = set()
    for form in ((p, q) for q in (raw, clean) for p in paths):
        if form not in seen:
            seen.add(form)
            yield form


def _paths(path: str, service: str) -> tuple[str, ...]:
    """S3 signs the path encoded once and not normalised; every other service encodes twice."""
    if service == "s3":
        return path, quote(unquote_to_bytes(path), safe="/" + SAFE)
    return quote(_normalise(path), safe="/" + SAFE), quote(path, safe="/" + SAFE)


def _normalise(path: str) -> str:
    """Remove empty and dot segments (RFC 3986), as every service but S3 asks."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in ("", "."):
            kept.append(part)
    end = "/" if path.endswith("/") and kept else ""
    return "/" + "/".join(kept) + end


def _encode(name: str, value: str) -> tuple[str, str]:
    return (
        quote(name.encode("utf-8", "surrogateescape"), safe=SAFE),
        quote(value.encode("utf-8", "surrogateescape"), safe=SAFE),
    )


def _canonical(request: Request, claim: Claim, path: str, query: str, payload_hash: str) -> str:
    lines = []
    for name in claim.signed_headers:
        values = request.headers.getall(name, [])
        if not values:
            raise Refused("mismatch", f"The signed header '{name}' is missing.")
        lines.append(f"{name}:{','.join(' '.join(v.split()) for v in values)}\n")
    names = ";".join(claim.signed_headers)
    return f"{request.method}\n{path}\n{query}\n{''.join(lines)}\n{names}\n{payload_hash}"


def string_to_sign(timestamp: str, scope: str, canonical: str) -> str:
    """The text that the signing key signs."""
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}"


def sign(
    method: str,
    path: str,
    headers: Mapping[str, str],
    credentials: Credentials,
    *,
    region: str,
    service: str,
    now: float,
    payload_hash: str = EMPTY_SHA256,
) -> dict[str, str]:
    """The headers (X-Amz-Date, Authorization and the given ones) of a request.

    `payload_hash` is the hex SHA-256 of its body.

    `headers` must hold Host; `path` has no query and needs no encoding.
    """
    timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    signed = {**{name.lower(): value for name, value in headers.items()}, "x-amz-date": timestamp}
    names = ";".join(sorted(signed))
    scope = f"{timestamp[:8]}/{region}/{service}/aws4_request"
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    canonical = f"{method}\n{path}\n\n{lines}\n{names}\n{payload_hash}"
    key = signing_key(credentials.secret_access_key, timestamp[:8], region, service)
    signature = hex_hmac(key, string_to_sign(timestamp, scope, canonical))
    authorization = (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return {**signed, "authorization": authorization}

"""The signature's claims in a request, checked as far as no secret is needed; pure.

Sources as in `sigv4`.
"""

from __future__ import annotations

import calendar
import hmac
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Literal, Protocol
from urllib.parse import unquote_to_bytes

from mmectl.base.values import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_SKEW = 15 * 60  # seconds
MAX_PRESIGNED = 7 * 24 * 3600  # seconds
UNSUPPORTED = (
    f"The authorization mechanism you have provided is not supported. Please use {ALGORITHM}."
)

_SECONDS = re.compile("[0-9]{1,6}")
_STAMP = re.compile("[0-9]{8}T[0-9]{6}Z")

Reason = Literal[
    "missing",
    "malformed",
    "bad_query",
    "unsupported",
    "both",
    "unknown_key",
    "mismatch",
    "unsigned",
    "skewed",
    "future",
    "expired",
]


class Refused(Exception):
    """The request does not prove that its sender knows our secret; `reason` says why.

    `members` are what S3 tells besides, nothing that the sender does not know.
    """

    def __init__(
        self, reason: Reason, message: str, members: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
        self.members = dict(members or {})


class Headers(Protocol):
    """A multi-dictionary with case-insensitive names, as aiohttp's."""

    def keys(self) -> Iterable[str]:
        """The names, one for each value."""
        ...

    def get(self, name: str, /) -> str | None:
        """The first value of that name."""
        ...

    def getall(self, name: str, default: list[str], /) -> list[str]:
        """Every value of that name, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """What is signed: `path` and `query` are raw, exactly as on the request line."""

    method: str
    path: str
    query: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about its signature, not verified yet."""

    access_key_id: str
    date: str
    region: str
    service: str
    timestamp: str
    signed_headers: tuple[str, ...]
    signature: str
    presigned: bool
    expires: int = 0

    @property
    def scope(self) -> str:
        """The credential scope, ``20260101/us-east-1/s3/aws4_request``."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def read_claim(request: Request) -> Claim:
    """Take the claim from the Authorization header or the query; raises Refused."""
    header = request.headers.get("Authorization")
    in_query = "X-Amz-Algorithm=" in request.query
    if header is not None and in_query:
        raise Refused("both", "Only one auth mechanism allowed: a header, or the query.")
    if header is not None:
        return _header_claim(header, request)
    if in_query:
        return _query_claim(request)
    raise Refused("missing", "The request is not signed.")


def _header_claim(header: str, request: Request) -> Claim:
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise Refused("unsupported", UNSUPPORTED)
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    timestamp = request.headers.get("X-Amz-Date") or _of_date(request.headers.get("Date") or "")
    return _claim(
        fields.get("Credential", ""),
        fields.get("SignedHeaders", ""),
        fields.get("Signature", ""),
        timestamp,
    )


def _of_date(date: str) -> str:
    """A Date header in the form of X-Amz-Date, which it may stand in for; as it is when unclear."""
    try:
        return _stamp(parsedate_to_datetime(date).timestamp())
    except (TypeError, ValueError, IndexError, OverflowError):
        return date


def _query_claim(request: Request) -> Claim:
    fields = {name: value for name, value in pairs(request.query) if name.startswith("X-Amz-")}
    if fields.get("X-Amz-Algorithm") != ALGORITHM:
        raise Refused("bad_query", f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    expires = fields.get("X-Amz-Expires", "")
    if not _SECONDS.fullmatch(expires) or not 0 < int(expires) <= MAX_PRESIGNED:
        raise Refused("bad_query", "X-Amz-Expires must be between 1 and 604800 seconds.")
    return _claim(
        fields.get("X-Amz-Credential", ""),
        fields.get("X-Amz-SignedHeaders", ""),
        fields.get("X-Amz-Signature", ""),
        fields.get("X-Amz-Date", ""),
        int(expires),
    )


def _claim(
    credential: str, signed_headers: str, signature: str, timestamp: str, expires: int = 0
) -> Claim:
    scope = credential.split("/")
    if len(scope) != 5 or scope[4] != "aws4_request" or not signature:
        raise Refused("malformed", "The credential, the signed headers or the signature is bad.")
    names = tuple(signed_headers.split(";"))
    if "host" not in names:
        raise Refused("malformed", "The Host header must be signed.")
    if not timestamp.startswith(scope[1]):
        raise Refused("malformed", "The date of the credential and of the request differ.")
    return Claim(
        scope[0],
        scope[1],
        scope[2],
        scope[3],
        timestamp,
        names,
        signature,
        expires > 0,
        expires,
    )


def check_time(claim: Claim, now: float) -> None:
    """Refuse a request from too far in the past or the future; `now` in epoch seconds."""
    sent = _sent(claim.timestamp)
    if claim.presigned:
        if sent - now > MAX_SKEW:
            raise Refused("future", "Request is not yet valid", {"ServerTime": iso(now)})
        if now > sent + claim.expires:
            raise expired(sent + claim.expires, now, claim.expires)
    elif abs(sent - now) > MAX_SKEW:
        raise _skewed(claim.timestamp, sent, now)


def _sent(timestamp: str) -> int:
    """Epoch seconds of X-Amz-Date; raises Refused."""
    refused = Refused("malformed", "X-Amz-Date must look like 20260102T030405Z.")
    if not _STAMP.fullmatch(timestamp):
        raise refused
    try:
        return calendar.timegm(time.strptime(timestamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise refused from None


def expired(until: float, now: float, seconds: int | None = None) -> Refused:
    """The refusal of a presigned URL that was good until then."""
    members: dict[str, object] = {} if seconds is None else {"X-Amz-Expires": seconds}
    return Refused(
        "expired", "Request has expired", {**members, "Expires": iso(until), "ServerTime": iso(now)}
    )


def _skewed(timestamp: str, sent: float, now: float) -> Refused:
    """AWS's text for a clock that is off, with the limit that was passed."""
    minutes = f"{MAX_SKEW // 60} min."
    if sent < now:
        limit, sign, text = now - MAX_SKEW, "-", "Signature expired: {} is now earlier than {}"
    else:
        limit, sign, text = (
            now + MAX_SKEW,
            "+",
            "Signature not yet current: {} is still later than {}",
        )
    text = text.format(timestamp, _stamp(limit)) + f" ({_stamp(now)} {sign} {minutes})"
    members = {
        "RequestTime": timestamp,
        "ServerTime": iso(now),
        "MaxAllowedSkewMilliseconds": MAX_SKEW * 1000,
    }
    return Refused("skewed", text, members)


def _stamp(seconds: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def iso(seconds: float) -> str:
    """Epoch seconds as S3's errors write them, ``2026-01-02T03:04:05Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def mismatch(
    access_key_id: str, signature: str, computed: Mapping[str, object] | None = None
) -> Refused:
    """The refusal of a signature; `computed` is what it should have been made from."""
    return Refused(
        "mismatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        {"AWSAccessKeyId": access_key_id, "SignatureProvided": signature, **(computed or {})},
    )


def check_key(claim: Claim, credentials: Credentials) -> None:
    """Refuse a foreign access key; raises Refused."""
    theirs = claim.access_key_id.encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(theirs, credentials.access_key_id.encode()):
        raise Refused(
            "unknown_key",
            "The access key is not one of this platform.",
            {"AWSAccessKeyId": claim.access_key_id},
        )


def check_signed_headers(request: Request, claim: Claim) -> None:
    """Refuse ``x-amz-`` headers that the signature does not cover: they change what is done."""
    names = {name.lower() for name in request.headers.keys()}  # noqa: SIM118  # a protocol
    left = sorted(n for n in names if n.startswith("x-amz-") and n not in claim.signed_headers)
    if left:
        raise Refused(
            "unsigned",
            "There were headers present in the request which were not signed",
            {"HeadersNotSigned": ", ".join(left)},
        )


def pairs(query: str) -> list[tuple[str, str]]:
    """Names and values of a raw query, decoded, in order."""
    parts = (part.partition("=") for part in query.split("&") if part)
    return [(_unquote(name), _unquote(value)) for name, _, value in parts]


def _unquote(text: str) -> str:
    plain = text.replace("+", " ").encode("utf-8", "surrogateescape")
    return unquote_to_bytes(plain).decode("utf-8", "surrogateescape")

"""AWS's errors, in the text and protocol of the service that was called."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Literal
from xml.sax.saxutils import escape

from aiohttp import web

from mmectl.local.auth import claims
from mmectl.local.call import Call
from mmectl.local.s3 import service as s3
from mmectl.local.values import MAX_INVOKE, AwsError

Protocol = Literal["s3", "query", "cbor", "json", "runtime"]
JSON_1_1 = "application/x-amz-json-1.1"
QUERY_SERVICES = ("sts", "iam")
_FORM = "application/x-www-form-urlencoded"
_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# code, status and text (None: that of the refusal) of a refused signature, by reason
Words = Mapping[claims.Reason, tuple[str, int, "str | None"]]
_TOKEN = "The security token included in the request is invalid."  # noqa: S105
_CHECK = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)
# Source: "Error responses" of the S3 API reference.
S3: Words = {
    "missing": ("AccessDenied", 403, "Access Denied"),
    "malformed": ("AuthorizationHeaderMalformed", 400, None),
    "bad_query": ("AuthorizationQueryParametersError", 400, None),
    "unsupported": ("InvalidRequest", 400, None),
    "both": ("InvalidArgument", 400, None),
    "unknown_key": (
        "InvalidAccessKeyId",
        403,
        "The AWS Access Key Id you provided does not exist in our records.",
    ),
    "mismatch": ("SignatureDoesNotMatch", 403, None),
    "unsigned": ("AccessDenied", 403, None),
    "skewed": (
        "RequestTimeTooSkewed",
        403,
        "The difference between the request time and the current time is too large.",
    ),
    "future": ("AccessDenied", 403, None),
    "expired": ("AccessDenied", 403, None),
}
# Source: "Common errors" of the STS and IAM API references.
QUERY: Words = {
    "missing": ("MissingAuthenticationToken", 403, "Request is missing Authentication Token"),
    "malformed": ("IncompleteSignature", 400, None),
    "bad_query": ("IncompleteSignature", 400, None),
    "unsupported": ("IncompleteSignature", 400, None),
    "both": ("IncompleteSignature", 400, None),
    "unknown_key": ("InvalidClientTokenId", 403, _TOKEN),
    "mismatch": ("SignatureDoesNotMatch", 403, _CHECK),
    "unsigned": ("SignatureDoesNotMatch", 403, None),
    "skewed": ("SignatureDoesNotMatch", 403, None),
    "future": ("SignatureDoesNotMatch", 403, None),
    "expired": ("SignatureDoesNotMatch", 403, None),
}
# JSON services answer 400 where REST ones answer 403.
JSON: Words = {
    "missing": ("MissingAuthenticationTokenException", 400, "Missing Authentication Token"),
    "malformed": ("IncompleteSignatureException", 400, None),
    "bad_query": ("IncompleteSignatureException", 400, None),
    "unsupported": ("IncompleteSignatureException", 400, None),
    "both": ("IncompleteSignatureException", 400, None),
    "unknown_key": ("UnrecognizedClientException", 400, _TOKEN),
    "mismatch": ("InvalidSignatureException", 400, _CHECK),
    "unsigned": ("InvalidSignatureException", 400, None),
    "skewed": ("InvalidSignatureException", 400, None),
    "future": ("InvalidSignatureException", 400, None),
    "expired": ("InvalidSignatureException", 400, None),
}


RUNTIME_PATH = "/endpoints/"


def protocol_of(service: str, path: str, headers: Mapping[str, str]) -> Protocol:
    """How a client expects errors: by the service, else by the form of its request.

    `service` is empty while nobody knows it; `headers` have names without regard to case.
    """
    kind = headers.get("Content-Type") or ""
    if service == "s3":
        return "s3"
    if headers.get("smithy-protocol") == "rpc-v2-cbor":
        return "cbor"
    runtime = path.startswith(RUNTIME_PATH)  # the type of its body is the container's business
    if service in QUERY_SERVICES or (kind.lower().startswith(_FORM) and not runtime):
        return "query"
    if service or "X-Amz-Target" in headers:
        return "runtime" if runtime else "json"
    return "s3"


def refusal(protocol: Protocol, error: claims.Refused) -> AwsError:
    """A refused signature in the words of the service that was called."""
    words: Words = {"s3": S3, "query": QUERY}.get(protocol, JSON)
    code, status, text = words[error.reason]
    members = error.members if protocol == "s3" else {}
    return AwsError(code, text or error.message, 403 if protocol == "runtime" else status, members)


def render(call: Call, error: AwsError) -> web.Response:
    """An error in the protocol of the service that was called."""
    protocol = protocol_of(call.claim.service, call.path, call.request.headers)
    if protocol == "s3":
        return s3.render_error(call, error)
    if protocol == "query":
        return _query_error(call, error)
    if protocol == "runtime" and error.code == "RequestEntityTooLarge":
        return _too_large()
    if protocol == "cbor":
        return _cbor_error(error)
    key = "Message" if protocol == "runtime" else "message"
    body = {"__type": error.code, key: error.message, **error.members}
    if protocol == "runtime":
        del body["__type"]
    return web.Response(
        status=error.status,
        body=json.dumps(body).encode(),
        headers={
            "Content-Type": "application/json" if protocol == "runtime" else JSON_1_1,
            "x-amzn-ErrorType": error.code,
        },
    )


def _too_large() -> web.Response:
    """As AWS's front door says it: no error type, so that clients see the code 413."""
    text = f"HTTP content length exceeded {MAX_INVOKE} bytes."
    return web.json_response({"message": text}, status=413)


def _cbor_error(error: AwsError) -> web.Response:
    headers = {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
    body = cbor_of_texts({"__type": error.code, "message": error.message})
    return web.Response(status=error.status, headers=headers, body=body)


def cbor_of_texts(members: Mapping[str, str]) -> bytes:
    """A map of texts in CBOR (RFC 8949): what errors are."""
    parts = [bytes([0xA0 + len(members)])]
    for text in (part for pair in members.items() for part in pair):
        raw = text.encode("utf-8", "replace")
        parts += [b"\x7a", len(raw).to_bytes(4, "big"), raw]
    return b"".join(parts)


def xml_text(text: str) -> str:
    """Text as it may stand in XML; what no XML can carry becomes a question mark."""
    return escape(_NOT_IN_XML.sub("?", text))


def _query_error(call: Call, error: AwsError) -> web.Response:
    kind = "Sender" if error.status < 500 else "Receiver"
    text = (
        f"<ErrorResponse><Error><Type>{kind}</Type><Code>{error.code}</Code>"
        f"<Message>{xml_text(error.message)}</Message></Error>"
        f"<RequestId>{call.request_id}</RequestId></ErrorResponse>"
    )
    return web.Response(
        status=error.status, body=text.encode(), headers={"Content-Type": "text/xml"}
    )

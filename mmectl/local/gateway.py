"""The front door: host, signature, dispatch by the credential scope's service, errors.

Everything behind it may rely on a request being ours and signed with our secret. The body of
an S3 request is checked by S3 while it streams; every other body is read and hashed here.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Literal
from xml.sax.saxutils import escape

from aiohttp import web

from mmectl.local import sigv4
from mmectl.local.call import Call, Handler
from mmectl.local.s3 import service as s3
from mmectl.local.values import MAX_INVOKE, AwsError
from mmectl.state import Credentials

log = logging.getLogger(__name__)

Protocol = Literal["s3", "query", "json", "runtime"]
# code and status of a refused signature, by reason: S3's names, and the other protocols'
_S3 = {
    "missing": ("AccessDenied", 403),
    "malformed": ("AuthorizationHeaderMalformed", 400),
    "unknown_key": ("InvalidAccessKeyId", 403),
    "mismatch": ("SignatureDoesNotMatch", 403),
    "skewed": ("RequestTimeTooSkewed", 403),
    "expired": ("AccessDenied", 403),
}
_QUERY = {
    "missing": ("MissingAuthenticationToken", 403),
    "malformed": ("IncompleteSignature", 400),
    "unknown_key": ("InvalidClientTokenId", 403),
    "mismatch": ("SignatureDoesNotMatch", 403),
    "skewed": ("RequestExpired", 400),
    "expired": ("RequestExpired", 400),
}
_JSON = {
    "missing": ("MissingAuthenticationTokenException", 403),
    "malformed": ("IncompleteSignatureException", 400),
    "unknown_key": ("UnrecognizedClientException", 403),
    "mismatch": ("InvalidSignatureException", 403),
    "skewed": ("InvalidSignatureException", 403),
    "expired": ("InvalidSignatureException", 403),
}
_QUERY_SERVICES = ("sts", "iam")
HASH_INLINE = 512 * 1024  # bytes above which a body is hashed in a thread


def protocol_of(service: str, path: str) -> Protocol:
    """How a service writes its errors."""
    if service == "s3":
        return "s3"
    if service in _QUERY_SERVICES:
        return "query"
    return "runtime" if path.startswith("/endpoints/") else "json"


def refusal(protocol: Protocol, error: sigv4.Refused) -> AwsError:
    """A refused signature in the words of the service that was called."""
    codes = {"s3": _S3, "query": _QUERY}.get(protocol, _JSON)
    code, status = codes[error.reason]
    return AwsError(code, error.message, status)


class Gateway:
    """Answers every request; `services` are handlers by signing name.

    `hosts` are the values of the Host header that are ours: a page in a browser that resolves
    its own name to this machine is refused.
    """

    def __init__(
        self,
        credentials: Credentials,
        hosts: Collection[str],
        services: Mapping[str, Handler],
        body_limits: Callable[[str, str], int],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._credentials, self._hosts, self._services = credentials, frozenset(hosts), services
        self._limit, self._clock = body_limits, clock

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Check, dispatch, and render what goes wrong."""
        path, _, query = request.raw_path.partition("?")
        claim = sigv4.Claim("", "", "", "s3", "", (), "", presigned=False)
        call = Call(request, path, query, claim, uuid.uuid4().hex)
        try:
            response = await self._answer(call)
        except AwsError as error:
            response = render(call, error)
        except sigv4.Refused as error:
            response = render(call, refusal(protocol_of(call.claim.service, path), error))
        except ConnectionError as error:  # nobody is there to read an answer
            log.debug("%s %s: %s", request.method, path, error)
            response = render(call, AwsError("RequestTimeout", "The client went away."))
            response.force_close()
        except Exception:
            log.exception("%s %s failed (request %s)", request.method, path, call.request_id)
            text = f"An internal error occurred; see the platform's log, request {call.request_id}."
            response = render(call, AwsError("InternalFailure", text, 500))
        if not response.prepared:
            response.headers["x-amzn-RequestId"] = call.request_id
            response.headers["x-amz-request-id"] = call.request_id
        if call.expects and not call.continued:
            response.force_close()  # the client still holds its body back
        return response

    async def _answer(self, call: Call) -> web.StreamResponse:
        if call.header("Host") not in self._hosts:
            raise AwsError("AccessDenied", "The Host header is not this platform's address.", 403)
        signed = sigv4.Request(call.request.method, call.path, call.query, call.request.headers)
        call.claim = sigv4.read_claim(signed)
        service = call.claim.service
        handler = self._services.get(service)
        if handler is None:
            known = ", ".join(sorted(self._services))
            raise AwsError(
                "UnknownServiceException",
                f"The embedded platform has no service '{service}'; it has {known}.",
                404,
            )
        sigv4.check_key(call.claim, self._credentials)
        sigv4.check_time(call.claim, self._clock())
        if service == "s3":
            digest = call.header("x-amz-content-sha256") or sigv4.UNSIGNED
        else:
            call.payload = await call.body(self._limit(service, call.path))
            digest = await _sha256(call.payload)
        call.key = sigv4.verify(signed, call.claim, self._credentials, digest, self._clock())
        return await handler(call)


async def _sha256(body: bytes) -> str:
    if len(body) <= HASH_INLINE:
        return hashlib.sha256(body).hexdigest()
    return (await asyncio.to_thread(hashlib.sha256, body)).hexdigest()


def render(call: Call, error: AwsError) -> web.Response:
    """An error in the protocol of the service that was called."""
    protocol = protocol_of(call.claim.service, call.path)
    if protocol == "s3":
        return s3.render_error(call, error)
    if protocol == "query":
        return _query_error(call, error)
    if protocol == "runtime" and error.code == "RequestEntityTooLarge":
        return _too_large()
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


JSON_1_1 = "application/x-amz-json-1.1"


def _too_large() -> web.Response:
    """As AWS's front door says it: no error type, so that clients see the code 413."""
    text = f"HTTP content length exceeded {MAX_INVOKE} bytes."
    return web.json_response({"message": text}, status=413)


def _query_error(call: Call, error: AwsError) -> web.Response:
    kind = "Sender" if error.status < 500 else "Receiver"
    text = (
        f"<ErrorResponse><Error><Type>{kind}</Type><Code>{escape(error.code)}</Code>"
        f"<Message>{escape(error.message)}</Message></Error>"
        f"<RequestId>{call.request_id}</RequestId></ErrorResponse>"
    )
    return web.Response(
        status=error.status, body=text.encode(), headers={"Content-Type": "text/xml"}
    )

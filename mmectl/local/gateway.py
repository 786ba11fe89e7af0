"""The front door: host, signature, dispatch by the credential scope's service, errors.

Everything behind it may rely on a request being ours and signed with our secret. The body of
an S3 request is checked by S3 while it streams; every other body is read and hashed here.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import uuid
from collections.abc import Callable, Collection, Mapping

from aiohttp import web

from mmectl.local import claims, sigv2, sigv4
from mmectl.local.call import Call, Handler
from mmectl.local.refusals import protocol_of, refusal, render
from mmectl.local.values import AwsError
from mmectl.state import Credentials

log = logging.getLogger(__name__)

HASH_INLINE = 512 * 1024  # bytes above which a body is hashed in a thread


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
        self._credentials, self._hosts, self._services = (
            credentials,
            [[host] for host in hosts],
            services,
        )
        self._limit, self._clock = body_limits, clock

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Check, dispatch, and render what goes wrong."""
        path, _, query = request.raw_path.partition("?")
        claim = claims.Claim("", "", "", "", "", (), "", presigned=False)
        call = Call(request, path, query, claim, uuid.uuid4().hex)
        try:
            response = await self._answer(call)
        except AwsError as error:
            response = render(call, error)
        except claims.Refused as error:
            protocol = protocol_of(call.claim.service, path, request.headers)
            response = render(call, refusal(protocol, error))
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
        if call.request.headers.getall("Host", []) not in self._hosts:
            raise AwsError("AccessDenied", "The Host header is not this platform's address.", 403)
        signed = claims.Request(call.request.method, call.path, call.query, call.request.headers)
        _refuse_form(signed)
        _refuse_preflight(signed)
        old = sigv2.is_claimed(signed)
        call.claim = sigv2.read_claim(signed) if old else claims.read_claim(signed)
        service = call.claim.service
        handler = self._services.get(service)
        if handler is None:
            known = ", ".join(sorted(self._services))
            raise AwsError(
                "UnknownServiceException",
                f"The embedded platform has no service '{service}'; it has {known}.",
                404,
            )
        claims.check_key(call.claim, self._credentials)
        if old:
            sigv2.verify(signed, call.claim, self._credentials, self._clock())
        else:
            await self._verify(call, signed)
        return await handler(call)

    async def _verify(self, call: Call, signed: claims.Request) -> None:
        """Verify version 4; every body but that of S3 is read for it."""
        claims.check_time(call.claim, self._clock())
        if call.claim.service == "s3":
            digest = call.header("x-amz-content-sha256") or sigv4.UNSIGNED
        else:
            call.payload = await call.body(self._limit(call.claim.service, call.path))
            digest = await _sha256(call.payload)
        call.key = sigv4.verify(signed, call.claim, self._credentials, digest, self._clock())


def _refuse_form(request: claims.Request) -> None:
    """Say that uploads by a browser's form are not there, instead of that they are not signed."""
    kind = (request.headers.get("Content-Type") or "").lower()
    if request.method == "POST" and kind.startswith("multipart/form-data"):
        raise AwsError(
            "NotImplemented",
            "Uploads by a form with a POST policy are not implemented; use PutObject or a "
            "presigned URL for it.",
            501,
        )


def _refuse_preflight(request: claims.Request) -> None:
    """Say that browsers are not let in from elsewhere; they never sign what they ask first."""
    if request.method == "OPTIONS":
        raise AwsError("NotImplemented", "The CORS preflight (OPTIONS) is not answered.", 501)


async def _sha256(body: bytes) -> str:
    if len(body) <= HASH_INLINE:
        return hashlib.sha256(body).hexdigest()
    return (await asyncio.to_thread(hashlib.sha256, body)).hexdigest()

"""The gateway: checks host and signature, dispatches by service, answers errors.

Everything behind it may rely on a request being ours and signed with our secret. The body of
an S3 request is checked by S3 while it streams; every other body is read and hashed here.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from aiohttp import web

from mmectl.base.values import Credentials
from mmectl.local.auth import claims, derived_keys, sigv2, sigv4
from mmectl.local.call import Call, Handler
from mmectl.local.refusals import RUNTIME_PATH, protocol_of, refusal, render
from mmectl.local.server.bodies import BodyBudget, patience
from mmectl.local.server.principals import Principal
from mmectl.local.values import AwsError

log = logging.getLogger(__name__)

_DIGEST = re.compile("[0-9a-f]{64}")
HEALTH = "/health"
HASH_INLINE = 512 * 1024  # bytes above which a body is hashed in a thread


class Keys(Protocol):
    """Access keys beside the project's own."""

    async def find(self, access_key_id: str) -> Principal | None:
        """Whose key it is; None: nobody's."""
        ...

    async def require(self, who: Principal, call: Call) -> None:
        """Raise AwsError where their policies do not allow a call whose signature is right."""
        ...


class Gateway:
    """Answers every request; `services` are handlers by signing name.

    `hosts` are the values of the Host header that are ours: a page in a browser that resolves
    its own name to this machine is refused. `health` answers ``GET /health``, which nobody need
    sign; without it that is refused as everything else.
    """

    def __init__(
        self,
        credentials: Credentials,
        hosts: Collection[str],
        services: Mapping[str, Handler],
        body_limits: Callable[[str, str], int],
        *,
        clock: Callable[[], float] = time.time,
        patience: Callable[[int], float] = patience,
        keys: Keys | None = None,
        health: Callable[[], Awaitable[web.Response]] | None = None,
    ) -> None:
        self._credentials, self._hosts, self._services = (
            credentials,
            [[host] for host in hosts],
            services,
        )
        self._limit, self._clock = body_limits, clock
        self._bodies, self._patience = BodyBudget(), patience
        self._keys, self._health = keys, health

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
        given = [host.lower() for host in call.request.headers.getall("Host", [])]
        if given not in self._hosts:
            raise AwsError("AccessDenied", "The Host header is not this platform's address.", 403)
        if self._health is not None and call.path == HEALTH and call.request.method == "GET":
            return await self._health()
        signed = claims.Request(call.request.method, call.path, call.query, call.request.headers)
        _refuse_preflight(signed)
        old = sigv2.is_claimed(signed)
        try:
            call.claim = sigv2.read_claim(signed) if old else claims.read_claim(signed)
        except claims.Refused as error:
            if error.reason == "missing":  # a form carries its signature in its body
                _refuse_form(signed)
            raise
        service = call.claim.service
        handler = self._services.get(service)
        if handler is None:
            known = ", ".join(sorted(self._services))
            raise AwsError(
                "UnknownServiceException",
                f"The embedded platform has no service '{service}'; it has {known}.",
                404,
            )
        who, credentials = await self._whose(call.claim)
        if old:
            sigv2.verify(signed, call.claim, credentials, self._clock())
        else:
            await self._verify(call, signed, credentials)
        if who is not None and self._keys is not None:
            await self._keys.require(who, call)
            call.may = who.may
        return await handler(call)

    async def _whose(self, claim: claims.Claim) -> tuple[Principal | None, Credentials]:
        """Whose key a request names, None: the project's own or one of it. Raises Refused."""
        own = derived_keys.find(self._credentials, claim.access_key_id)
        if own is not None:
            return None, own
        who = await self._keys.find(claim.access_key_id) if self._keys else None
        if who is None:
            claims.check_key(claim, self._credentials)
            raise AssertionError("a key that is not ours was taken for ours")
        return who, who.credentials

    async def _verify(self, call: Call, signed: claims.Request, credentials: Credentials) -> None:
        """Verify version 4: before the body is read where its digest is in a header."""
        claims.check_time(call.claim, self._clock())
        claims.check_signed_headers(signed, call.claim)
        said = call.header("x-amz-content-sha256") or ""
        if call.claim.service == "s3":
            self._check(call, signed, said or sigv4.UNSIGNED, credentials)
        elif _DIGEST.fullmatch(said):
            self._check(call, signed, said, credentials)
            await self._read(call)
            if await _sha256(call.payload) != said:
                raise claims.mismatch(call.claim.access_key_id, call.claim.signature)
        else:
            async with self._bodies.of(self._size(call)):
                await self._read(call)
                self._check(call, signed, await _sha256(call.payload), credentials)

    def _check(
        self, call: Call, signed: claims.Request, digest: str, credentials: Credentials
    ) -> None:
        call.key = sigv4.verify(signed, call.claim, credentials, digest, self._clock())

    def _size(self, call: Call) -> int:
        """Bytes that the body will take; as many as it may where it does not say."""
        limit = self._limit(call.claim.service, call.path)
        length = call.request.content_length
        if length is None:
            return limit if call.request.can_read_body else 0
        return min(length, limit)

    async def _read(self, call: Call) -> None:
        """Read the body as a whole, in a time that its size allows."""
        limit = self._limit(call.claim.service, call.path)
        call.payload = await call.body(limit, self._patience(self._size(call)))


def _refuse_form(request: claims.Request) -> None:
    """Say that uploads by a browser's form are not there, instead of that they are not signed."""
    kind = (request.headers.get("Content-Type") or "").lower()
    upload = request.method == "POST" and not request.path.startswith(RUNTIME_PATH)
    if upload and kind.startswith("multipart/form-data"):
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

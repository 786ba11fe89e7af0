"""The layer in front of the services: every verified request passes it, also those of boto3.

Nothing behind it knows of it. Not in front of the platform's own status.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from aiohttp import web

from mmectl.local.bad_day.asked import RUNTIME, Asked, asked
from mmectl.local.bad_day.faults import Chance, Fault
from mmectl.local.bad_day.replicas import BEHIND, Replicas
from mmectl.local.call import Call, Handler
from mmectl.local.control.values import Kind, Names
from mmectl.local.refusals import JSON_1_1
from mmectl.local.values import ACCOUNT, AwsError

SPARED = ("mmectl",)  # services that are no part of AWS
_CONTROL = "sagemaker"
_LISTS = "lists"  # which any change changes
# of an operation that creates: the kind and the member that names it
_CREATES: Mapping[str, tuple[Kind, str]] = {
    "CreateModel": ("model", "ModelName"),
    "CreateEndpointConfig": ("endpoint-config", "EndpointConfigName"),
}
_BUILT_ON_CONFIG = ("CreateEndpoint", "UpdateEndpoint")


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer as a value, to be given again."""

    status: int
    body: bytes
    kind: str = JSON_1_1
    error: tuple[str, str] | None = None

    def response(self) -> web.Response:
        """A response of its own; raises AwsError for a refusal."""
        if self.error is not None:
            raise AwsError(*self.error, self.status)
        return web.Response(status=self.status, body=self.body, headers={"Content-Type": self.kind})


def in_front(
    services: Mapping[str, Handler], layer: Callable[[Handler], Handler]
) -> dict[str, Handler]:
    """The services with a layer of faults before each that may meet them."""
    return {
        name: handler if name in SPARED else layer(handler) for name, handler in services.items()
    }


class BadDay:
    """Faults by `seed`: equal sequences of requests meet equal faults.

    `clock` gives seconds: nothing is behind for longer than `replicas.BEHIND` of them.
    """

    def __init__(self, seed: int, region: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._chance, self._clock = Chance(seed), clock
        self._replicas: Replicas[Outcome] = Replicas(self._chance.depth, clock)
        self._names = Names(region, ACCOUNT)
        self._unseen: dict[tuple[Kind, str], tuple[int, float]] = {}
        self._roles: dict[str, int] = {}

    def around(self, services: Mapping[str, Handler]) -> dict[str, Handler]:
        """The services with this layer in front of them."""
        return in_front(services, self._before)

    def _before(self, handler: Handler) -> Handler:
        async def answer(call: Call) -> web.StreamResponse:
            return await self.answer(call, handler)

        return answer

    async def answer(self, call: Call, handler: Handler) -> web.StreamResponse:
        """Answer one request of that service. Raises AwsError; ConnectionError: no answer."""
        ask = asked(call)
        fault = self._chance.fault(ask)
        if fault is not None and fault.how != "lost":
            return met(call, ask, fault)
        if ask.service == _CONTROL and ask.reads:
            subject = _LISTS if ask.operation.startswith("List") else ask.subject
            newest = await _outcome(call, handler)
            return self._replicas.answer(ask.key, subject, newest).response()
        if ask.service == _CONTROL:
            self._refuse_unseen(ask)
        response = await handler(call)
        if not ask.reads:
            self._replicas.wrote(ask.subject)
            self._replicas.wrote(_LISTS)
        if ask.operation in _CREATES and ask.service == _CONTROL:
            self._created(ask)
        if fault is not None and not response.prepared:
            raise closed(call)
        return response

    def _created(self, ask: Asked) -> None:
        kind, member = _CREATES[ask.operation]
        name = str(ask.params.get(member, "")).lower()
        depth = self._chance.depth(f"unseen {kind} {name}")
        self._unseen[kind, name] = depth, self._clock()

    def _refuse_unseen(self, ask: Asked) -> None:
        """Refuse what is built on a thing that was made just now, or a role not yet spread."""
        if ask.operation == "CreateModel":
            self._refuse_role(str(ask.params.get("ExecutionRoleArn", "")))
        if ask.operation == "CreateEndpointConfig":
            for variant in _variants(ask.params):
                self._refuse("model", str(variant.get("ModelName", "")))
        if ask.operation in _BUILT_ON_CONFIG:
            self._refuse("endpoint-config", str(ask.params.get("EndpointConfigName", "")))

    def _refuse(self, kind: Kind, name: str) -> None:
        left, since = self._unseen.get((kind, name.lower()), (0, 0.0))
        if left > 0 and self._clock() - since < BEHIND:
            self._unseen[kind, name.lower()] = left - 1, since
            raise self._names.missing(kind, name)

    def _refuse_role(self, arn: str) -> None:
        left = self._roles.get(arn)
        left = self._chance.depth(f"role {arn}") if left is None else left
        self._roles[arn] = max(left - 1, 0)
        if left > 0:
            raise AwsError(
                "ValidationException",
                f"Could not assume role {arn}. Please ensure that the role exists and allows "
                "principal 'sagemaker.amazonaws.com' to assume the role.",
            )


def _variants(params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = params.get("ProductionVariants")
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


async def _outcome(call: Call, handler: Handler) -> Outcome:
    """A read's answer, a refusal as well."""
    try:
        response = await handler(call)
    except AwsError as error:
        return Outcome(error.status, b"", error=(error.code, error.message))
    body = response.body if isinstance(response, web.Response) else b""
    return Outcome(response.status, bytes(body) if isinstance(body, bytes) else b"")


def met(call: Call, ask: Asked, fault: Fault) -> web.StreamResponse:
    """Answer with a fault; raises AwsError for one in the service's usual form."""
    if fault.how == "dropped":
        raise closed(call)
    if fault.how == "embedded":
        return _embedded(call, fault)
    if fault.text is None:
        return _null_message(ask, fault)
    raise AwsError(fault.code, fault.text, fault.status)


def closed(call: Call) -> ConnectionError:
    """Close the connection under the client, which hears nothing more."""
    transport = call.request.transport
    if transport is not None:
        transport.abort()
    return ConnectionResetError("a bad day")


def _null_message(ask: Asked, fault: Fault) -> web.Response:
    """REST services name the error in a header, JSON ones in the body."""
    runtime = ask.service == RUNTIME
    body = {"message": None} if runtime else {"__type": fault.code, "message": None}
    headers = {
        "Content-Type": "application/json" if runtime else JSON_1_1,
        "x-amzn-ErrorType": fault.code,
    }
    return web.Response(status=fault.status, body=json.dumps(body).encode(), headers=headers)


def _embedded(call: Call, fault: Fault) -> web.Response:
    """S3's answer where it had begun one before it failed: 200, with an error in the body."""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{fault.code}</Code><Message>{escape(fault.text or '')}</Message>"
        f"<RequestId>{call.request_id}</RequestId><HostId>-</HostId></Error>"
    )
    return web.Response(status=200, body=text.encode(), headers={"Content-Type": "application/xml"})

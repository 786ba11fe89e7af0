"""Faults that a client asks for: they befall requests that are signed with its own key.

``PUT /-/faults`` of the platform's own service takes ``{"faults": [...]}`` in place of those
before, ``GET`` shows them with how often each was met.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields
from typing import Any

from aiohttp import web

from mmectl.local.bad_day.asked import RUNTIME, Asked, asked
from mmectl.local.bad_day.faults import FAULTS, Fault
from mmectl.local.bad_day.layer import BadDay, closed, in_front, met
from mmectl.local.bad_day.rules import RequestedFault
from mmectl.local.call import Call, Handler
from mmectl.local.fleet.errors import model_error
from mmectl.local.payloads import json_object
from mmectl.local.values import AwsError

MOST_RULES = 100
DROPPED, LOST, MODEL_ERROR = "ConnectionClosed", "AnswerLost", "ModelError"
MOST_LATENCY = 300.0  # seconds
_TEXT = "A fault that was asked for."
_TARGET = "X-Amzn-SageMaker-Target-Model"
_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("code", "message", "operation", "model"), (str,)),
    **dict.fromkeys(("status", "times", "bad_day"), (int,)),
    "latency": (int, float),
}
KNOWN = {fault.code: fault for faults in FAULTS.values() for fault in faults if fault.code}


def requested_fault(told: Any) -> RequestedFault:
    """One as it was sent. Raises AwsError, naming what is wrong."""
    if not isinstance(told, dict):
        raise _wrong("a fault is an object")
    unknown = sorted(set(told) - {field.name for field in fields(RequestedFault)})
    if unknown:
        raise _wrong(f"a fault has no member {', '.join(unknown)}")
    given = {name: value for name, value in told.items() if value is not None}
    for name, value in given.items():
        if not isinstance(value, _KINDS[name]) or isinstance(value, bool):
            raise _wrong(f"{name} cannot be {value!r}")
    made = RequestedFault(**given)
    _check(made)
    return made


def _check(made: RequestedFault) -> None:
    if made.code is None and made.bad_day is None and made.latency <= 0:
        raise _wrong("a fault has a code, a latency or a bad_day")
    if not 0 <= made.latency <= MOST_LATENCY:
        raise _wrong(f"latency must be 0 to {MOST_LATENCY:g} seconds, not {made.latency}")
    if made.times is not None and made.times < 1:
        raise _wrong(f"times must be 1 or more, not {made.times}")
    if made.status is not None and not 400 <= made.status <= 599:
        raise _wrong(f"status must be 400 to 599, not {made.status}")
    known = made.code in (None, DROPPED, LOST, MODEL_ERROR, *KNOWN)
    if not known and made.status is None:
        names = ", ".join(sorted((*KNOWN, MODEL_ERROR, DROPPED, LOST)))
        raise _wrong(f"{made.code} is none of {names}; give any other one a status")


def _wrong(text: str) -> AwsError:
    return AwsError("ValidationException", text)


class _Met:
    """A rule and how often it was met."""

    def __init__(self, wanted: RequestedFault, region: str) -> None:
        self.rule, self.count = wanted, 0
        self.day = BadDay(wanted.bad_day, region) if wanted.bad_day is not None else None

    @property
    def left(self) -> bool:
        """Whether it may be met again."""
        return self.rule.times is None or self.count < self.rule.times


class Requested:
    """The rules of each key, and the layer that plays them in front of the services."""

    def __init__(
        self, region: str, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        self._region, self._sleep = region, sleep
        self._rules: dict[str, list[_Met]] = {}

    def answer(self, call: Call) -> dict[str, Any]:
        """Take new rules of the caller's, where it is a PUT, and tell those that it has."""
        key = call.claim.access_key_id
        if call.request.method == "PUT":
            told = json_object(call.payload).get("faults")
            if not isinstance(told, list) or len(told) > MOST_RULES:
                raise _wrong(f"faults must be a list of at most {MOST_RULES}")
            rules = [_Met(requested_fault(one), self._region) for one in told]
            self._rules.pop(key, None)
            if rules:
                self._rules[key] = rules
        return {"faults": [self._told(one) for one in self._rules.get(key, ())]}

    def _told(self, one: _Met) -> dict[str, Any]:
        values = {field.name: getattr(one.rule, field.name) for field in fields(RequestedFault)}
        return {**values, "met": one.count}

    def around(self, services: Mapping[str, Handler]) -> dict[str, Handler]:
        """The services with this layer in front of them."""
        return in_front(services, self._before)

    def _before(self, handler: Handler) -> Handler:
        async def answer(call: Call) -> web.StreamResponse:
            rules = self._rules.get(call.claim.access_key_id)
            return await (self._played(call, handler, rules) if rules else handler(call))

        return answer

    async def _played(self, call: Call, handler: Handler, rules: list[_Met]) -> web.StreamResponse:
        ask, target = asked(call), call.header(_TARGET) or ""
        found = next((one for one in rules if one.left and one.rule.fits(ask, target)), None)
        if found is None:
            return await handler(call)
        found.count += 1
        if found.day is not None:
            return await found.day.answer(call, handler)
        if found.rule.latency:
            await self._sleep(found.rule.latency)
        if found.rule.code is None:
            return await handler(call)
        if found.rule.code == LOST:
            await handler(call)
            raise closed(call)
        return met(call, ask, _fault(found.rule, ask, self._region))


def _fault(wanted: RequestedFault, ask: Asked, region: str) -> Fault:
    """The fault of a rule; raises AwsError for the model's own error."""
    if wanted.code == DROPPED:
        return Fault("dropped")
    if wanted.code == MODEL_ERROR:
        endpoint = ask.subject.split("/")[2] if ask.service == RUNTIME else ""
        said = wanted.message or _TEXT
        raise model_error(endpoint, "AllTraffic", region, wanted.status or 500, said, "i-0")
    code = wanted.code or ""
    of_service = {fault.code: fault for fault in FAULTS.get(ask.service, ())}
    usual = of_service.get(code) or KNOWN.get(code) or Fault("refused", code, 400, _TEXT)
    text = usual.text if wanted.message is None else wanted.message
    return Fault("refused", code, wanted.status or usual.status, text)

"""SageMaker, SageMaker Runtime, CloudWatch Logs and the platform's own status over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from mmectl.local.call import Call, unquote
from mmectl.local.control import unsupported
from mmectl.local.payloads import inflated, json_object
from mmectl.local.refusals import JSON_1_1
from mmectl.local.values import MAX_INVOKE, AwsError, InvokeRequest, InvokeResponse

MAX_BODY = 4 * 1024 * 1024  # bytes of any other body; no request of these services needs 1 MB
MAX_LAYER = 32 * 1024 * 1024  # bytes of a part of an image's layer, in base64
RUNTIME = "X-Amzn-SageMaker-"
INVOCATIONS = "/invocations"


class Operations(Protocol):
    """A service of JSON 1.1: the control plane, the logs."""

    async def call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Answer one operation; raises AwsError."""
        ...


class Serving(Protocol):
    """Where an endpoint's requests go."""

    @property
    def endpoint(self) -> str:
        """Its name."""
        ...

    @property
    def config(self) -> str:
        """What names its fleet to the data plane."""
        ...

    @property
    def multi_model(self) -> bool:
        """Whether it takes a TargetModel."""
        ...

    @property
    def capture(self) -> Mapping[str, Any] | None:
        """Its DataCaptureConfig, where requests are captured."""
        ...

    @property
    def others(self) -> tuple[str, ...]:
        """What names the fleets that the endpoint has besides, while it is updated."""
        ...


class Capturing(Protocol):
    """What captures requests."""

    def note(
        self,
        endpoint: str,
        config: Mapping[str, Any],
        request: InvokeRequest,
        response: InvokeResponse,
    ) -> None:
        """Capture an answered request, as its endpoint's DataCaptureConfig says."""
        ...


class Control(Operations, Protocol):
    """The control plane."""

    async def serving(self, endpoint_name: str, variant: str | None = None) -> Serving:
        """Where a request goes; raises AwsError as the runtime API words it."""
        ...


class Invoker(Protocol):
    """The data plane, as far as requests go."""

    async def invoke(self, endpoint: str, config: str, request: InvokeRequest) -> InvokeResponse:
        """Route one request; raises AwsError."""
        ...

    def describe(self, endpoint: str, config: str) -> list[dict[str, object]]:
        """One row per instance."""
        ...


def body_limit(service: str, path: str) -> int:
    """The largest body a service takes, in bytes."""
    if service == "sagemaker" and path.endswith(INVOCATIONS):
        return MAX_INVOKE
    return MAX_LAYER if service == "ecr" else MAX_BODY


class JsonService:
    """Answers ``X-Amz-Target: <prefix>.<Operation>``."""

    def __init__(self, prefix: str, operations: Operations) -> None:
        self._prefix, self._operations = prefix + ".", operations

    async def __call__(self, call: Call) -> web.StreamResponse:
        """Decode, call, encode."""
        target = call.header("X-Amz-Target") or ""
        if call.request.method != "POST" or not target.startswith(self._prefix):
            raise AwsError("UnknownOperationException", f"There is no operation '{target}'.")
        limit = body_limit(call.claim.service, call.path)
        params = json_object(inflated(call.payload, call.header("Content-Encoding"), limit))
        answer = await self._operations.call(target.removeprefix(self._prefix), params)
        body = json.dumps(answer).encode() if answer else b"{}"
        return web.Response(body=body, headers={"Content-Type": JSON_1_1})


class SageMaker:
    """The control plane and, under ``/endpoints/``, the runtime."""

    def __init__(
        self, control: Control, fleets: Invoker, captures: Capturing | None = None
    ) -> None:
        self._control, self._fleets, self._captures = control, fleets, captures
        self._json = JsonService("SageMaker", control)

    async def __call__(self, call: Call) -> web.StreamResponse:
        """Dispatch by path."""
        if not call.path.startswith("/endpoints/"):
            return await self._json(call)
        name, _, rest = call.path.removeprefix("/endpoints/").partition("/")
        if call.request.method != "POST" or "/" + rest != INVOCATIONS:
            raise unsupported.invocation(rest)
        return await self._invoke(call, unquote(name))

    async def _invoke(self, call: Call, name: str) -> web.StreamResponse:
        target = call.header(RUNTIME + "Target-Model")
        variant = call.header(RUNTIME + "Target-Variant")
        _check_lengths(call)
        serving = await self._control.serving(name, variant)
        _check_target(serving, target, call.request_id)
        _check_members(serving, call)
        request = InvokeRequest(
            call.payload,
            call.header("Content-Type"),
            call.header("Accept"),
            call.header(RUNTIME + "Custom-Attributes"),
            target,
            variant,
            call.header(RUNTIME + "Inference-Id"),
        )
        answer = await self._fleets.invoke(serving.endpoint, serving.config, request)
        if serving.capture is not None and self._captures is not None:
            self._captures.note(serving.endpoint, serving.capture, request, answer)
        headers = {
            "Content-Type": answer.content_type,
            "x-Amzn-Invoked-Production-Variant": answer.variant,
        }
        if answer.custom_attributes is not None:
            headers[RUNTIME + "Custom-Attributes"] = answer.custom_attributes
        # not SageMaker's: what `mmectl console` shows of where the time went
        headers[SECONDS] = " ".join(f"{name}={value:g}" for name, value in answer.seconds.items())
        return web.Response(body=answer.body, headers=headers)


def _update(described: Mapping[str, Any]) -> dict[str, Any] | None:
    """How far an update is: the new configuration, its stage, its part of the traffic."""
    pending = described.get("PendingDeploymentSummary")
    if not pending:
        return None
    new, old = pending.get("ProductionVariants", ()), described.get("ProductionVariants", ())
    weights = [sum(one.get("CurrentWeight", 0.0) for one in each) for each in (new, old)]
    stages = [state["Status"] for one in new for state in one.get("VariantStatus", ())]
    return {
        "config": pending.get("EndpointConfigName"),
        "stage": stages[0] if stages else None,
        "share": weights[0] / sum(weights) if sum(weights) else 0.0,
    }


SECONDS = "x-mmectl-seconds"
_LONGEST = {
    "Content-Type": 1024,
    "Accept": 1024,
    RUNTIME + "Custom-Attributes": 1024,
    RUNTIME + "Target-Variant": 63,
    RUNTIME + "Inference-Id": 64,
}
_ELSEWHERE = {
    "Inference-Component": "does not host inference components and does not support the "
    "inference component header",
    "Target-Container-Hostname": "is not a multi-container endpoint in Direct mode and does not "
    "support target container hostname header",
    "Enable-Explanations": "has no ExplainerConfig and does not support the enable explanations "
    "header",
    "Session-Id": "does not support stateful sessions and the session id header",
    "Prefix-Aware-Id": "does not route by prefix and does not support the prefix aware id header",
}
"""Members of InvokeEndpoint for endpoints that there are none of here, and what is said then."""


def _check_lengths(call: Call) -> None:
    for name, most in _LONGEST.items():
        if len(call.header(name) or "") > most:
            member = name.removeprefix(RUNTIME).replace("-", "")
            raise AwsError(
                "ValidationError",
                f"1 validation error detected: Value at '{member[0].lower()}{member[1:]}' failed "
                f"to satisfy constraint: Member must have length less than or equal to {most}",
            )


def _check_members(serving: Serving, call: Call) -> None:
    """Refuse what no endpoint here can do; raises AwsError."""
    for name, why in _ELSEWHERE.items():
        if call.header(RUNTIME + name) is not None:
            raise AwsError("ValidationError", f"Endpoint {serving.endpoint} {why}.")


def _check_target(serving: Serving, target: str | None, request_id: str) -> None:
    """Refuse a TargetModel too many or too few (texts and codes as seen on AWS)."""
    if target is not None and not serving.multi_model:
        raise AwsError(
            "ValidationError",
            f"Endpoint {serving.endpoint} is not a multi-model endpoint and does not support "
            "target model header.",
            members={"ErrorCode": "TARGET_MODEL_HEADER_NOT_SUPPORTED"},
        )
    if target is None and serving.multi_model:
        raise AwsError(
            "ValidationError",
            f"Request {request_id} is missing a target model header, which the multi-model "
            f"endpoint {serving.endpoint} requires.",
        )


FIGURES = "/-/figures/"
FAULTS = "/-/faults"
Figures = Callable[[str, float, str | None], Awaitable[dict[str, Any]]]


class Faults(Protocol):
    """What plays faults on request."""

    def answer(self, call: Call) -> dict[str, Any]:
        """Take what the caller asks for, and tell what it has; raises AwsError."""
        ...


async def _none(_endpoint: str, _seconds: float, _model: str | None) -> dict[str, Any]:
    return {"instances": [], "models": [], "moves": []}


class Status:
    """``GET /-/status``, signed for the service ``mmectl``: what runs here."""

    def __init__(
        self,
        control: Control,
        fleets: Invoker,
        logs: Mapping[str, Path],
        figures: Figures = _none,
        faults: Faults | None = None,
    ) -> None:
        self._control, self._fleets, self._logs = control, fleets, logs
        self._figures, self._faults = figures, faults
        self._started = time.monotonic()

    async def __call__(self, call: Call) -> web.StreamResponse:
        """The process, its endpoints with their instances, and where logs are."""
        if call.path == "/-/ping":
            return web.json_response({"pid": os.getpid()})
        if call.path.startswith(FIGURES):
            return web.json_response(await self._counted(call))
        if call.path == FAULTS and self._faults is not None:
            return web.json_response({"pid": os.getpid(), **self._faults.answer(call)})
        if call.path != "/-/status":
            raise AwsError("UnknownOperationException", f"There is no '{call.path}'.", 404)
        answer = {
            "pid": os.getpid(),
            "uptime": round(time.monotonic() - self._started, 3),
            "endpoints": await self.endpoints(),
            "logs": {name: str(path) for name, path in self._logs.items()},
        }
        return web.json_response(answer)

    async def _counted(self, call: Call) -> dict[str, Any]:
        """``/-/figures/ENDPOINT/SECONDS[/MODEL]``: what its containers counted, by model.

        Of one model, whose name is in hexadecimal digits, step by step.
        """
        name, _, rest = call.path.removeprefix(FIGURES).partition("/")
        seconds, _, digits = rest.partition("/")
        try:
            model = bytes.fromhex(digits).decode("utf-8", "surrogateescape") or None
        except ValueError:
            raise AwsError("ValidationError", f"'{call.path}' names no model.") from None
        if not seconds.isdecimal():
            raise AwsError("ValidationError", f"'{call.path}' names no number of seconds.")
        return {"pid": os.getpid(), **await self._figures(name, float(seconds), model)}

    async def endpoints(self) -> list[dict[str, Any]]:
        """A row for each endpoint, with its status and its instances."""
        names: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = await self._control.call("ListEndpoints", {"MaxResults": 100, **token})
            names += [item["EndpointName"] for item in page.get("Endpoints", [])]
            if not page.get("NextToken"):
                break
            token = {"NextToken": page["NextToken"]}
        return list(await asyncio.gather(*(self._endpoint(name) for name in names)))

    async def _endpoint(self, name: str) -> dict[str, Any]:
        row: dict[str, Any] = {"name": name, "status": "Unknown", "instances": []}
        with suppress(AwsError, asyncio.TimeoutError):  # it may go or come back meanwhile
            described = await self._control.call("DescribeEndpoint", {"EndpointName": name})
            row["status"] = described["EndpointStatus"]
            row["config"] = described.get("EndpointConfigName")
            serving = await asyncio.wait_for(self._control.serving(name), 0.2)
            row["update"] = _update(described)
            row["instances"] = [
                {**instance, "config": config}
                for config in sorted((serving.config, *serving.others))
                for instance in self._fleets.describe(serving.endpoint, config)
            ]
        return row

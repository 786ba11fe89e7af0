"""The way of a request: to an instance that holds its model, and to another one if need be.

Where none holds it the request waits for a load (`wait_for_load`). Workers and servers that fail
on the way are dealt with here: a dead worker's model is unloaded and loaded again, a request
that an instance lost is sent to another.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from mmectl.local.fleet import errors as judge
from mmectl.local.fleet.attempts import Attempts
from mmectl.local.fleet.errors import ErrorMessages, model_name
from mmectl.local.fleet.metering import Meter, Trace
from mmectl.local.fleet.placement import Placement
from mmectl.local.fleet.ports import Server
from mmectl.local.fleet.reports import Tally
from mmectl.local.fleet.tasks import Task
from mmectl.local.instance.http_client import (
    AbortedError,
    Answer,
    AnswerTimeoutError,
    WireError,
)
from mmectl.local.settings import RouterSettings
from mmectl.local.values import FleetSpec, InvokeRequest, InvokeResponse
from mmectl.local.waiting import Changes

access = logging.getLogger("mmectl.local.access")


class Waiting(Protocol):
    """Where requests wait for their model; see `wait_for_load.WaitForLoad`."""

    async def instance_with(self, target: str, attempts: Attempts) -> Server:
        """The instance that has the model in memory; raises AwsError."""
        ...


class Measuring(Protocol):
    """Measures models in the background; see `loader.Loader`."""

    def measure(self, server: Server, target: str) -> None:
        """Measure what a model takes now."""
        ...


class Unloading(Protocol):
    """Unloads models in the background; see `unloads.Unloads`."""

    def begin(self, server: Server, target: str) -> Task:
        """Unload an idle model."""
        ...

    def drop(self, server: Server, target: str) -> None:
        """Unload a model and delete its files."""
        ...

    def unload_broken(self, server: Server, target: str) -> None:
        """Unload a model whose worker died."""
        ...


class Members(Protocol):
    """The instances of the fleet; see `instances.Instances`."""

    @property
    def in_service(self) -> int:
        """How many instances have a server that answers."""
        ...


class Dispatcher:
    """Answers the requests of one fleet; see the module."""

    def __init__(
        self,
        spec: FleetSpec,
        instances: Members,
        waiting: Waiting,
        placement: Placement,
        unloads: Unloading,
        measuring: Measuring,
        changes: Changes,
        meter: Meter,
        tally: Tally,
        errors: ErrorMessages,
        settings: RouterSettings,
    ) -> None:
        self._spec = spec
        self._instances = instances
        self._waiting = waiting
        self._placement = placement
        self._unloads = unloads
        self._measuring = measuring
        self._changes = changes
        self._meter = meter
        self._tally = tally
        self._errors = errors
        self._settings = settings
        self._in_flight = 0

    async def dispatch(self, request: InvokeRequest) -> InvokeResponse:
        """Answer one request; AwsError as the runtime API names it."""
        self._in_flight += 1
        try:
            with self._meter.invocation(self._instances.in_service) as trace:
                return await self._answer(request, trace)
        finally:
            self._in_flight -= 1
            self._changes.tell()

    async def drain(self, timeout: float) -> None:
        """Wait until no request is in flight, or `timeout` seconds have passed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while self._in_flight:
            if not await self._changes.wait(deadline - loop.time()):
                return

    async def _answer(self, request: InvokeRequest, trace: Trace) -> InvokeResponse:
        if request.target_model is None:
            raise self._errors.needs_target()
        target = judge.check_target(request.target_model)
        loop = asyncio.get_running_loop()
        began = loop.time()
        attempts = Attempts(began + self._settings.wait, trace)
        while True:
            server = await self._waiting.instance_with(target, attempts)
            answer = await self._send(server, target, request, attempts)
            if answer is not None:
                break
        if access.isEnabledFor(logging.DEBUG):
            took = (loop.time() - began) * 1000
            access.debug("%s %s %s %.1f ms", server.id, target, answer.status, took)
        if not 200 <= answer.status < 300:
            raise self._errors.answered(answer, server.id)
        self._tally.count(server.id, target)
        return InvokeResponse(
            answer.body,
            answer.headers.get("content-type", "application/octet-stream"),
            self._spec.variant,
            answer.headers.get("x-amzn-sagemaker-custom-attributes"),
            trace.seconds,
        )

    async def _send(
        self, server: Server, target: str, request: InvokeRequest, attempts: Attempts
    ) -> Answer | None:
        """Send the request once; None means to try again."""
        cached = self._spec.cache_enabled
        replica = self._placement.acquire(server.id, target)
        turn = replica.served
        mark = server.printed()
        try:
            with attempts.trace.serving(server.id):
                answer = await server.models.invoke(
                    model_name(target), request, self._settings.invoke
                )
        except AnswerTimeoutError:
            raise self._errors.timed_out(server.id) from None
        except WireError as error:
            await self._lost(server, attempts, error)
            return None
        finally:
            self._placement.release(replica)
            self._changes.tell()
            if not cached and replica.busy == 0:
                self._unloads.drop(server, target)
        if answer.status < 400:
            if cached and turn in self._settings.measured_after:
                self._measuring.measure(server, target)
            return answer
        return await self._judge(server, target, answer, attempts, mark)

    async def _judge(
        self, server: Server, target: str, answer: Answer, attempts: Attempts, mark: int
    ) -> Answer | None:
        """Tell the model's own errors from those that another try may avoid (None)."""
        name = model_name(target)
        if judge.worker_died(answer):
            self._unloads.unload_broken(server, target)
            attempts.deaths += 1
            if attempts.deaths < self._settings.deaths:
                return None
            why = server.cause(mark, name)
            text = "Worker died." + (f" {why}" if why else "")
            raise self._errors.model_error(500, text, server.id)
        no_worker = judge.no_worker(answer) and not server.models.alive(name)
        if judge.not_loaded(answer) or no_worker:
            self._unloads.unload_broken(server, target)
            await self._lost(server, attempts, AbortedError("the model is gone"))
            return None
        if answer.status == 507 and attempts.full == 0:
            attempts.full = 1
            victim = self._placement.oldest_idle(server.id, keep=target)
            if victim is not None:
                await asyncio.wait((self._unloads.begin(server, victim),))
                return None
        return answer

    async def _lost(self, server: Server, attempts: Attempts, error: WireError) -> None:
        """Count a request that got no answer, and find out whether the server is to blame."""
        attempts.lost += 1
        if attempts.lost > self._settings.lost:
            raise self._errors.model_error(503, f"The request was lost: {error}", server.id)
        if not isinstance(error, AbortedError):
            await server.check()

"""The way of a request: to an instance that holds its model, and to another one if need be.

Where none holds it the model is brought in first (`loader.py`), once however many requests wait.
What happens to workers and servers on the way is mended here: a dead worker's model is unloaded
and loaded again, a request that an instance lost goes elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from mmectl.local.fleet import errors, reports
from mmectl.local.fleet.metering import Trace
from mmectl.local.fleet.placement import Placement
from mmectl.local.fleet.ports import Server
from mmectl.local.fleet.tasks import Task, Work
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


@dataclass(slots=True)
class Attempts:
    """What one request has been through."""

    deadline: float
    trace: Trace = field(default_factory=Trace)
    deaths: int = 0
    lost: int = 0
    full: int = 0


class Instances(Protocol):
    """The fleet as its dispatcher sees it: instances, and models loaded and unloaded on them."""

    spec: FleetSpec
    settings: RouterSettings
    errors: errors.ErrorMessages
    placement: Placement
    changes: Changes
    work: Work
    tally: reports.Tally

    @property
    def servers(self) -> Collection[Server]:
        """All instances, whatever their state."""
        ...

    def server(self, instance: str) -> Server:
        """The instance of that id."""
        ...

    def begin_load(self, instance: str, target: str) -> Task:
        """Begin to load a model."""
        ...

    def begin_unload(self, instance: str, target: str) -> Task:
        """Begin to unload a model that nobody uses."""
        ...

    def measure(self, server: Server, target: str) -> None:
        """Measure in the background what a model takes by now."""
        ...

    def drop(self, server: Server, target: str) -> None:
        """Unload a model in the background, and delete its files."""
        ...

    def broken(self, server: Server, target: str) -> None:
        """Unload a model in the background whose worker died."""
        ...


class Dispatcher:
    """Sends the requests of one fleet; see the module."""

    def __init__(self, fleet: Instances) -> None:
        self._fleet = fleet
        self._settings = fleet.settings
        self._errors = fleet.errors
        self._placement = fleet.placement

    async def invoke(self, request: InvokeRequest, trace: Trace) -> InvokeResponse:
        """Answer one request; AwsError as the runtime API names it."""
        if request.target_model is None:
            raise self._errors.needs_target()
        target = errors.check_target(request.target_model)
        loop = asyncio.get_running_loop()
        began = loop.time()
        attempts = Attempts(began + self._settings.wait, trace)
        while True:
            server = await self._holder(target, attempts)
            answer = await self._send(server, target, request, attempts)
            if answer is not None:
                break
        if access.isEnabledFor(logging.DEBUG):
            took = (loop.time() - began) * 1000
            access.debug("%s %s %s %.1f ms", server.id, target, answer.status, took)
        if not 200 <= answer.status < 300:
            raise self._errors.answered(answer, server.id)
        self._fleet.tally.count(server.id, target)
        return InvokeResponse(
            answer.body,
            answer.headers.get("content-type", "application/octet-stream"),
            self._fleet.spec.variant,
            answer.headers.get("x-amzn-sagemaker-custom-attributes"),
        )

    async def _holder(self, target: str, attempts: Attempts) -> Server:
        """The instance that has the model in memory, after loading it if need be."""
        while True:
            instance = self._placement.choose(target)
            if instance is None:
                await self._wait_for_instance(attempts)
                continue
            if self._placement.in_memory(instance, target):
                self._spread(target)
                return self._fleet.server(instance)
            task = self._fleet.work.find(instance, target)
            task = task or self._fleet.begin_load(instance, target)
            left = attempts.deadline - asyncio.get_running_loop().time()
            with attempts.trace.waiting():
                done, _ = await asyncio.wait((task,), timeout=max(left, 0))
            if not done:
                raise self._errors.not_ready(target)
            await self._count_lost_load(self._fleet.server(instance), task, attempts)

    async def _count_lost_load(self, server: Server, task: Task, attempts: Attempts) -> None:
        """Pass on what a load or unload ended with; a lost server counts and is tried again."""
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            return
        if error is not None and not isinstance(error, WireError):
            raise error
        attempts.lost += 1
        if attempts.lost > self._settings.lost:
            raise self._errors.unavailable()
        if error is not None:
            await server.check()

    async def _wait_for_instance(self, attempts: Attempts) -> None:
        left = attempts.deadline - asyncio.get_running_loop().time()
        gone = all(
            server.state in ("Failed", "Stopping", "Stopped") for server in self._fleet.servers
        )
        if gone or left <= 0 or not await self._fleet.changes.wait(left):
            raise self._errors.unavailable()

    def _spread(self, target: str) -> None:
        """Load a busy model on a further instance, for the requests to come."""
        instance = self._placement.spread(target)
        if instance is not None and self._fleet.work.find(instance, target) is None:
            self._fleet.begin_load(instance, target)

    async def _send(
        self, server: Server, target: str, request: InvokeRequest, attempts: Attempts
    ) -> Answer | None:
        """One try; None means try again."""
        name = errors.model_name(target)
        cached = self._fleet.spec.cache_enabled
        replica = self._placement.acquire(server.id, target)
        mark = server.printed()
        try:
            with attempts.trace.serving(server.id):
                answer = await server.invoke(name, request, self._settings.invoke)
        except AnswerTimeoutError:
            raise self._errors.timed_out(server.id) from None
        except WireError as error:
            await self._lost(server, attempts, error)
            return None
        finally:
            self._placement.release(replica)
            self._fleet.changes.tell()
            if not cached and replica.busy == 0:
                self._fleet.drop(server, target)
        if answer.status < 400:
            if cached and replica.served in self._settings.measured_after:
                self._fleet.measure(server, target)
            return answer
        return await self._judge(server, target, answer, attempts, mark)

    async def _judge(
        self, server: Server, target: str, answer: Answer, attempts: Attempts, mark: int
    ) -> Answer | None:
        """Tell the model's own errors from what can be mended."""
        if errors.worker_died(answer):
            self._fleet.broken(server, target)
            attempts.deaths += 1
            if attempts.deaths < self._settings.deaths:
                return None
            why = server.cause(mark, errors.model_name(target))
            text = "Worker died." + (f" {why}" if why else "")
            raise self._errors.model_error(500, text, server.id)
        if errors.not_loaded(answer) or (
            errors.no_worker(answer) and not server.alive(errors.model_name(target))
        ):
            self._fleet.broken(server, target)
            await self._lost(server, attempts, AbortedError("the model is gone"))
            return None
        if answer.status == 507 and attempts.full == 0:
            attempts.full = 1
            victim = self._placement.oldest_idle(server.id, keep=target)
            if victim is not None:
                await asyncio.wait((self._fleet.begin_unload(server.id, victim),))
                return None
        return answer

    async def _lost(self, server: Server, attempts: Attempts, error: WireError) -> None:
        """Count a request that got no answer, and find out whether the server is to blame."""
        attempts.lost += 1
        if attempts.lost > self._settings.lost:
            raise self._errors.model_error(503, f"The request was lost: {error}", server.id)
        if not isinstance(error, AbortedError):
            await server.check()

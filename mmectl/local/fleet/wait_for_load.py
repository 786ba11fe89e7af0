"""Where a request waits until its model is in an instance's memory.

The load is begun if nobody has begun it: once, however many requests wait.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from mmectl.local.fleet.attempts import Attempts
from mmectl.local.fleet.errors import ErrorMessages
from mmectl.local.fleet.placement import Placement
from mmectl.local.fleet.ports import Server
from mmectl.local.fleet.tasks import Task, Tasks
from mmectl.local.instance.http_client import WireError
from mmectl.local.settings import RouterSettings
from mmectl.local.waiting import Changes


class Members(Protocol):
    """The instances of the fleet; see `instances.Instances`."""

    @property
    def all_gone(self) -> bool:
        """Whether no instance is in service or about to be."""
        ...

    def of(self, instance: str) -> Server:
        """The instance of that id."""
        ...


class Loading(Protocol):
    """Loads models; see `loader.Loader`."""

    def begin(self, server: Server, target: str) -> Task:
        """Begin to load a model that is not in memory."""
        ...


class WaitForLoad:
    """Finds the instance of each request of one fleet."""

    def __init__(
        self,
        instances: Members,
        placement: Placement,
        loads: Loading,
        tasks: Tasks,
        changes: Changes,
        errors: ErrorMessages,
        settings: RouterSettings,
    ) -> None:
        self._instances = instances
        self._placement = placement
        self._loads = loads
        self._tasks = tasks
        self._changes = changes
        self._errors = errors
        self._settings = settings

    async def instance_with(self, target: str, attempts: Attempts) -> Server:
        """The instance that has the model in memory, after its load if need be.

        Raises AwsError: what the load ended with, or that the request may wait no longer.
        """
        while True:
            instance = self._placement.choose(target)
            if instance is None:
                await self._wait_for_instance(attempts)
                continue
            server = self._instances.of(instance)
            if self._placement.in_memory(instance, target):
                self._spread(target)
                return server
            task = self._tasks.find(instance, target) or self._loads.begin(server, target)
            await self._wait(task, server, target, attempts)

    async def _wait(self, task: Task, server: Server, target: str, attempts: Attempts) -> None:
        with attempts.trace.waiting(), self._placement.awaited(server.id, target):
            done, _ = await asyncio.wait((task,), timeout=attempts.left)
        if not done:
            raise self._errors.not_ready(target)
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            attempts.trace.downloaded, attempts.trace.loaded = task.result() or (0.0, 0.0)
            return
        if error is not None and not isinstance(error, WireError):
            raise error
        attempts.lost += 1  # the instance lost its server: another one is tried
        if attempts.lost > self._settings.lost:
            raise self._errors.unavailable()
        if error is not None:
            await server.check()

    async def _wait_for_instance(self, attempts: Attempts) -> None:
        left = attempts.left
        if self._instances.all_gone or left <= 0 or not await self._changes.wait(left):
            raise self._errors.unavailable()

    def _spread(self, target: str) -> None:
        """Load a busy model on a further instance, for the requests to come."""
        instance = self._placement.spread(target)
        if instance is not None and self._tasks.find(instance, target) is None:
            self._loads.begin(self._instances.of(instance), target)

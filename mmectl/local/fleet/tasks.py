"""What a fleet does in the background: loads and unloads, one at a time for a model, and chores."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from mmectl.local.instance.http_client import WireError
from mmectl.local.values import AwsError
from mmectl.local.waiting import Changes

Times = tuple[float, float]
"""Seconds of a load: for the download and unpacking, and for the server."""
Job = Coroutine[Any, Any, "Times | None"]
Task = asyncio.Task["Times | None"]


class Tasks:
    """The tasks of one fleet; `changes` is told of the end of every load and unload."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._models: dict[tuple[str, str], Task] = {}
        self._chores: set[Task] = set()

    def find(self, instance: str, target: str) -> Task | None:
        """The load or unload of that model that is under way."""
        return self._models.get((instance, target))

    def of(self, instance: str) -> list[Task]:
        """The loads and unloads under way on an instance."""
        return [task for (name, _), task in self._models.items() if name == instance]

    def begin(self, instance: str, target: str, job: Job) -> Task:
        """Load or unload a model."""
        key = (instance, target)
        task = asyncio.create_task(job, name=f"{target} on {instance}")
        self._models[key] = task

        def done(task: Task) -> None:
            if self._models.get(key) is task:
                del self._models[key]
            _report(task)
            self._changes.tell()

        task.add_done_callback(done)
        return task

    def chore(self, job: Job) -> None:
        """Do something that nobody waits for."""
        task = asyncio.create_task(job)
        self._chores.add(task)

        def done(task: Task) -> None:
            self._chores.discard(task)
            _report(task)

        task.add_done_callback(done)

    def cancel(self, instance: str) -> None:
        """Call off the loads and unloads of an instance."""
        for task in self.of(instance):
            task.cancel()

    async def stop(self) -> None:
        """Call off everything, and wait until it has ended."""
        tasks = [*self._models.values(), *self._chores]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _report(task: Task) -> None:
    """Log what a task ended with, unless that is told elsewhere."""
    if task.cancelled():
        return
    error = task.exception()  # also marks it as seen
    if error is not None and not isinstance(error, (AwsError, WireError)):
        logging.getLogger(__name__).error("%s", task.get_name(), exc_info=error)

"""The instances of one variant, and the way of a request through them.

A request goes to an instance that holds its model; else the model is brought in first
(`loader.py`), once however many requests wait. What happens to workers and servers on the way
is mended here: a dead worker's model is unloaded and loaded again, a request that an instance
lost goes elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from mmectl.local.fleet import verdicts
from mmectl.local.fleet.metering import Meter, Trace
from mmectl.local.fleet.parts import Attempts, Changes, LoaderLike, Server, gather_all
from mmectl.local.fleet.residency import Phase, Residency
from mmectl.local.fleet.settings import RouterSettings
from mmectl.local.fleet.wire import AbortedError, Answer, AnswerTimeoutError, WireError
from mmectl.local.values import AwsError, FleetSpec, InvokeRequest, InvokeResponse

access = logging.getLogger("mmectl.local.access")


class Fleet:
    """See the module. `servers` are not started yet; `make_loader` gets the fleet itself."""

    def __init__(
        self,
        spec: FleetSpec,
        servers: Sequence[Server],
        settings: RouterSettings,
        make_loader: Callable[[Fleet], LoaderLike],
        meter: Meter | None = None,
    ) -> None:
        self.spec = spec
        self.settings = settings
        self.meter = meter or Meter()
        self.say = verdicts.Speaker(spec, settings.region)
        self.residency = Residency(settings.spread_at, spec.routing)
        self.changes = Changes()
        self._servers: dict[str, Server] = {}
        self._leaving: set[str] = set()
        self._requests = 0
        self._work: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._chores: set[asyncio.Task[None]] = set()
        self._invoked: dict[tuple[str, str], float] = {}
        self._answers: Counter[tuple[str, str]] = Counter()
        self._loader = make_loader(self)
        self.add(servers)

    # life

    async def start(self) -> None:
        """Start every instance; raises FleetFailed, then nothing is left running."""
        try:
            await _start(self._servers.values())
        except BaseException:
            await self.stop()
            raise
        self._chore(self._look())

    def limit(self, memory: int, disk: int) -> None:
        """Set what models may take on each instance, in bytes; what is too much goes."""
        for instance, server in self._servers.items():
            self.residency.limit(instance, memory, disk)
            plan = self.residency.evictions(instance)
            if plan.unload or plan.delete:
                self._chore(self._loader.trim(server))

    async def _look(self) -> None:
        """Time and again, give up the copies that nobody needs any more."""
        while True:
            await asyncio.sleep(self.settings.look_every)
            self.scale_in()

    def scale_in(self) -> None:
        """Unload the copies of models that the demand since the last time did not need."""
        for instance, target in self.residency.surplus():
            self.begin_unload(instance, target)

    @property
    def size(self) -> int:
        """How many instances there are, without those that are leaving."""
        return len(self._servers) - len(self._leaving)

    async def grow(self, servers: Sequence[Server]) -> None:
        """Start instances that were added; raises FleetFailed, then none of them is left."""
        try:
            await _start(servers)
        except BaseException:
            await asyncio.gather(*(self._remove(server, self.settings.drain) for server in servers))
            raise

    async def shrink(self, size: int, drain: float) -> None:
        """Stop instances until `size` are left, each after its requests, `drain` seconds at most.

        Those that are not in service go first, then those that hold the fewest models.
        """
        staying = [server for name, server in self._servers.items() if name not in self._leaving]
        staying.sort(key=lambda s: (s.state == "InService", len(self.residency.shelf(s.id).copies)))
        leaving = staying[: max(len(staying) - size, 0)]
        await asyncio.gather(*(self._remove(server, drain) for server in leaving))

    def add(self, servers: Iterable[Server]) -> None:
        """Count further instances in, before they start; `limit` gives them their budgets."""
        for server in servers:
            self._servers[server.id] = server
            self.residency.add(server.id, 0, 0)
            server.up = lambda server=server: self._up(server)  # type: ignore[misc]
            server.down = lambda server=server: self._down(server)  # type: ignore[misc]

    async def _remove(self, server: Server, drain: float) -> None:
        """Take no more requests on an instance, wait for those it has, and end it."""
        self._leaving.add(server.id)
        shelf = self.residency.shelf(server.id)
        shelf.ready = False
        self.changes.tell()
        deadline = asyncio.get_running_loop().time() + drain
        while shelf.busy or self._work_of(server.id):
            if not await self.changes.wait(deadline - asyncio.get_running_loop().time()):
                break
        self._down(server)
        work = self._work_of(server.id)
        if work:
            await asyncio.wait(work)
        await server.stop()
        while shelf.busy:  # they have lost their server and try another one
            await self.changes.wait(drain)
        self._servers.pop(server.id, None)
        self._leaving.discard(server.id)
        self.residency.remove(server.id)

    def _work_of(self, instance: str) -> list[asyncio.Task[None]]:
        return [task for (name, _), task in self._work.items() if name == instance]

    async def drain(self, timeout: float) -> None:
        """Wait until no request is in flight, or time is up."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while self._requests:
            if not await self.changes.wait(deadline - loop.time()):
                return

    async def stop(self) -> None:
        """Stop the instances and whatever is under way."""
        for instance in self._servers:
            self.residency.lost(instance)
        work = [*self._work.values(), *self._chores]
        for task in work:
            task.cancel()
        if work:
            await asyncio.wait(work)
        await asyncio.gather(*(server.stop() for server in self._servers.values()))
        self.changes.tell()

    def _up(self, server: Server) -> None:
        if server.id not in self._leaving:
            self.residency.ready(server.id)
        self.changes.tell()

    def _down(self, server: Server) -> None:
        self.residency.lost(server.id)
        for (instance, _), task in list(self._work.items()):
            if instance == server.id:
                task.cancel()
        self.changes.tell()

    # requests

    async def invoke(self, request: InvokeRequest) -> InvokeResponse:
        """Answer one request; AwsError as the runtime API names it."""
        up = sum(server.state == "InService" for server in self._servers.values())
        self._requests += 1
        try:
            with self.meter.invocation(up) as trace:
                return await self._invoke(request, trace)
        finally:
            self._requests -= 1
            self.changes.tell()

    async def _invoke(self, request: InvokeRequest, trace: Trace) -> InvokeResponse:
        if request.target_model is None:
            raise self.say.needs_target()
        target = verdicts.check_target(request.target_model)
        loop = asyncio.get_running_loop()
        began = loop.time()
        attempts = Attempts(began + self.settings.wait, trace)
        while True:
            server = await self._holder(target, attempts)
            answer = await self._send(server, target, request, attempts)
            if answer is not None:
                break
        if access.isEnabledFor(logging.DEBUG):
            took = (loop.time() - began) * 1000
            access.debug("%s %s %s %.1f ms", server.id, target, answer.status, took)
        if not 200 <= answer.status < 300:
            raise self.say.answered(answer, server.id)
        self._invoked[server.id, target] = round(time.time(), 3)
        self._answers[server.id, target] += 1
        return InvokeResponse(
            answer.body,
            answer.headers.get("content-type", "application/octet-stream"),
            self.spec.variant,
            answer.headers.get("x-amzn-sagemaker-custom-attributes"),
        )

    async def _holder(self, target: str, attempts: Attempts) -> Server:
        """The instance that has the model in memory, after loading it if need be."""
        while True:
            instance = self.residency.choose(target)
            if instance is None:
                await self._wait_for_instance(attempts)
                continue
            if self.residency.in_memory(instance, target):
                self._spread(target)
                return self._servers[instance]
            task = self._work.get((instance, target)) or self._begin_load(instance, target)
            left = attempts.deadline - asyncio.get_running_loop().time()
            with attempts.trace.waiting():
                done, _ = await asyncio.wait((task,), timeout=max(left, 0))
            if not done:
                raise self.say.not_ready(target)
            await self._count_lost_load(self._servers[instance], task, attempts)

    async def _count_lost_load(
        self, server: Server, task: asyncio.Task[None], attempts: Attempts
    ) -> None:
        """Pass on what a load or unload ended with; a lost server counts and is tried again."""
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            return
        if error is not None and not isinstance(error, WireError):
            raise error
        attempts.lost += 1
        if attempts.lost > self.settings.lost:
            raise self.say.unavailable()
        if error is not None:
            await server.check()

    async def _wait_for_instance(self, attempts: Attempts) -> None:
        left = attempts.deadline - asyncio.get_running_loop().time()
        gone = all(
            server.state in ("Failed", "Stopping", "Stopped") for server in self._servers.values()
        )
        if gone or left <= 0 or not await self.changes.wait(left):
            raise self.say.unavailable()

    def _spread(self, target: str) -> None:
        """Load a crowded model on a further instance, for the requests to come."""
        instance = self.residency.spread(target)
        if instance is not None and (instance, target) not in self._work:
            self._begin_load(instance, target)

    async def _send(
        self, server: Server, target: str, request: InvokeRequest, attempts: Attempts
    ) -> Answer | None:
        """One try; None means try again."""
        name = verdicts.model_name(target)
        copy = self.residency.acquire(server.id, target)
        mark = server.printed()
        try:
            with attempts.trace.serving(server.id):
                answer = await server.invoke(name, request, self.settings.invoke)
        except AnswerTimeoutError:
            raise self.say.timed_out(server.id) from None
        except WireError as error:
            await self._lost(server, attempts, error)
            return None
        finally:
            self.residency.release(copy)
            self.changes.tell()
            if not self.spec.cache_enabled and copy.busy == 0:
                self._drop(server, target)
        if answer.status < 400:
            if copy.served in self.settings.measured_after and self.spec.cache_enabled:
                self._chore(self._loader.measure(server, target))
            return answer
        return await self._judge(server, target, answer, attempts, mark)

    async def _judge(
        self, server: Server, target: str, answer: Answer, attempts: Attempts, mark: int
    ) -> Answer | None:
        """Tell the model's own errors from what can be mended."""
        if verdicts.worker_died(answer):
            self.broken(server, target)
            attempts.deaths += 1
            if attempts.deaths < self.settings.deaths:
                return None
            why = server.cause(mark, verdicts.model_name(target))
            text = "Worker died." + (f" {why}" if why else "")
            raise self.say.model_error(500, text, server.id)
        if verdicts.not_loaded(answer) or (
            verdicts.no_worker(answer) and not server.alive(verdicts.model_name(target))
        ):
            self.broken(server, target)
            await self._lost(server, attempts, AbortedError("the model is gone"))
            return None
        if answer.status == 507 and attempts.full == 0:
            attempts.full = 1
            victim = self.residency.oldest_idle(server.id, keep=target)
            if victim is not None:
                await asyncio.wait((self.begin_unload(server.id, victim),))
                return None
        return answer

    async def _lost(self, server: Server, attempts: Attempts, error: WireError) -> None:
        """Count a request that got no answer, and find out whether the server is to blame."""
        attempts.lost += 1
        if attempts.lost > self.settings.lost:
            raise self.say.model_error(503, f"The request was lost: {error}", server.id)
        if not isinstance(error, AbortedError):
            await server.check()

    # models

    @property
    def instances(self) -> tuple[str, ...]:
        """The ids of the instances."""
        return tuple(self._servers)

    def server(self, instance: str) -> Server:
        """The instance of that id."""
        return self._servers[instance]

    def _begin_load(self, instance: str, target: str) -> asyncio.Task[None]:
        self.residency.begin_load(instance, target)
        return self._begin(instance, target, self._loader.load(self._servers[instance], target))

    def begin_unload(
        self, instance: str, target: str, *, files: bool = False
    ) -> asyncio.Task[None]:
        """Unload an idle model; requests for it wait for that and load it again."""
        self.residency.begin_unload(instance, target)
        self.meter.unloaded(instance)
        unload = self._loader.unload(self._servers[instance], target, files=files)
        return self._begin(instance, target, unload)

    def broken(self, server: Server, target: str) -> None:
        """Mend a model whose worker died: unload it, so that the next request loads it."""
        if not self.residency.in_memory(server.id, target):
            return
        self.residency.begin_unload(server.id, target, broken=True)
        self._begin(server.id, target, self._bury(server, target))

    async def _bury(self, server: Server, target: str) -> None:
        # the request that killed the worker gets its own answer, the others are sent again
        await asyncio.sleep(self.settings.grace)
        server.abort(verdicts.model_name(target), "the worker died")
        await self._loader.unload(server, target)

    def _drop(self, server: Server, target: str) -> None:
        """Forget a model at once: ModelCacheSetting is Disabled."""
        copy = self.residency.copy(server.id, target)
        if copy is not None and copy.phase is Phase.MEMORY:
            self.begin_unload(server.id, target, files=True)

    def _chore(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for."""
        task = asyncio.create_task(work)
        self._chores.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._chores.discard(task)
            _report(task)

        task.add_done_callback(done)

    def _begin(
        self, instance: str, target: str, work: Coroutine[Any, Any, None]
    ) -> asyncio.Task[None]:
        key = (instance, target)
        task = asyncio.create_task(work, name=f"{target} on {instance}")
        self._work[key] = task

        def done(task: asyncio.Task[None]) -> None:
            if self._work.get(key) is task:
                del self._work[key]
            _report(task)
            self.changes.tell()

        task.add_done_callback(done)
        return task

    # for people

    def describe(self) -> list[dict[str, object]]:
        """One JSON-ready row per instance."""
        return [
            self._row(server) | {"live": self.meter.live(server.id)}
            for server in self._servers.values()
        ]

    def measured(self) -> list[dict[str, object]]:
        """One row per instance with what the sampler needs; memory and disk in bytes."""
        return [
            self._row(server)
            | {
                "endpoint": self.spec.endpoint,
                "memory": shelf.memory + self.settings.server_memory,
                "disk_used": shelf.disk_used,
                "disk": shelf.disk,
            }
            for server in self._servers.values()
            for shelf in (self.residency.shelf(server.id),)
        ]

    def _row(self, server: Server) -> dict[str, object]:
        shelf = self.residency.shelf(server.id)
        in_memory = [
            {
                "target_model": target,
                "memory_mb": round(copy.memory / 2**20),
                "in_flight": copy.busy,
            }
            for target, copy in shelf.copies.items()
            if copy.phase is Phase.MEMORY
        ]
        return {
            "instance_id": server.id,
            "variant": self.spec.variant,
            "instance_type": self.spec.instance_type,
            "state": server.state,
            "runtime": server.runtime,
            "pid": server.pid,
            "port": server.port,
            "restarts": server.restarts,
            "memory_used_mb": round(shelf.memory_used / 2**20),
            "memory_limit_mb": round(shelf.memory / 2**20),
            "disk_used_mb": round(shelf.disk_used / 2**20),
            "disk_limit_mb": round(shelf.disk / 2**20),
            "models": in_memory,
            # since this instance began, also of models that were unloaded; Unix time
            "invoked": {t: at for (i, t), at in self._invoked.items() if i == server.id},
            "answers": {t: n for (i, t), n in self._answers.items() if i == server.id},
            "loading": [t for t, c in shelf.copies.items() if c.phase is Phase.LOADING],
            "on_disk": [t for t, c in shelf.copies.items() if c.disk],
        }


async def _start(servers: Iterable[Server]) -> None:
    """Start them together."""
    await gather_all([asyncio.ensure_future(server.start()) for server in servers])


def _report(task: asyncio.Task[None]) -> None:
    """Log what a task ended with, unless that is told elsewhere."""
    if task.cancelled():
        return
    error = task.exception()  # also marks it as seen
    if error is not None and not isinstance(error, (AwsError, WireError)):
        logging.getLogger(__name__).error("%s", task.get_name(), exc_info=error)

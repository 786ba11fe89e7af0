"""One instance: a supervised model server with its own socket, directories and log.

What the server runs as, a process or a container, is its `runtime.Runtime`'s affair. A server
that dies is started again, for as long as it takes; its models are not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from asyncio import to_thread
from collections.abc import Awaitable, Callable
from pathlib import Path

from mmectl.local.instance.container_log import ContainerLog, Pump, cause
from mmectl.local.instance.docker_cli import advice
from mmectl.local.instance.http_client import AnswerTimeoutError, WireError
from mmectl.local.instance.mms import Mms
from mmectl.local.instance.model_host import ModelHost
from mmectl.local.instance.no_server import NoServer
from mmectl.local.instance.process_runtime import Launch, MakeRuntime, Runtime
from mmectl.local.instance.runtime_choice import RuntimeChoice
from mmectl.local.instance.workspace import Workspace, remove_workspace
from mmectl.local.settings import RouterSettings
from mmectl.local.values import FleetFailed, FleetSpec
from mmectl.local.waiting import within

log = logging.getLogger("mmectl.local.instance")
_POLL = 0.05
_PINGS_MISSED = 3
_COMING = frozenset(("Starting", "Failed"))  # states in which no server has come up yet
# the server names its threads after the model, cut to this length or a little more
_NAME_IN_LOG = 20
Choose = Callable[[FleetSpec], Awaitable[tuple[RuntimeChoice, MakeRuntime]]]


class NotReadyError(Exception):
    """The server did not come up."""


class Instance:
    """See the module. `up` and `down` are called when the server can be used, or no longer.

    `choose` says at the start what the servers run as.
    """

    def __init__(
        self,
        spec: FleetSpec,
        folder: Path,
        logs: Path,
        *,
        state_dir: Path,
        settings: RouterSettings,
        choose: Choose,
        make_mms: Callable[[Path | int], Mms] = Mms,
    ) -> None:
        self.id = f"i-0{secrets.token_hex(8)}"
        self.state = "Pending"
        self.restarts = 0
        self.up: Callable[[], None] = lambda: None
        self.down: Callable[[], None] = lambda: None
        self._spec = spec
        self._home = folder / self.id
        self._log = ContainerLog(logs / spec.endpoint / spec.variant / f"{self.id}.log")
        self._state_dir = state_dir
        self._settings = settings
        self._workspace: Workspace | None = None
        self._choose = choose
        self._make_mms = make_mms
        self._choice: RuntimeChoice | None = None
        self._make: MakeRuntime | None = None
        self._runtime: Runtime | None = None
        self._pump: Pump | None = None
        self._output: asyncio.ReadTransport | None = None
        self._models: ModelHost | None = None
        self._runner: asyncio.Task[None] | None = None
        self._first: asyncio.Future[None] | None = None
        self._stopping = asyncio.Lock()

    # life

    async def start(self) -> None:
        """Start and return once /ping and GET /models are answered; FleetFailed if not."""
        self._choice, self._make = await self._choose(self._spec)
        self._workspace = Workspace.make(self._home)
        self._first = asyncio.get_running_loop().create_future()
        self._runner = asyncio.create_task(self._supervise(), name=f"supervise {self.id}")
        self._runner.add_done_callback(self._supervised)
        await asyncio.shield(self._first)

    async def stop(self) -> None:
        """Stop the server and remove its directories; the log stays.

        Twice is fine, also at the same time, or after a stop that was cancelled.
        """
        async with self._stopping:
            await self._stop()

    async def _stop(self) -> None:
        self.state = "Stopping"
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait((self._runner,))
        if self._runtime is not None:
            await self._runtime.stop(self._settings.stop)
        await self._clean()
        first = self._first
        if first is not None and not first.cancel() and not first.cancelled():
            first.exception()  # seen, if the start was called off before it failed
        await to_thread(remove_workspace, self._home)
        self._log.close()
        self.state = "Stopped"

    async def _supervise(self) -> None:
        """Run servers one after another; give up only where none ever came up.

        An instance that was in service is Failed after some attempts, and tried on: what keeps its
        server from starting (a full disk, no memory) may pass.
        """
        misses = deaths = 0
        deadline = time.monotonic() + self._spec.startup_timeout
        while True:
            began = time.monotonic()
            reason = await self._live(deadline)
            self._log.say(f"platform: {reason}")
            # an engine that was there may be restarting: that is waited for
            away = self._runtime is not None and self._runtime.away and not self._first_pending()
            await self._clean()
            misses = misses + 1 if self.state in _COMING and not away else 0
            quick = time.monotonic() - began < self._settings.quick_death
            deaths = deaths + 1 if quick else 0
            missed = misses >= self._settings.start_attempts
            if self._first_pending():
                if missed or time.monotonic() >= deadline:
                    self._give_up(reason)
                    return
            else:
                if missed and self.state != "Failed":
                    self.state = "Failed"
                    self.down()
                self.restarts += 1
                deadline = time.monotonic() + self._spec.startup_timeout
            await asyncio.sleep(self._pause(max(deaths, misses)))

    def _pause(self, deaths: int) -> float:
        """Seconds before the next server, after so many that ended soon."""
        wait = self._settings.backoff * 2 ** min(deaths - 2, 16) if deaths > 1 else 0
        return min(wait, self._settings.backoff_most)

    def _supervised(self, runner: asyncio.Task[None]) -> None:
        """Nobody must wait for a supervisor that ended of what it did not expect."""
        error = None if runner.cancelled() else runner.exception()
        if error is not None:
            log.error("the supervisor of %s failed", self.id, exc_info=error)
            self._give_up(f"The platform failed: {type(error).__name__}: {error}")

    def _first_pending(self) -> bool:
        return self._first is not None and not self._first.done()

    def _give_up(self, reason: str) -> None:
        self.state = "Failed"
        self.down()
        if self._first is not None and not self._first.done():
            text = (
                f"The primary container for production variant {self._spec.variant} did not pass "
                f"the ping health check. Please check CloudWatch logs for this endpoint. {reason}"
            )
            self._first.set_exception(FleetFailed(text[:1024]))

    async def _live(self, deadline: float) -> str:
        """Run the server once; returns why it ended."""
        self.state = "Failed" if self.state == "Failed" else "Starting"
        try:
            runtime = await self._launch()
            await self._until_ready(runtime, deadline)
            await runtime.ready()
        except (NotReadyError, FleetFailed, OSError) as error:
            return str(error)
        self.state = "InService"
        self.up()
        if self._first is not None and not self._first.done():
            self._first.set_result(None)
        reason = await self._until_dead(runtime)
        self.state = "Restarting"
        self.down()
        return reason

    async def _until_dead(self, runtime: Runtime) -> str:
        """Wait for the end of the server, or until /ping went unanswered three times."""
        missed = 0
        while missed < _PINGS_MISSED:
            if await within(self._settings.ping_every, runtime.wait()):
                return f"the server ended with code {runtime.code}"
            try:
                await self._host().mms.ping()
                missed = 0
            except WireError:
                missed += 1
        return f"the server did not answer /ping {missed} times"

    async def check(self) -> None:
        """Ping a server that lost a request; one that does not listen any more is ended."""
        runtime = self._runtime
        try:
            await self._host().mms.ping()
        except AnswerTimeoutError:
            return  # busy, perhaps: the regular pings decide
        except WireError:
            if runtime and runtime is self._runtime and self.state == "InService":
                await runtime.kill()
                await self._ended(runtime)

    async def _ended(self, runtime: Runtime) -> None:
        """Wait until the supervisor has heard of the end of that server."""
        for _ in range(100):
            if self._runtime is not runtime or self.state != "InService":
                return
            await asyncio.sleep(_POLL / 5)

    async def _launch(self) -> Runtime:
        assert self._workspace is not None  # noqa: S101 - start() made it
        assert self._make is not None  # noqa: S101
        name = f"mmectl-{self.id}-{secrets.token_hex(3)}"
        launch = Launch(name, self._spec, self._workspace, self._state_dir)
        runtime = self._runtime = self._make(launch)
        pump = self._pump = Pump(self._log)
        output, writing = os.pipe()
        try:
            reading = os.fdopen(output, "rb", buffering=0)
            self._output, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: pump, reading
            )
            await runtime.start(writing)
        finally:
            os.close(writing)
        mms = self._make_mms(runtime.listens)
        self._models = ModelHost(mms, self._workspace.base / "models", runtime)
        return runtime

    async def _until_ready(self, runtime: Runtime, deadline: float) -> None:
        """Wait for /ping and GET /models; NotReadyError if the server ends or time does."""
        while True:
            if runtime.code is not None:
                await self._read_out()
                raise NotReadyError(self._why_ended(runtime.code))
            if time.monotonic() >= deadline:
                raise NotReadyError(
                    f"No answer from the server within {self._spec.startup_timeout:g} s."
                )
            with contextlib.suppress(WireError, ValueError):
                if (await self._host().mms.ping()).status == 200:
                    await self._host().mms.models()
                    return
            await asyncio.sleep(_POLL)

    def _why_ended(self, code: int) -> str:
        said = [line for line in list(self._log.recent)[-40:] if _tells(line)]
        last = cause(said) or (said[-1] if said else "it printed nothing")
        return f"The server ended with code {code}: {last}"

    async def _read_out(self) -> None:
        if self._pump is not None:
            await within(0.5, self._pump.ended.wait())

    async def _clean(self) -> None:
        """End every process of this server, whatever state it is in."""
        if self._models is not None:
            self._models.close()
            self._models = None
        if self._runtime is not None:
            await self._runtime.end()
            self._runtime = None
        await self._read_out()
        if self._output is not None:
            self._output.close()
            self._output = None

    @property
    def models(self) -> ModelHost | NoServer:
        """The models of the server that runs now."""
        return self._models or NoServer()

    def folder(self, name: str) -> Path:
        """Where the model of that opaque name is unpacked."""
        assert self._workspace is not None  # noqa: S101 - start() made it
        return self._workspace.base / "models" / name / "model"

    # for people

    @property
    def pid(self) -> int | None:
        """The server's first process, None while there is none."""
        return self._runtime.pid if self._runtime is not None else None

    @property
    def runtime(self) -> dict[str, str]:
        """What its servers run as, and why; empty before the start."""
        return {"name": self._choice.name, "reason": self._choice.reason} if self._choice else {}

    @property
    def listens(self) -> Path | int | None:
        """The socket or port of its server; None while there is none."""
        return self._runtime.listens if self._runtime is not None else None

    def printed(self) -> int:
        """How many lines the server has printed: a mark for `cause`."""
        return self._log.count

    def cause(self, mark: int, name: str) -> str | None:
        """Why that model failed, of what was printed since that mark."""
        return cause(self._log.since(mark), name[:_NAME_IN_LOG])

    def _host(self) -> ModelHost:
        if self._models is None:
            raise WireError("the server is not running")
        return self._models


def _tells(line: str) -> bool:
    """Whether a line says anything of its own."""
    return bool(line.strip()) and not advice(line)

"""One instance: its server supervised, with folders and a log that outlive each server.

`server_run` is one run of the server. A server that dies is started again, for as long as it
takes; its models are not loaded again here.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from asyncio import to_thread
from collections.abc import Awaitable, Callable
from pathlib import Path

from mmectl.local.instance.container_log import ContainerLog, cause
from mmectl.local.instance.http_client import AnswerTimeoutError, WireError
from mmectl.local.instance.mms import Mms
from mmectl.local.instance.model_host import ModelHost
from mmectl.local.instance.no_server import NoServer
from mmectl.local.instance.process_runtime import Launch, MakeRuntime
from mmectl.local.instance.runtime_choice import RuntimeChoice
from mmectl.local.instance.server_run import NotReadyError, ServerRun
from mmectl.local.instance.workspace import Workspace, remove_workspace
from mmectl.local.settings import RouterSettings
from mmectl.local.values import FleetFailed, FleetSpec

log = logging.getLogger("mmectl.local.instance")
_POLL = 0.01
_COMING = frozenset(("Starting", "Failed"))  # states in which no server has come up yet
# the server names its threads after the model, cut to this length or a little more
_NAME_IN_LOG = 20
Choose = Callable[[FleetSpec], Awaitable[tuple[RuntimeChoice, MakeRuntime]]]


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
        make_mms: Callable[[Path], Mms] = Mms,
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
        self._run: ServerRun | None = None
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
        if self._run is not None:
            await self._run.runtime.stop(self._settings.stop)
        await self._end_run()
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
            away = self._run is not None and self._run.runtime.away and not self._first_pending()
            await self._end_run()
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
            run = self._run = self._new_run()
            await run.start()
            await run.until_ready(self._spec.startup_timeout, deadline)
        except (NotReadyError, FleetFailed, OSError) as error:
            return str(error)
        self.state = "InService"
        self.up()
        if self._first is not None and not self._first.done():
            self._first.set_result(None)
        reason = await run.until_dead(self._settings.ping_every)
        self.state = "Restarting"
        self.down()
        return reason

    async def check(self) -> None:
        """Ping a server that lost a request; one that does not listen any more is ended."""
        run = self._run
        if run is None:
            return
        try:
            await run.ping()
        except AnswerTimeoutError:
            return  # busy, perhaps: the regular pings decide
        except WireError:
            if run is self._run and self.state == "InService":
                await run.runtime.kill()
                await self._ended(run)

    async def _ended(self, run: ServerRun) -> None:
        """Wait until the supervisor has heard of the end of that run."""
        for _ in range(100):
            if self._run is not run or self.state != "InService":
                return
            await asyncio.sleep(_POLL)

    def _new_run(self) -> ServerRun:
        assert self._workspace is not None  # noqa: S101 - start() made it
        assert self._make is not None  # noqa: S101
        name = f"mmectl-{self.id}-{secrets.token_hex(3)}"
        runtime = self._make(Launch(name, self._spec, self._workspace, self._state_dir))
        return ServerRun(runtime, self._workspace.base / "models", self._log, self._make_mms)

    async def _end_run(self) -> None:
        if self._run is not None:
            await self._run.end()
            self._run = None

    @property
    def models(self) -> ModelHost | NoServer:
        """The models of the server that runs now."""
        models = self._run.models if self._run is not None else None
        return models or NoServer()

    def folder(self, name: str) -> Path:
        """Where the model of that opaque name is unpacked."""
        assert self._workspace is not None  # noqa: S101 - start() made it
        return self._workspace.base / "models" / name / "model"

    # for people

    @property
    def pid(self) -> int | None:
        """The server's first process, None while there is none."""
        return self._run.runtime.pid if self._run is not None else None

    @property
    def runtime(self) -> dict[str, str]:
        """What its servers run as, and why; empty before the start."""
        return {"name": self._choice.name, "reason": self._choice.reason} if self._choice else {}

    @property
    def listens(self) -> Path | None:
        """The socket or port of its server; None while there is none."""
        return self._run.runtime.listens if self._run is not None else None

    def printed(self) -> int:
        """How many lines the server has printed: a mark for `cause`."""
        return self._log.count

    def cause(self, mark: int, name: str) -> str | None:
        """Why that model failed, of what was printed since that mark."""
        return cause(self._log.since(mark), name[:_NAME_IN_LOG])

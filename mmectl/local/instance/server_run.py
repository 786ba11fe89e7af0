"""One run of an instance's server: launched, waited for, watched by pings, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from mmectl.local.instance.container_log import ContainerLog, Pump, cause
from mmectl.local.instance.docker_cli import advice
from mmectl.local.instance.http_client import WireError
from mmectl.local.instance.mms import Mms
from mmectl.local.instance.model_host import ModelHost
from mmectl.local.instance.process_runtime import Runtime
from mmectl.local.waiting import within

_POLL = 0.05
_PINGS_MISSED = 3
_LAST_LINES = 0.5  # seconds that the output of a server that ended is waited for


class NotReadyError(Exception):
    """The server did not come up."""


class ServerRun:
    """See the module. `folder` is where models are unpacked, `log` takes what is printed."""

    def __init__(
        self,
        runtime: Runtime,
        folder: Path,
        log: ContainerLog,
        make_mms: Callable[[Path], Mms],
    ) -> None:
        self.runtime = runtime
        self.models: ModelHost | None = None
        self._folder = folder
        self._log = log
        self._make_mms = make_mms
        self._pump = Pump(log)
        self._output: asyncio.ReadTransport | None = None

    async def start(self) -> None:
        """Launch the server; raises OSError or FleetFailed."""
        output, writing = os.pipe()
        try:
            reading = os.fdopen(output, "rb", buffering=0)
            self._output, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: self._pump, reading
            )
            await self.runtime.start(writing)
        finally:
            os.close(writing)
        self.models = ModelHost(self._make_mms(self.runtime.listens), self._folder, self.runtime)

    async def until_ready(self, timeout: float, deadline: float) -> None:
        """Wait for /ping and GET /models, until `deadline` by the monotonic clock.

        Raises NotReadyError if the server ends first, or after `timeout` seconds.
        """
        while True:
            if self.runtime.code is not None:
                await self._read_out()
                raise NotReadyError(self._why_ended(self.runtime.code))
            if time.monotonic() >= deadline:
                raise NotReadyError(f"No answer from the server within {timeout:g} s.")
            with contextlib.suppress(WireError, ValueError):
                if await self.ping() == 200:
                    await self._mms.models()
                    break
            await asyncio.sleep(_POLL)
        await self.runtime.ready()

    async def until_dead(self, every: float) -> str:
        """Wait until the server ended, or did not answer three pings; which of the two.

        `every`: seconds between pings.
        """
        missed = 0
        while missed < _PINGS_MISSED:
            if await within(every, self.runtime.wait()):
                return f"the server ended with code {self.runtime.code}"
            try:
                await self.ping()
                missed = 0
            except WireError:
                missed += 1
        return f"the server did not answer /ping {missed} times"

    async def ping(self) -> int:
        """The status of the answer to /ping; raises WireError."""
        return (await self._mms.ping()).status

    async def end(self) -> None:
        """End every process of this server, whatever state it is in; twice is fine."""
        if self.models is not None:
            self.models.close()
            self.models = None
        await self.runtime.end()
        await self._read_out()
        if self._output is not None:
            self._output.close()
            self._output = None

    @property
    def _mms(self) -> Mms:
        if self.models is None:
            raise WireError("the server is not running")
        return self.models.mms

    async def _read_out(self) -> None:
        """Read what the server printed last."""
        if self._output is not None:
            await within(_LAST_LINES, self._pump.ended.wait())

    def _why_ended(self, code: int) -> str:
        said = [line for line in list(self._log.recent)[-40:] if _tells(line)]
        last = cause(said) or (said[-1] if said else "it printed nothing")
        return f"The server ended with code {code}: {last}"


def _tells(line: str) -> bool:
    """Whether a line says anything of its own."""
    return bool(line.strip()) and not advice(line)

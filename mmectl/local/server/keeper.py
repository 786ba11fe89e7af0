"""The server's watch over its supervisor: a supervisor that died is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from mmectl.local import processes
from mmectl.local.processes import Process
from mmectl.local.server import supervisor
from mmectl.local.server.launch import ROOT

log = logging.getLogger("mmectl.local.server.keeper")
ADOPT = supervisor.STARTER + (
    "from mmectl.local.server.supervisor import adopt; sys.exit(adopt(sys.argv[1:]))"
)
START_SECONDS = 15.0  # that a new supervisor has to say that it is there
HEALTHY = supervisor.HEALTHY


class Keeper:
    """Waits for the end of the supervisor and starts another, again and again.

    `listener` is the socket that both have. The new one learns from a pipe of ours how we ended.
    """

    def __init__(
        self,
        state_dir: Path,
        listener: socket.socket,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._state_dir = state_dir
        self._listener = listener
        self._sleep = sleep
        self._life = -1

    async def keep(self, current: Process | None) -> None:
        """Until cancelled; without a supervisor to begin with there is nothing to keep."""
        deaths = 0
        loop = asyncio.get_running_loop()
        while current is not None:
            begun = loop.time()
            await gone(current)
            deaths = 1 if loop.time() - begun > HEALTHY else deaths + 1
            log.warning("the supervisor (pid %d) died: starting another", current.pid)
            await self._sleep(supervisor.pause(deaths))
            current = await self._another()

    async def _another(self) -> Process:
        failures = 0
        while True:
            try:
                found = await asyncio.to_thread(self._start)
            except OSError as error:
                log.error("no supervisor can be started: %s", error)  # noqa: TRY400
                found = None
            if found is not None:
                return found
            failures += 1
            await self._sleep(supervisor.pause(failures + 2))

    def _start(self) -> Process | None:
        """Start one and wait until it is there; None if it ended at once. Raises OSError."""
        life, ours = os.pipe()
        told, telling = os.pipe()
        before, self._life = self._life, ours  # at once: we may be told to end meanwhile
        try:
            _spawn(self._state_dir, (self._listener.fileno(), life, os.getpid(), telling))
        finally:
            for descriptor in (life, telling, before):
                if descriptor >= 0:
                    os.close(descriptor)
        with os.fdopen(told, "rb", buffering=0) as line:
            return _heard(line.fileno())

    def tell(self, code: int) -> None:
        """Tell the supervisor with which exit code we end, before we do."""
        if self._life >= 0:
            with contextlib.suppress(OSError):
                os.write(self._life, bytes((code,)))


def _spawn(state_dir: Path, numbers: tuple[int, int, int, int]) -> None:
    environment = {**os.environ, processes.SUPERVISOR_MARK: str(state_dir)}
    environment.pop(processes.SERVER_MARK, None)
    socket_fd, life, _, telling = numbers
    subprocess.run(
        [
            *(sys.executable, "-I", "-S", "-c", ADOPT.format(root=ROOT)),
            *(str(state_dir), ROOT, *map(str, numbers)),
        ],
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        pass_fds=(socket_fd, life, telling),
        start_new_session=True,
        check=False,
    )


def _heard(told: int) -> Process | None:
    if not select.select([told], [], [], START_SECONDS)[0]:
        return None
    number = os.read(told, 32)
    return processes.find(int(number)) if number else None


async def gone(process: Process) -> None:
    """Wait for the end of a process, by the kernel's word."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(descriptor, end)
    try:
        if processes.alive(process):
            await ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)

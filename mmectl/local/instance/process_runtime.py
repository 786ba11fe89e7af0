"""What a server of an instance runs as; `ProcessRuntime` is the plain process.

A `Runtime` is one run of one server, from its start to the removal of everything that belongs
to it. `instance.Instance` supervises it and knows nothing of what it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio import subprocess, to_thread
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mmectl.base.server_environment import server_environment
from mmectl.local import processes
from mmectl.local.instance import procfs
from mmectl.local.instance.workspace import RUN_MARK, Workspace
from mmectl.local.values import FleetSpec


@dataclass(frozen=True, slots=True)
class Launch:
    """What a run is given; `name` is used for no other run."""

    name: str
    spec: FleetSpec
    workspace: Workspace
    state_dir: Path


class Runtime(Protocol):
    """One run of a server."""

    @property
    def listens(self) -> Path:
        """Where it answers: a Unix socket."""
        ...

    @property
    def pid(self) -> int | None:
        """Its first process as this machine numbers it; None while unknown or ended."""
        ...

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs."""
        ...

    @property
    def away(self) -> bool:
        """Whether it ended because what runs it failed, and not the server."""
        ...

    async def start(self, output: int) -> None:
        """Start; `output` is a descriptor that takes what the server prints. OSError if not."""
        ...

    async def ready(self) -> None:
        """The server answers: find out what is to be known of it."""
        ...

    async def wait(self) -> int:
        """Wait for the end of the server; its exit code."""
        ...

    async def stop(self, timeout: float) -> None:
        """SIGTERM, and wait for the end, for `timeout` seconds at most."""
        ...

    async def kill(self) -> None:
        """SIGKILL."""
        ...

    async def end(self) -> None:
        """End and remove whatever is left of it, in any state; twice is fine."""
        ...

    def seen(self, folder: Path) -> str:
        """What the server calls a folder below `Workspace.base`."""
        ...

    def admit(self, folder: Path) -> None:
        """Let the server read an unpacked model. Blocking."""
        ...

    def workers(self, folder: Path, model: str) -> list[int]:
        """The processes of the model in that folder, which the server calls `model`.

        Numbered as on this machine; empty where none can be seen. Blocking.
        """
        ...


MakeRuntime = Callable[[Launch], Runtime]


class ProcessRuntime:
    """The image's entrypoint as a plain process in a session of its own.

    It inherits a pipe that tells it when the platform is gone. `memory` is what models may take
    on it, in bytes: a load is confined to that.
    """

    def __init__(self, launch: Launch, outer: Mapping[str, str], memory: int) -> None:
        self._launch = launch
        self._outer = outer
        self._memory = memory
        self._process: subprocess.Process | None = None
        self._lifeline = -1

    @property
    def listens(self) -> Path:
        """Its socket."""
        return self._launch.workspace.socket

    @property
    def pid(self) -> int | None:
        """The entrypoint's process, which leads a group."""
        return self._process.pid if self._process is not None and self.code is None else None

    @property
    def code(self) -> int | None:
        """The entrypoint's exit code."""
        return self._process.returncode if self._process is not None else None

    @property
    def away(self) -> bool:
        """Never: that would be this machine."""
        return False

    async def start(self, output: int) -> None:
        """Start the entrypoint."""
        launch = self._launch
        reading, self._lifeline = os.pipe()
        own = {
            "SAGEMAKER_MULTI_MODEL": "true",
            "SAGEMAKER_BASE_DIR": str(launch.workspace.base),
            "MMECTL_BIND_ADDRESS": f"unix:{launch.workspace.socket}",
            RUN_MARK: str(launch.workspace.run),
            processes.SERVER_MARK: str(launch.state_dir),
            "MMECTL_LIFELINE_FD": str(reading),
            "MMECTL_MEMORY_MB": str(self._memory >> 20),
        }
        try:
            self._process = await asyncio.create_subprocess_exec(
                *launch.spec.image.entrypoint,
                "serve",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=launch.workspace.run,
                env=server_environment(
                    self._outer, launch.spec.image.environment, launch.spec.environment, own
                ),
                start_new_session=True,
                pass_fds=(reading,),
            )
        finally:
            os.close(reading)

    async def ready(self) -> None:
        """Nothing more to be known."""

    async def wait(self) -> int:
        """Wait for the entrypoint."""
        return await self._process.wait() if self._process is not None else -1

    async def stop(self, timeout: float) -> None:
        """SIGTERM to the whole group."""
        if self._process is not None and self.code is None:
            procfs.end_group(self._process.pid, signal.SIGTERM)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._process.wait(), timeout)

    async def kill(self) -> None:
        """SIGKILL to the whole group."""
        if self._process is not None:
            procfs.end_group(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Kill the group and what left it, found by the mark in its environment."""
        if self._lifeline < 0:
            return  # not started, or ended already: the number may be another's by now
        await self.kill()
        await to_thread(processes.kill_carrying, f"{RUN_MARK}={self._launch.workspace.run}")
        await self.wait()
        os.close(self._lifeline)
        self._lifeline = -1

    def seen(self, folder: Path) -> str:
        """The same folder."""
        return str(folder)

    def admit(self, folder: Path) -> None:
        """It is the same user: nothing to do."""

    def workers(self, folder: Path, model: str) -> list[int]:  # noqa: ARG002
        """Multi Model Server starts workers in the model's own directory."""
        return procfs.working_in(folder)

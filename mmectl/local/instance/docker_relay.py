"""The container that makes a network for another one and lets the platform in (`relay_container`).

Its client's standard input is its lifeline: it ends with the platform.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import subprocess, to_thread
from collections.abc import Mapping
from pathlib import Path

from mmectl.base import relay, relay_container
from mmectl.local.instance import docker_cli as engines
from mmectl.local.instance.docker_cli import Engine, EngineError
from mmectl.local.instance.workspace import SOCKET

READY_SECONDS = 60.0
_CLIENT_ENDS = 5.0


def run_arguments(name: str, state_dir: Path, front: Path) -> list[str]:
    """The `docker run` of a relay, whose socket lies in `front`."""
    folders = relay_container.mounts().items()
    return [
        "run",
        "--rm",
        "--interactive",
        "--pull=never",
        "--log-driver=none",
        f"--name={name}",
        f"--label={engines.STATE_LABEL}={state_dir}",
        "--network=none",
        f"--hostname={relay_container.HOST}",
        *(f"--add-host={host}:{address}" for host, address in relay_container.HOSTS.items()),
        f"--user={relay_container.user()}",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--memory={relay_container.MEMORY}",
        f"--memory-swap={relay_container.MEMORY}",
        f"--pids-limit={relay_container.PIDS}",
        *(f"--mount={engines.bind(source, target, 'readonly')}" for target, source in folders),
        f"--mount={engines.bind(front, relay_container.FRONT)}",
        relay_container.IMAGE,
        *relay_container.command(SOCKET),
    ]


class DockerRelay:
    """A run of it. `environment` is the client's own, `folder` one where a file may be made."""

    def __init__(self, engine: Engine, name: str, environment: Mapping[str, str]) -> None:
        self._engine = engine
        self._environment = environment
        self._client: subprocess.Process | None = None
        self.name = name

    @property
    def network(self) -> str:
        """What another container's `--network` is."""
        return f"container:{self.name}"

    async def start(self, state_dir: Path, folder: Path, front: Path) -> None:
        """Run it and wait until it listens in `front`; OSError with the reason where it does not.

        `folder` is one where a file may be made.
        """
        try:
            await to_thread(self._engine.provide_empty, relay_container.IMAGE, folder)
            program = self._engine.program()
        except EngineError as error:
            raise OSError(f"the relay has no image: {error}") from None
        self._client = await asyncio.create_subprocess_exec(
            program,
            *run_arguments(self.name, state_dir, front),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment,
            cwd=folder,
            start_new_session=True,
        )
        said: list[str] = []
        with contextlib.suppress(asyncio.TimeoutError):
            if await asyncio.wait_for(self._heard(said), READY_SECONDS):
                return
        raise OSError(
            "no container can be run in a network that only the platform reaches: "
            f"{' '.join(said) or 'the relay does not answer'}"
        )

    async def _heard(self, said: list[str]) -> bool:
        """Whether it listens; what else it says is added to `said`."""
        assert self._client is not None  # noqa: S101 - started
        assert self._client.stdout is not None  # noqa: S101 - a pipe
        async for line in self._client.stdout:
            text = line.decode("utf-8", "replace").strip()
            if text == relay.READY:
                return True
            if text and not engines.advice(text):
                said.append(text)
        return False

    async def wait(self) -> None:
        """Wait for its end."""
        if self._client is not None:
            await self._client.wait()

    async def end(self) -> None:
        """Remove it, in any state; twice is fine."""
        if self._client is None or self._client.returncode is not None:
            return
        with contextlib.suppress(EngineError):
            await to_thread(self._engine.remove, self.name)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.wait(), _CLIENT_ENDS)
        with contextlib.suppress(ProcessLookupError):
            self._client.kill()
        await self.wait()

"""A server of an instance as a container of the built image.

The `docker` command stays attached: it carries what the container prints, SIGTERM to it and its
exit code back. The server of our image listens on no port: its socket lies in a folder that is
mounted, which only the platform's user can reach on this machine. A server that knows ports alone
is in a network of its own, to which a relay's socket in the same kind of folder is the only way
(`docker_relay`). The command's standard input is
the container's lifeline: when the platform is killed, the pipe closes, the entrypoint reads the
end of its input and stops the server, and the engine removes the container. One that does not
heed that is found by its label at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from asyncio import subprocess, to_thread
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmectl.base import relay
from mmectl.base.instances import instance_type, model_memory
from mmectl.base.relay_container import FRONT
from mmectl.local import processes
from mmectl.local.instance import docker_cli as engines
from mmectl.local.instance import procfs
from mmectl.local.instance.docker_cli import Engine, EngineError
from mmectl.local.instance.docker_relay import DockerRelay
from mmectl.local.instance.process_runtime import Launch
from mmectl.local.instance.workspace import RUN_MARK, SOCKET

MODELS = "/opt/ml/models"  # where SageMaker puts models: <MODELS>/<name>/model
# after the container the client has only to copy its last words and its code
_CLIENT_ENDS = 5.0
_ENGINE_FAILED = 125
_MIB = 1 << 20
log = logging.getLogger("mmectl.local.runtime")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container may take: bytes of memory, CPUs, processes with their threads."""

    memory: int
    cpus: int
    pids: int

    @classmethod
    def of(cls, name: str, machine: int, cpus: int, share: int, wanted: int = 0) -> Limits:
        """The limits of an instance type on this machine.

        `machine` is its memory in bytes, `cpus` its number of CPUs, `share` the number of
        instances that it holds, `wanted` bytes that it must have whatever the type. A model
        has at least 60 MB and about 30 threads, so one process for every 2 MiB lets memory be
        the first to end.
        """
        kind = instance_type(name)
        memory = model_memory(name, machine, share, 0, max(kind.memory, wanted))
        return cls(memory, min(kind.vcpus, cpus), 1024 + memory // (2 * _MIB))


def run_arguments(
    launch: Launch,
    image: str,
    limits: Limits,
    environment_file: Path,
    inherited: list[str],
    network: str = "",
) -> list[str]:
    """The `docker run` of an instance; `inherited` are variables taken from the client's own.

    Its server listens on the socket of `launch.workspace`, or in that `network` on a port.
    """
    labels = {
        engines.STATE_LABEL: str(launch.state_dir),
        "mmectl.endpoint": launch.spec.endpoint,
        "mmectl.variant": launch.spec.variant,
    }
    models = engines.bind(launch.workspace.base / "models", MODELS, "readonly")
    front = engines.bind(launch.workspace.front, FRONT)
    return [
        "run",
        "--rm",
        "--interactive",
        "--pull=never",
        "--log-driver=none",  # the lines go to our own bounded files
        f"--name={launch.name}",
        *(f"--label={name}={value}" for name, value in labels.items()),
        f"--memory={limits.memory}",
        f"--memory-swap={limits.memory}",
        f"--cpus={limits.cpus}",
        f"--pids-limit={limits.pids}",
        "--security-opt=no-new-privileges",
        f"--mount={models}",
        f"--network={network}" if network else f"--mount={front}",
        f"--env-file={environment_file}",
        *(f"--env={name}" for name in inherited),
        image,
        "serve",
    ]


def environment_of(launch: Launch, *, sockets: bool = True) -> dict[str, str]:
    """The variables of the container; those of the image itself are in the image."""
    listens = (
        {"MMECTL_BIND_ADDRESS": f"unix:{FRONT}/{SOCKET}"}
        if sockets
        else {"SAGEMAKER_BIND_TO_PORT": str(relay.PORT)}
    )
    return {
        **launch.spec.environment,
        "SAGEMAKER_MULTI_MODEL": "true",
        **listens,
        "MMECTL_LIFELINE_FD": "0",
    }


def environment_lines(variables: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """A file for `--env-file`, and the variables that no such file can hold."""
    several = {name: text for name, text in variables.items() if len(text.splitlines()) > 1}
    lines = [f"{name}={text}\n" for name, text in variables.items() if name not in several]
    return "".join(lines), several


class DockerRuntime:
    """See the module; `image` is the engine's own id of it.

    `sockets`: its server listens on a Unix socket, and on a port if not.
    """

    def __init__(
        self,
        launch: Launch,
        engine: Engine,
        image: str,
        limits: Limits,
        *,
        sockets: bool = True,
    ) -> None:
        self._launch = launch
        self._engine = engine
        self._image = image
        self._limits = limits
        self._sockets = sockets
        self._relay: DockerRelay | None = None
        self._watch: asyncio.Task[None] | None = None
        self._client: subprocess.Process | None = None
        self._lifeline = -1
        self._pid: int | None = None
        self._id = ""

    @property
    def listens(self) -> Path:
        """Its socket, or its relay's."""
        return self._launch.workspace.socket

    @property
    def pid(self) -> int | None:
        """The container's first process."""
        return self._pid if self.code is None else None

    @property
    def code(self) -> int | None:
        """The container's exit code; 125 where it could not be started."""
        return self._client.returncode if self._client is not None else None

    @property
    def away(self) -> bool:
        """Whether the engine failed: it is being restarted, perhaps."""
        return self.code == _ENGINE_FAILED

    async def start(self, output: int) -> None:
        """Run the container; OSError where that cannot even be tried."""
        launch = self._launch
        # the container's user is another one; nobody else gets past the folders above
        (launch.workspace.base / "models").chmod(0o755)
        launch.workspace.front.chmod(0o777)
        text, several = environment_lines(environment_of(launch, sockets=self._sockets))
        variables = launch.workspace.run / "environment"
        variables.touch(mode=0o600)
        variables.write_text(text)
        marks = {RUN_MARK: str(launch.workspace.run), processes.SERVER_MARK: str(launch.state_dir)}
        network = "" if self._sockets else await self._network(marks)
        arguments = run_arguments(
            launch, self._image, self._limits, variables, list(several), network
        )
        try:
            program = self._engine.program()
        except EngineError as error:
            raise OSError(str(error)) from None
        reading, self._lifeline = os.pipe()
        try:
            self._client = await asyncio.create_subprocess_exec(
                program,
                *arguments,
                stdin=reading,
                stdout=output,
                stderr=output,
                cwd=launch.workspace.run,
                env={**self._engine.environment, **several, **marks},
                start_new_session=True,
            )
        finally:
            os.close(reading)

    async def _network(self, marks: Mapping[str, str]) -> str:
        """Make the network of a server that knows ports alone; OSError where there can be none."""
        launch = self._launch
        self._relay = DockerRelay(
            self._engine, f"{launch.name}-relay", {**self._engine.environment, **marks}
        )
        workspace = launch.workspace
        await self._relay.start(launch.state_dir, workspace.run, workspace.front)
        self._watch = asyncio.create_task(self._follow(self._relay))
        return self._relay.network

    async def _follow(self, gone: DockerRelay) -> None:
        """Without its relay nobody reaches the server: end that, so that both are replaced."""
        await gone.wait()
        log.warning("the relay of %s ended", self._launch.name)
        await self.kill()

    async def ready(self) -> None:
        """Learn which processes are the container's."""
        with contextlib.suppress(EngineError):
            self._id = await to_thread(self._engine.identity, self._launch.name)
            self._pid = await to_thread(procfs.first_of, self._id)

    async def wait(self) -> int:
        """Wait for the container, to which the client is attached."""
        return await self._client.wait() if self._client is not None else -1

    async def stop(self, timeout: float) -> None:
        """SIGTERM, which the client passes on; SIGKILL comes with `end`."""
        if self._client is not None and self.code is None:
            self._client.send_signal(signal.SIGTERM)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._client.wait(), timeout)

    async def kill(self) -> None:
        """SIGKILL to the container; to the client alone where the engine does not answer."""
        if self._client is None or self.code is not None:
            return
        try:
            await to_thread(self._engine.call, "kill", self._launch.name)
        except EngineError:
            self._kill_client()

    def _kill_client(self) -> None:
        if self._client is not None and self.code is None:
            with contextlib.suppress(ProcessLookupError):
                self._client.kill()

    async def end(self) -> None:
        """Remove the containers, then their clients; what the engine keeps is swept later."""
        if self._watch is not None:
            self._watch.cancel()
        await self._end_server()
        if self._relay is not None:
            await self._relay.end()

    async def _end_server(self) -> None:
        if self._lifeline < 0:
            return
        with contextlib.suppress(EngineError):
            await to_thread(self._engine.remove, self._launch.name)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.wait(), _CLIENT_ENDS)
        self._kill_client()
        await self.wait()
        os.close(self._lifeline)
        self._lifeline = -1

    def seen(self, folder: Path) -> str:
        """The folder below /opt/ml/models."""
        return f"{MODELS}/{folder.relative_to(self._launch.workspace.base / 'models').as_posix()}"

    def admit(self, folder: Path) -> None:
        """Let the image's user read; nobody of this machine gets past the folders above."""
        for path in (folder, *folder.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() else 0o644)

    def workers(self, folder: Path, model: str) -> list[int]:
        """By their working directory; by their names where we may not see that."""
        found = procfs.working_in(folder)
        if not found and self._id:
            found = procfs.of_container(self._id, model)
        return found

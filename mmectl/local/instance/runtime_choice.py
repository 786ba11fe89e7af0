"""Chooses the runtime of a variant's instances, and removes leftovers of the others."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from mmectl.base.instances import model_memory
from mmectl.local.instance import docker_cli as engines
from mmectl.local.instance import workspace
from mmectl.local.instance.docker_cli import Engine, EngineError, EngineImage
from mmectl.local.instance.docker_runtime import DockerRuntime, Limits
from mmectl.local.instance.process_runtime import Launch, MakeRuntime, ProcessRuntime
from mmectl.local.values import FleetFailed, FleetSpec

AUTO, PROCESS, DOCKER = "auto", "process", "docker"
log = logging.getLogger("mmectl.local.runtime")


@dataclass(frozen=True, slots=True)
class RuntimeChoice:
    """`name` is PROCESS or DOCKER, `reason` for people, `image` the engine's id of the image.

    `sockets`: its server listens on a Unix socket, and on a port if not.
    """

    name: str
    reason: str
    image: str = ""
    sockets: bool = True


def choose(
    wanted: str, spec: FleetSpec, find: Callable[[str], EngineImage | None]
) -> RuntimeChoice:
    """Choose for one variant; `find` asks the engine and raises EngineError.

    `auto` takes Docker when an engine answers and has the image. Raises FleetFailed where what
    is wanted cannot be had.
    """
    reference = spec.image.reference
    if wanted == PROCESS:
        return _process(spec, "local.runtime is process")
    try:
        image = find(reference)
        lacking = f"the Docker engine has no image {reference}"
    except EngineError as error:
        image, lacking = None, str(error)
    if image is not None:
        why = "local.runtime is docker" if wanted == DOCKER else "the Docker engine has the image"
        return RuntimeChoice(DOCKER, why, image.id, image.sockets)
    if wanted == DOCKER:
        raise FleetFailed(f"local.runtime is docker, and {lacking}.")
    return _process(spec, lacking)


def _process(spec: FleetSpec, reason: str) -> RuntimeChoice:
    if not spec.image.entrypoint:
        raise FleetFailed(
            f"Image {spec.image.reference} is not built for plain processes, and "
            f"{reason.removesuffix('.')}. Fix it with: mmectl build, then: mmectl deploy"
        )
    return RuntimeChoice(PROCESS, reason)


class Runtimes:
    """Chooses, makes and sweeps; `environment` is the platform's own, `folder` the fleets'.

    `memory` is what an instance must have at least, in bytes, where that was configured, and
    `reserved` what its server takes of it.
    """

    def __init__(
        self,
        wanted: str,
        folder: Path,
        state_dir: Path,
        environment: Mapping[str, str],
        memory: int = 0,
        reserved: int = 0,
    ) -> None:
        self._wanted = wanted
        self._folder = folder
        self._state_dir = state_dir
        self._environment = environment
        self._memory = memory
        self._reserved = reserved
        self._engine = Engine(environment)
        self._told: dict[tuple[str, str], str] = {}

    async def choose(self, spec: FleetSpec) -> RuntimeChoice:
        """Choose for one variant, and say so in the platform's log; raises FleetFailed."""
        choice = await asyncio.to_thread(choose, self._wanted, spec, self._engine.image)
        if choice.name == DOCKER:
            await asyncio.to_thread(engines.remember, self._folder, self._environment)
        told = f"{spec.endpoint}/{spec.variant} runs as {choice.name}: {choice.reason}"
        key = spec.config, spec.variant
        if self._told.get(key) != told:  # once for all its instances
            log.info("%s", told)
        self._told[key] = told
        return choice

    def maker(self, choice: RuntimeChoice, spec: FleetSpec, share: int) -> MakeRuntime:
        """What makes the runs of an instance, one of `share` on this machine."""
        machine = psutil.virtual_memory().total
        if choice.name == PROCESS:
            # what it has at most: the share of an instance grows when others leave
            wanted = self._memory - self._reserved if self._memory else None
            most = model_memory(spec.instance_type, machine, 1, self._reserved, wanted)
            return lambda launch: ProcessRuntime(launch, self._environment, most)
        cpus = os.cpu_count() or 1
        limits = Limits.of(spec.instance_type, machine, cpus, share, self._memory)

        def make(launch: Launch) -> DockerRuntime:
            return DockerRuntime(launch, self._engine, choice.image, limits, sockets=choice.sockets)

        return make

    def sweep(self) -> int:
        """Remove what a platform that was killed left: containers, processes, directories.

        Returns how many containers and processes there were. Blocking.
        """
        count = 0
        try:
            count = engines.sweep(self._folder, self._state_dir, self._environment)
        except EngineError as error:
            log.warning("containers of an earlier run may be left: %s", error)
        return count + workspace.sweep(self._folder)

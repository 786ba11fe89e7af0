"""A test run: whose platforms they are, where they lie, and their end."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmectl.base.errors import PlatformError
from mmectl.local import processes
from mmectl.local.processes import Process


@dataclass(frozen=True, slots=True)
class Run:
    """One test run of one or several processes.

    Its platforms end with the `owner`. `number` tells the processes apart.
    """

    name: str
    owner: Process
    number: int = 0

    @classmethod
    def begin(cls) -> Run:
        """A run of this process."""
        owner = processes.find(os.getpid())
        if owner is None:
            raise PlatformError(
                "the local platform needs Linux: there is no /proc here", code="platform_state"
            )
        return cls(os.urandom(8).hex(), owner)

    def told(self) -> dict[str, Any]:
        """What another process of the run must know, as plain values."""
        return {"name": self.name, "pid": self.owner.pid, "ticks": self.owner.ticks}

    @classmethod
    def of(cls, told: Mapping[str, Any], number: int) -> Run:
        """The run of the process that told of it; our own where it is not on this machine."""
        owner = Process(told["pid"], told["ticks"])
        return cls(told["name"], owner, number) if processes.alive(owner) else cls.begin()

    @property
    def ours(self) -> bool:
        """Whether it ends with this process."""
        return self.owner.pid == os.getpid()

    def folder(self, key: str) -> Path:
        """The state of one of its platforms, made where it is not there yet."""
        path = Path(tempfile.gettempdir(), f"mmectl-run-{self.name}-{key}")
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
        if not private or found.st_uid != os.getuid():
            raise PlatformError(
                f"{path} is somebody else's",
                hint="set TMPDIR to another folder",
                code="platform_state",
            )
        return path

    def end(self) -> list[str]:
        """Stop its platforms and remove what they wrote; what could not be done."""
        problems = []
        for path in sorted(Path(tempfile.gettempdir()).glob(f"mmectl-run-{self.name}-*")):
            try:
                remove(path)
            except PlatformError as error:
                problems.append(error.message)
        return problems


def remove(folder: Path) -> None:
    """Stop the platform of that folder, and remove the folder. Raises PlatformError."""
    from mmectl.local.client import platform

    try:
        platform.stop(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)

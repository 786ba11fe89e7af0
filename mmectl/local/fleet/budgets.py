"""The memory and disk of this machine, divided among the instances of every fleet on it.

On SageMaker every instance is a machine of its own; here they all share one. So a budget is what
the instance type has, but no more than an equal share; when instances come or go, all are
divided anew, and what is too much is unloaded.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import psutil

from mmectl.base.instances import model_disk, model_memory
from mmectl.local.settings import RouterSettings
from mmectl.local.values import FleetSpec

_GROWN = 1.1  # times the disk that was divided last


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    return int(psutil.virtual_memory().total)


def free_disk(folder: Path) -> int:
    """Bytes of disk that are free there."""
    return shutil.disk_usage(folder).free


class Limited(Protocol):
    """A fleet whose instances get budgets; see `fleet.Fleet`."""

    spec: FleetSpec

    @property
    def instances(self) -> tuple[str, ...]:
        """The ids of the instances."""
        ...

    @property
    def disk_used(self) -> int:
        """Bytes of unpacked models on all instances."""
        ...

    def limit(self, memory: int, disk: int) -> None:
        """Set what models may take on each instance, in bytes."""
        ...


class MachineBudgets:
    """See the module. `folder` is where models are unpacked.

    `memory` gives the machine's, `free` the disk that is free where a folder is, in bytes.
    """

    def __init__(
        self,
        folder: Path,
        settings: RouterSettings,
        memory: Callable[[], int] = machine_memory,
        free: Callable[[Path], int] = free_disk,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._memory = memory
        self._free = free
        self._fleets: list[Limited] = []
        self._divided = 0  # bytes of disk, at the last division

    def join(self, fleets: Iterable[Limited]) -> None:
        """Count these in, once their instances are up; one that fails takes from nobody."""
        self._fleets += fleets
        self.divide()

    def leave(self, fleets: Iterable[Limited]) -> None:
        """Count these out, after their instances have ended."""
        gone = list(fleets)
        self._fleets = [fleet for fleet in self._fleets if fleet not in gone]
        self.divide()

    def divide(self) -> None:
        """Give every instance its budgets; to be called when a fleet has grown or shrunk."""
        count = sum(len(fleet.instances) for fleet in self._fleets)
        memory, disk = self._memory(), self._disk()
        self._divided = disk
        settings = self._settings
        for fleet in self._fleets:
            spec = fleet.spec
            fleet.limit(
                model_memory(
                    spec.instance_type, memory, count, settings.server_memory, settings.memory
                ),
                model_disk(spec.instance_type, spec.volume_gb, disk, count, settings.disk),
            )

    def refresh(self) -> None:
        """Divide anew when the disk was fuller at the last time: what filled it is gone."""
        if self._disk() > _GROWN * self._divided:
            self.divide()

    def _disk(self) -> int:
        """Bytes of disk that are free, or hold models already."""
        held = sum(fleet.disk_used for fleet in self._fleets)
        existing = next(p for p in (self._folder, *self._folder.parents) if p.exists())
        return self._free(existing) + held

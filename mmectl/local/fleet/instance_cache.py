"""One instance as the book of residency sees it: budgets, copies of models, plans. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Phase(Enum):
    """Where a copy of a model stands."""

    DISK = "disk"
    LOADING = "loading"
    MEMORY = "memory"
    UNLOADING = "unloading"


class NoRoomError(Exception):
    """The reservation would exceed the instance's budget."""


class TooWideError(Exception):
    """The model exceeds the budget of an empty instance: no eviction can help."""

    def __init__(self, what: str, need: int, budget: int) -> None:
        super().__init__(f"{what}: needs {need} bytes, an instance has {budget}")
        self.what = what
        self.need = need
        self.budget = budget


@dataclass(slots=True)
class Copy:
    """One model on one instance.

    `busy` counts requests in flight, `peak` the most of them since `surplus` looked last,
    `served` those since the load; `used` orders by use.
    """

    phase: Phase = Phase.DISK
    memory: int = 0
    disk: int = 0
    busy: int = 0
    used: int = 0
    peak: int = 0
    served: int = 0


@dataclass(frozen=True, slots=True)
class Evictions:
    """What to unload and whose files to delete, in that order; `enough` if that makes room."""

    unload: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    enough: bool = True


@dataclass(slots=True)
class Shelf:
    """One instance: its budgets and what it holds."""

    memory: int
    disk: int
    ready: bool = False
    copies: dict[str, Copy] = field(default_factory=dict)

    @property
    def memory_used(self) -> int:
        """Bytes of models in memory, being loaded or being unloaded."""
        return sum(copy.memory for copy in self.copies.values())

    @property
    def memory_leaving(self) -> int:
        """Bytes of models that are being unloaded."""
        leaving = (copy for copy in self.copies.values() if copy.phase is Phase.UNLOADING)
        return sum(copy.memory for copy in leaving)

    @property
    def disk_used(self) -> int:
        """Bytes of unpacked models."""
        return sum(copy.disk for copy in self.copies.values())

    @property
    def busy(self) -> int:
        """Requests in flight."""
        return sum(copy.busy for copy in self.copies.values())

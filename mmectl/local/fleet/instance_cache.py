"""What one instance holds and may hold: replicas of models, budgets. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Phase(Enum):
    """Where a replica of a model stands."""

    DISK = "disk"
    LOADING = "loading"
    MEMORY = "memory"
    UNLOADING = "unloading"


class OverBudgetError(Exception):
    """The reservation would exceed the instance's budget."""


class ExceedsInstanceError(Exception):
    """The model exceeds the budget of an empty instance: no eviction can help."""

    def __init__(self, what: str, need: int, budget: int) -> None:
        super().__init__(f"{what}: needs {need} bytes, an instance has {budget}")
        self.what = what
        self.need = need
        self.budget = budget


@dataclass(slots=True)
class Replica:
    """One model on one instance.

    `busy` counts requests in flight, `waiting` those that wait for its load, `peak` the most in
    flight since `surplus` looked last, `served` those since the load; `used` orders by use;
    `shared`: its process serves others, too.
    """

    phase: Phase = Phase.DISK
    memory: int = 0
    disk: int = 0
    busy: int = 0
    waiting: int = 0
    used: int = 0
    peak: int = 0
    served: int = 0
    shared: bool = False

    @property
    def idle(self) -> bool:
        """Whether no request is in flight or about to be: one that waits comes after the load."""
        return not (self.busy or self.waiting)


@dataclass(frozen=True, slots=True)
class Evictions:
    """What to unload and whose files to delete, in that order; `enough` if that makes room."""

    unload: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    enough: bool = True


@dataclass(slots=True)
class InstanceCache:
    """One instance: its budgets and what it holds."""

    memory: int
    disk: int
    ready: bool = False
    replicas: dict[str, Replica] = field(default_factory=dict)

    @property
    def memory_used(self) -> int:
        """Bytes of models in memory, being loaded or being unloaded."""
        return sum(replica.memory for replica in self.replicas.values())

    @property
    def memory_leaving(self) -> int:
        """Bytes of models that are being unloaded."""
        leaving = (
            replica for replica in self.replicas.values() if replica.phase is Phase.UNLOADING
        )
        return sum(replica.memory for replica in leaving)

    @property
    def disk_used(self) -> int:
        """Bytes of unpacked models."""
        return sum(replica.disk for replica in self.replicas.values())

    @property
    def busy(self) -> int:
        """Requests in flight."""
        return sum(replica.busy for replica in self.replicas.values())

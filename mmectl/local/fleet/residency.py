"""Which model is on which instance: in memory, on disk, loading. Pure: no I/O and no clock.

Models go by their TargetModel, instances by their id, sizes are bytes. The owner asks
(`choose`, `spread`, `evictions`) and reports what it did (`begin_load` ... `loaded`,
`begin_unload` ... `unloaded`). SageMaker says only that "unused" models are unloaded under
pressure; least recently used first is our choice.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    """One model on one instance; `busy` counts requests in flight, `used` orders by use."""

    phase: Phase = Phase.DISK
    memory: int = 0
    disk: int = 0
    busy: int = 0
    used: int = 0


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
    def disk_used(self) -> int:
        """Bytes of unpacked models."""
        return sum(copy.disk for copy in self.copies.values())

    @property
    def busy(self) -> int:
        """Requests in flight."""
        return sum(copy.busy for copy in self.copies.values())


class Residency:
    """The book of one fleet. `spread_at` is how many requests in flight per copy are a crowd."""

    def __init__(self, spread_at: int = 4) -> None:
        self._shelves: dict[str, Shelf] = {}
        self._sizes: dict[str, int] = {}
        self._spread_at = spread_at
        self._tick = 0

    # instances

    def add(self, instance: str, memory: int, disk: int) -> None:
        """Register an instance; it takes no model before `ready`."""
        self._shelves[instance] = Shelf(memory, disk)

    def remove(self, instance: str) -> None:
        """Forget an instance for good."""
        self._shelves.pop(instance, None)

    def ready(self, instance: str) -> None:
        """Open an instance for requests; its memory is empty."""
        self._shelves[instance].ready = True

    def lost(self, instance: str) -> None:
        """Record that the server went down: nothing in memory, files stay."""
        shelf = self._shelves[instance]
        shelf.ready = False
        for target, copy in list(shelf.copies.items()):
            copy.phase, copy.memory = Phase.DISK, 0
            self._tidy(shelf, target)

    def shelf(self, instance: str) -> Shelf:
        """What one instance holds."""
        return self._shelves[instance]

    # questions

    def copy(self, instance: str, target: str) -> Copy | None:
        """That model on that instance, or None."""
        return self._shelves[instance].copies.get(target)

    def in_memory(self, instance: str, target: str) -> bool:
        """Whether requests can go there at once."""
        copy = self.copy(instance, target)
        return copy is not None and copy.phase is Phase.MEMORY

    def choose(self, target: str) -> str | None:
        """Choose the instance for a request; None if no instance is ready.

        The holder with the least to do; else where it is being loaded; else where it fits,
        where its files are, where most memory is free.
        """
        best: str | None = None
        rank: tuple[float, ...] = ()
        for name, shelf in self._open():
            mine = self._rank(shelf, target)
            if best is None or mine < rank:
                best, rank = name, mine
        return best

    def _rank(self, shelf: Shelf, target: str) -> tuple[float, ...]:
        copy = shelf.copies.get(target)
        if copy is not None and copy.phase is Phase.MEMORY:
            return (0, copy.busy)
        if copy is not None and copy.phase is Phase.LOADING:
            return (1,)
        used = shelf.memory_used
        fits = used + self._sizes.get(target, 0) <= shelf.memory
        return (2, not fits, copy is None, used, shelf.busy)

    def spread(self, target: str) -> str | None:
        """A further instance to load a crowded model on, or None.

        Only where it fits without evicting anything, and one at a time.
        """
        holders, others = [], []
        for name, shelf in self._open():
            copy = shelf.copies.get(target)
            if copy is None or copy.phase is Phase.DISK:
                others.append((shelf.memory_used, name))
            elif copy.phase is Phase.MEMORY:
                holders.append(copy)
            else:
                return None
        if not others or not holders or min(c.busy for c in holders) < self._spread_at:
            return None
        used, name = min(others)
        fits = used + self._sizes.get(target, 0) <= self._shelves[name].memory
        return name if fits else None

    def evictions(
        self, instance: str, *, memory: int = 0, disk: int = 0, keep: str = ""
    ) -> Evictions:
        """Plan to make room for so many bytes more; idle models only, least recently used first.

        Raises TooWideError if even an empty instance has no room.
        """
        shelf = self._shelves[instance]
        self.check_width(instance, memory, disk)
        idle = [
            (target, copy)
            for target, copy in sorted(shelf.copies.items(), key=lambda item: item[1].used)
            if copy.busy == 0 and target != keep and copy.phase in (Phase.DISK, Phase.MEMORY)
        ]
        lacking = shelf.memory_used + memory - shelf.memory
        unload: list[str] = []
        for target, copy in idle:
            if lacking > 0 and copy.phase is Phase.MEMORY:
                unload.append(target)
                lacking -= copy.memory
        short = shelf.disk_used + disk - shelf.disk
        delete: list[str] = []
        # files of models that stay in memory go last: those would have to be unloaded as well
        for target, copy in sorted(
            idle, key=lambda item: item[1].phase is Phase.MEMORY and item[0] not in unload
        ):
            if short > 0:
                delete.append(target)
                short -= copy.disk
        also = [t for t in delete if shelf.copies[t].phase is Phase.MEMORY and t not in unload]
        return Evictions((*unload, *also), tuple(delete), enough=lacking <= 0 and short <= 0)

    def check_width(self, instance: str, memory: int, disk: int) -> None:
        """Raise TooWideError if an empty instance could not hold that much."""
        shelf = self._shelves[instance]
        if memory > shelf.memory:
            raise TooWideError("memory", memory, shelf.memory)
        if disk > shelf.disk:
            raise TooWideError("disk", disk, shelf.disk)

    def oldest_idle(self, instance: str, keep: str = "") -> str | None:
        """The idle model in memory that was used least recently."""
        idle = [
            (copy.used, target)
            for target, copy in self._shelves[instance].copies.items()
            if copy.phase is Phase.MEMORY and copy.busy == 0 and target != keep
        ]
        return min(idle)[1] if idle else None

    def known_size(self, target: str) -> int | None:
        """Bytes that the model took in memory when it was last loaded anywhere."""
        return self._sizes.get(target)

    # reports

    def begin_load(self, instance: str, target: str) -> None:
        """Claim the load of a model that is not in memory; nothing is reserved yet."""
        copy = self._shelves[instance].copies.setdefault(target, Copy())
        if copy.phase is not Phase.DISK:
            raise ValueError(f"{target} is {copy.phase.value} on {instance}")
        copy.phase = Phase.LOADING
        self._touch(copy)

    def reserve(self, instance: str, target: str, memory: int, disk: int) -> None:
        """Set aside what a load will need (`disk`: the unpacked model in all)."""
        shelf = self._shelves[instance]
        copy = shelf.copies[target]
        if shelf.memory_used - copy.memory + memory > shelf.memory:
            raise NoRoomError("memory")
        if shelf.disk_used - copy.disk + disk > shelf.disk:
            raise NoRoomError("disk")
        copy.memory, copy.disk = memory, disk

    def loaded(self, instance: str, target: str, memory: int) -> None:
        """Record a load that worked; `memory` as measured."""
        copy = self._shelves[instance].copies[target]
        copy.phase, copy.memory = Phase.MEMORY, memory
        self._sizes[target] = memory
        self._touch(copy)

    def load_failed(self, instance: str, target: str, *, disk: int = 0) -> None:
        """Record a load that failed, with `disk` bytes of files left of it."""
        shelf = self._shelves.get(instance)
        if shelf is None or target not in shelf.copies:
            return
        copy = shelf.copies[target]
        copy.phase, copy.memory, copy.disk = Phase.DISK, 0, disk
        self._tidy(shelf, target)

    def begin_unload(self, instance: str, target: str, *, broken: bool = False) -> None:
        """Claim the unload of an idle model; a `broken` one may still have requests."""
        copy = self._shelves[instance].copies[target]
        if copy.phase is not Phase.MEMORY or (copy.busy and not broken):
            raise ValueError(f"{target} is {copy.phase.value}, {copy.busy} in flight")
        copy.phase = Phase.UNLOADING

    def unloaded(self, instance: str, target: str) -> None:
        """Record that the model left memory; its files stay."""
        shelf = self._shelves.get(instance)
        if shelf is None or target not in shelf.copies:
            return
        copy = shelf.copies[target]
        copy.phase, copy.memory = Phase.DISK, 0
        self._tidy(shelf, target)

    def deleted(self, instance: str, target: str) -> None:
        """Record that the files of a model that is not in memory are gone."""
        shelf = self._shelves.get(instance)
        if shelf is not None and target in shelf.copies:
            shelf.copies[target].disk = 0
            self._tidy(shelf, target)

    def acquire(self, instance: str, target: str) -> Copy:
        """Count a request in; give the copy back to `release`."""
        copy = self._shelves[instance].copies[target]
        copy.busy += 1
        self._touch(copy)
        return copy

    def release(self, copy: Copy) -> None:
        """Count a request out."""
        copy.busy -= 1

    # within

    def _open(self) -> Iterator[tuple[str, Shelf]]:
        return ((name, shelf) for name, shelf in self._shelves.items() if shelf.ready)

    def _touch(self, copy: Copy) -> None:
        self._tick += 1
        copy.used = self._tick

    @staticmethod
    def _tidy(shelf: Shelf, target: str) -> None:
        """Drop a copy of which nothing is left."""
        copy = shelf.copies[target]
        if copy.phase is Phase.DISK and copy.disk == 0 and copy.busy == 0:
            del shelf.copies[target]

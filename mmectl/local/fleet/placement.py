"""Which model is on which instance: in memory, on disk, loading. Pure: no I/O and no clock.

Models go by their TargetModel, instances by their id, sizes are bytes. The owner asks
(`choose`, `spread`, `surplus`, `evictions`) and reports what it did (`begin_load` ... `loaded`,
`begin_unload` ... `unloaded`). SageMaker says only that "unused" models are unloaded under
pressure; least recently used first is our choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

from mmectl.local.fleet.estimates import Sizes
from mmectl.local.fleet.instance_cache import (
    Copy,
    Evictions,
    NoRoomError,
    Phase,
    Shelf,
    TooWideError,
)

__all__ = ["Copy", "Evictions", "NoRoomError", "Phase", "Residency", "Shelf", "TooWideError"]
RANDOM, LEAST_OUTSTANDING = "RANDOM", "LEAST_OUTSTANDING_REQUESTS"


class Residency:
    """The book of one fleet.

    `spread_at` is how many requests in flight per copy are too many; `routing` says which of
    several instances that hold a model gets a request, as RoutingConfig does: any (`pick`), or
    the one with the fewest outstanding requests.
    """

    def __init__(
        self,
        spread_at: int = 4,
        routing: str = RANDOM,
        pick: Callable[[Sequence[str]], str] | None = None,
    ) -> None:
        self.sizes = Sizes()
        self._shelves: dict[str, Shelf] = {}
        self._spread_at = spread_at
        self._routing = routing
        self._pick = pick or Random().choice
        self._tick = 0

    # instances

    def add(self, instance: str, memory: int, disk: int) -> None:
        """Register an instance; it takes no model before `ready`."""
        self._shelves[instance] = Shelf(memory, disk)

    def limit(self, instance: str, memory: int, disk: int) -> None:
        """Change the budgets of an instance; `evictions` then says what has to go."""
        shelf = self._shelves[instance]
        shelf.memory, shelf.disk = memory, disk

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

        One that holds it, as `routing` says; else where it is being loaded; else where it fits,
        where its files are, where most memory is free.
        """
        holders = [(name, shelf) for name, shelf in self._open() if self.in_memory(name, target)]
        if holders and self._routing == LEAST_OUTSTANDING:
            return min(holders, key=lambda item: item[1].busy)[0]
        if holders:
            return self._pick([name for name, _ in holders]) if len(holders) > 1 else holders[0][0]
        best: str | None = None
        rank: tuple[float, ...] = ()
        for name, shelf in self._open():
            mine = self._rank(shelf, target)
            if best is None or mine < rank:
                best, rank = name, mine
        return best

    def _rank(self, shelf: Shelf, target: str) -> tuple[float, ...]:
        copy = shelf.copies.get(target)
        if copy is not None and copy.phase is Phase.LOADING:
            return (1,)
        used = shelf.memory_used
        fits = used + (self.sizes.of(target) or 0) <= shelf.memory
        return (2, not fits, copy is None, used, shelf.busy)

    def spread(self, target: str) -> str | None:
        """A further instance to load a busy model on, or None.

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
        fits = used + (self.sizes.of(target) or 0) <= self._shelves[name].memory
        return name if fits else None

    def surplus(self) -> list[tuple[str, str]]:
        """Copies (instance, target) that the demand since the last question does not need.

        A model keeps a copy for every `spread_at` requests that were in flight at once, and one
        in any case; of the others one idle copy is given up at a time, the least used.
        """
        holders: dict[str, list[tuple[int, str, Copy]]] = {}
        for name, shelf in self._open():
            for target, copy in shelf.copies.items():
                if copy.phase is Phase.MEMORY:
                    holders.setdefault(target, []).append((copy.used, name, copy))
        found = []
        for target, copies in holders.items():
            demand = sum(copy.peak for _, _, copy in copies)
            for _, _, copy in copies:
                copy.peak = copy.busy
            idle = [(used, name) for used, name, copy in copies if copy.busy == 0]
            if idle and len(copies) > max(1, -(-demand // self._spread_at)):
                found.append((min(idle)[1], target))
        return found

    def evictions(
        self, instance: str, *, memory: int = 0, disk: int = 0, keep: str = ""
    ) -> Evictions:
        """Plan to make room for so many bytes more; idle models only, least recently used first.

        What is being unloaded already counts as gone: an empty plan that is `enough` means to
        wait for it. Raises TooWideError if even an empty instance has no room.
        """
        shelf = self._shelves[instance]
        self.check_width(instance, memory, disk)
        idle = [
            (target, copy)
            for target, copy in sorted(shelf.copies.items(), key=lambda item: item[1].used)
            if copy.busy == 0 and target != keep and copy.phase in (Phase.DISK, Phase.MEMORY)
        ]
        lacking = shelf.memory_used - shelf.memory_leaving + memory - shelf.memory
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
        copy.phase, copy.memory, copy.served = Phase.MEMORY, memory, 0
        self.sizes.learn(target, copy.disk, memory)
        self._touch(copy)

    def measured(self, instance: str, target: str, memory: int) -> None:
        """Record what a model in memory takes by now."""
        if instance in self._shelves and self.in_memory(instance, target):
            copy = self._shelves[instance].copies[target]
            copy.memory = memory
            self.sizes.learn(target, copy.disk, memory)

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
        copy.served += 1
        copy.peak = max(copy.peak, copy.busy)
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

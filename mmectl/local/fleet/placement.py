"""Which model is on which instance: in memory, on disk, loading. Pure: no I/O and no clock.

Models go by their TargetModel, instances by their id, sizes are bytes. The owner asks
(`choose`, `spread`, `surplus`, `evictions`) and reports what it did (`begin_load` ... `loaded`,
`begin_unload` ... `unloaded`). SageMaker says only that "unused" models are unloaded under
pressure; least recently used first is our choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random

from mmectl.local.fleet.estimates import FootprintEstimates
from mmectl.local.fleet.instance_cache import (
    Evictions,
    ExceedsInstanceError,
    InstanceCache,
    OverBudgetError,
    Phase,
    Replica,
)

__all__ = [
    "Evictions",
    "ExceedsInstanceError",
    "InstanceCache",
    "OverBudgetError",
    "Phase",
    "Placement",
    "Replica",
]
RANDOM, LEAST_OUTSTANDING = "RANDOM", "LEAST_OUTSTANDING_REQUESTS"


class Placement:
    """Which replicas the instances of one fleet hold.

    `spread_at` is how many requests in flight per replica are too many; `routing` says which of
    several instances that hold a model gets a request, as RoutingConfig does: any (`pick`), or
    the one with the fewest outstanding requests.
    """

    def __init__(
        self,
        spread_at: int = 4,
        routing: str = RANDOM,
        pick: Callable[[Sequence[str]], str] | None = None,
    ) -> None:
        self.estimates = FootprintEstimates()
        self._caches: dict[str, InstanceCache] = {}
        self._spread_at = spread_at
        self._routing = routing
        self._pick = pick or Random().choice
        self._tick = 0

    # instances

    def add(self, instance: str, memory: int, disk: int) -> None:
        """Register an instance; it takes no model before `ready`."""
        self._caches[instance] = InstanceCache(memory, disk)

    def limit(self, instance: str, memory: int, disk: int) -> None:
        """Change the budgets of an instance; `evictions` then says what has to go."""
        cache = self._caches[instance]
        cache.memory, cache.disk = memory, disk

    def remove(self, instance: str) -> None:
        """Forget an instance for good."""
        self._caches.pop(instance, None)

    def ready(self, instance: str) -> None:
        """Open an instance for requests; its memory is empty."""
        self._caches[instance].ready = True

    def lost(self, instance: str) -> None:
        """Record that the server went down: nothing in memory, files stay."""
        cache = self._caches[instance]
        cache.ready = False
        for target, replica in list(cache.replicas.items()):
            replica.phase, replica.memory = Phase.DISK, 0
            self._tidy(cache, target)

    def cache(self, instance: str) -> InstanceCache:
        """What one instance holds."""
        return self._caches[instance]

    # questions

    def replica(self, instance: str, target: str) -> Replica | None:
        """That model on that instance, or None."""
        return self._caches[instance].replicas.get(target)

    def in_memory(self, instance: str, target: str) -> bool:
        """Whether requests can go there at once."""
        replica = self.replica(instance, target)
        return replica is not None and replica.phase is Phase.MEMORY

    def choose(self, target: str) -> str | None:
        """Choose the instance for a request; None if no instance is ready.

        One that holds it, as `routing` says; else where it is being loaded; else where it fits,
        where its files are, where most memory is free.
        """
        holders = [(name, cache) for name, cache in self._open() if self.in_memory(name, target)]
        if holders and self._routing == LEAST_OUTSTANDING:
            return min(holders, key=lambda item: item[1].busy)[0]
        if holders:
            return self._pick([name for name, _ in holders]) if len(holders) > 1 else holders[0][0]
        best: str | None = None
        rank: tuple[float, ...] = ()
        for name, cache in self._open():
            mine = self._rank(cache, target)
            if best is None or mine < rank:
                best, rank = name, mine
        return best

    def _rank(self, cache: InstanceCache, target: str) -> tuple[float, ...]:
        replica = cache.replicas.get(target)
        if replica is not None and replica.phase is Phase.LOADING:
            return (1,)
        used = cache.memory_used
        fits = used + (self.estimates.of(target) or 0) <= cache.memory
        return (2, not fits, replica is None, used, cache.busy)

    def spread(self, target: str) -> str | None:
        """A further instance to load a busy model on, or None.

        Only where it fits without evicting anything, and one at a time.
        """
        holders, others = [], []
        for name, cache in self._open():
            replica = cache.replicas.get(target)
            if replica is None or replica.phase is Phase.DISK:
                others.append((cache.memory_used, name))
            elif replica.phase is Phase.MEMORY:
                holders.append(replica)
            else:
                return None
        if not others or not holders or min(c.busy for c in holders) < self._spread_at:
            return None
        used, name = min(others)
        fits = used + (self.estimates.of(target) or 0) <= self._caches[name].memory
        return name if fits else None

    def surplus(self) -> list[tuple[str, str]]:
        """Copies (instance, target) that the demand since the last question does not need.

        A model keeps a replica for every `spread_at` requests that were in flight at once, and one
        in any case; of the others one idle replica is given up at a time, the least used.
        """
        holders: dict[str, list[tuple[int, str, Replica]]] = {}
        for name, cache in self._open():
            for target, replica in cache.replicas.items():
                if replica.phase is Phase.MEMORY:
                    holders.setdefault(target, []).append((replica.used, name, replica))
        found = []
        for target, replicas in holders.items():
            demand = sum(replica.peak for _, _, replica in replicas)
            for _, _, replica in replicas:
                replica.peak = replica.busy
            idle = [(used, name) for used, name, replica in replicas if replica.idle]
            if idle and len(replicas) > max(1, -(-demand // self._spread_at)):
                found.append((min(idle)[1], target))
        return found

    def evictions(
        self, instance: str, *, memory: int = 0, disk: int = 0, keep: str = ""
    ) -> Evictions:
        """Plan to make room for so many bytes more; idle models only, least recently used first.

        What is being unloaded already counts as gone: an empty plan that is `enough` means to
        wait for it. Raises ExceedsInstanceError if even an empty instance has no room.
        """
        cache = self._caches[instance]
        self.check_size(instance, memory, disk)
        idle = [
            (target, replica)
            for target, replica in sorted(cache.replicas.items(), key=lambda item: item[1].used)
            if replica.idle and target != keep and replica.phase in (Phase.DISK, Phase.MEMORY)
        ]
        lacking = cache.memory_used - cache.memory_leaving + memory - cache.memory
        unload: list[str] = []
        for target, replica in idle:
            if lacking > 0 and replica.phase is Phase.MEMORY:
                unload.append(target)
                lacking -= replica.memory
        short = cache.disk_used + disk - cache.disk
        delete: list[str] = []
        # files of models that stay in memory go last: those would have to be unloaded as well
        for target, replica in sorted(
            idle, key=lambda item: item[1].phase is Phase.MEMORY and item[0] not in unload
        ):
            if short > 0:
                delete.append(target)
                short -= replica.disk
        also = [t for t in delete if cache.replicas[t].phase is Phase.MEMORY and t not in unload]
        return Evictions((*unload, *also), tuple(delete), enough=lacking <= 0 and short <= 0)

    def check_size(self, instance: str, memory: int, disk: int) -> None:
        """Raise ExceedsInstanceError if an empty instance could not hold that much."""
        cache = self._caches[instance]
        if memory > cache.memory:
            raise ExceedsInstanceError("memory", memory, cache.memory)
        if disk > cache.disk:
            raise ExceedsInstanceError("disk", disk, cache.disk)

    def oldest_idle(self, instance: str, keep: str = "") -> str | None:
        """The idle model in memory that was used least recently."""
        idle = [
            (replica.used, target)
            for target, replica in self._caches[instance].replicas.items()
            if replica.phase is Phase.MEMORY and replica.idle and target != keep
        ]
        return min(idle)[1] if idle else None

    def over_budget(self, instance: str) -> bool:
        """Whether the models that stay take more memory than the instance has for them."""
        cache = self._caches[instance]
        return cache.memory_used - cache.memory_leaving > cache.memory

    def least_wanted(self, instance: str, keep: str = "") -> str | None:
        """The busy model in memory that was asked for least recently."""
        busy = [
            (replica.used, target)
            for target, replica in self._caches[instance].replicas.items()
            if replica.phase is Phase.MEMORY and replica.busy and target != keep
        ]
        return min(busy)[1] if busy else None

    # reports

    def begin_load(self, instance: str, target: str) -> None:
        """Claim the load of a model that is not in memory; nothing is reserved yet."""
        replica = self._caches[instance].replicas.setdefault(target, Replica())
        if replica.phase is not Phase.DISK:
            raise ValueError(f"{target} is {replica.phase.value} on {instance}")
        replica.phase = Phase.LOADING
        self._touch(replica)

    def reserve(self, instance: str, target: str, memory: int, disk: int) -> None:
        """Set aside what a load will need (`disk`: the unpacked model in all)."""
        cache = self._caches[instance]
        replica = cache.replicas[target]
        if cache.memory_used - replica.memory + memory > cache.memory:
            raise OverBudgetError("memory")
        if cache.disk_used - replica.disk + disk > cache.disk:
            raise OverBudgetError("disk")
        replica.memory, replica.disk = memory, disk

    def loaded(self, instance: str, target: str, memory: int, *, shared: bool = False) -> None:
        """Record a load that worked; `memory` as measured, `shared` as MemoryUse has it.

        A model grows with its first answers: what it took after them, when it was in memory
        before, counts until it is measured again.
        """
        replica = self._caches[instance].replicas[target]
        memory = max(memory, self.estimates.of(target) or 0)
        replica.phase, replica.memory, replica.served = Phase.MEMORY, memory, 0
        replica.shared = shared
        self.estimates.learn(target, replica.disk, memory)
        self._touch(replica)

    def measured(self, instance: str, target: str, memory: int) -> None:
        """Record what a model in memory takes by now."""
        if instance in self._caches and self.in_memory(instance, target):
            replica = self._caches[instance].replicas[target]
            replica.memory = memory
            self.estimates.learn(target, replica.disk, memory)

    def load_failed(self, instance: str, target: str, *, disk: int = 0) -> None:
        """Record a load that failed, with `disk` bytes of files left of it."""
        cache = self._caches.get(instance)
        if cache is None or target not in cache.replicas:
            return
        replica = cache.replicas[target]
        replica.phase, replica.memory, replica.disk = Phase.DISK, 0, disk
        self._tidy(cache, target)

    def begin_unload(self, instance: str, target: str, *, busy: bool = False) -> None:
        """Claim the unload of a model, which gets no request any more; `busy`: it may have some."""
        replica = self._caches[instance].replicas[target]
        if replica.phase is not Phase.MEMORY or (replica.busy and not busy):
            raise ValueError(f"{target} is {replica.phase.value}, {replica.busy} in flight")
        replica.phase = Phase.UNLOADING

    def unloaded(self, instance: str, target: str) -> None:
        """Record that the model left memory; its files stay."""
        cache = self._caches.get(instance)
        if cache is None or target not in cache.replicas:
            return
        replica = cache.replicas[target]
        replica.phase, replica.memory = Phase.DISK, 0
        self._tidy(cache, target)

    def deleted(self, instance: str, target: str) -> None:
        """Record that the files of a model that is not in memory are gone."""
        cache = self._caches.get(instance)
        if cache is not None and target in cache.replicas:
            cache.replicas[target].disk = 0
            self._tidy(cache, target)

    @contextmanager
    def awaited(self, instance: str, target: str) -> Iterator[None]:
        """While a request waits for that model's load or unload.

        A model is not evicted before those that waited for it have come to it.
        """
        cache = self._caches[instance]
        replica = cache.replicas.get(target) or Replica()
        replica.waiting += 1
        try:
            yield
        finally:
            replica.waiting -= 1
            if cache.replicas.get(target) is replica:
                self._tidy(cache, target)

    def acquire(self, instance: str, target: str) -> Replica:
        """Count a request in; give the replica back to `release`."""
        replica = self._caches[instance].replicas[target]
        replica.busy += 1
        replica.served += 1
        replica.peak = max(replica.peak, replica.busy)
        self._touch(replica)
        return replica

    def release(self, replica: Replica) -> None:
        """Count a request out."""
        replica.busy -= 1

    # within

    def _open(self) -> Iterator[tuple[str, InstanceCache]]:
        return ((name, cache) for name, cache in self._caches.items() if cache.ready)

    def _touch(self, replica: Replica) -> None:
        self._tick += 1
        replica.used = self._tick

    @staticmethod
    def _tidy(cache: InstanceCache, target: str) -> None:
        """Drop a replica of which nothing is left."""
        replica = cache.replicas[target]
        if replica.phase is Phase.DISK and replica.disk == 0 and replica.idle:
            del cache.replicas[target]

"""Reports on the instances of a fleet, as rows: for people, and for the sampler of metrics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from typing import Protocol

from mmectl.local.fleet.instance_cache import InstanceCache, Phase
from mmectl.local.fleet.metering import Meter
from mmectl.local.fleet.placement import Placement
from mmectl.local.fleet.ports import Server
from mmectl.local.values import FleetSpec


class Tally:
    """What was answered since an instance began, also by models that were unloaded."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, str], float] = {}
        self._answers: Counter[tuple[str, str]] = Counter()

    def count(self, instance: str, target: str) -> None:
        """A model has answered."""
        self._at[instance, target] = round(time.time(), 3)
        self._answers[instance, target] += 1

    def row(self, instance: str) -> dict[str, object]:
        """Unix time of the last answer and number of answers, by model."""
        return {
            "invoked": {t: at for (i, t), at in self._at.items() if i == instance},
            "answers": {t: n for (i, t), n in self._answers.items() if i == instance},
        }


class Members(Protocol):
    """The instances of the fleet; see `instances.Instances`."""

    @property
    def servers(self) -> Collection[Server]:
        """All instances."""
        ...


class Reports:
    """The rows of one fleet; `server_memory` is what a server itself may take, in bytes."""

    def __init__(
        self,
        spec: FleetSpec,
        instances: Members,
        placement: Placement,
        tally: Tally,
        meter: Meter,
        server_memory: int,
    ) -> None:
        self._spec = spec
        self._instances = instances
        self._placement = placement
        self._tally = tally
        self._meter = meter
        self._server_memory = server_memory

    def describe(self) -> list[dict[str, object]]:
        """One JSON-ready row per instance."""
        return [
            self._row(server) | {"live": self._meter.live(server.id)}
            for server in self._instances.servers
        ]

    def measured(self) -> list[dict[str, object]]:
        """One row per instance with what the sampler needs; memory and disk in bytes."""
        return [
            self._row(server)
            | _measures(self._spec, self._placement.cache(server.id), self._server_memory)
            for server in self._instances.servers
        ]

    def moves(self, seconds: float) -> list[dict[str, object]]:
        """Loads and evictions of that time, one row for each model of an instance."""
        return [
            {"variant": self._spec.variant, "instance_id": instance, "target_model": target}
            | {"loads": count.loads, "evictions": count.evictions}
            for (instance, target), count in self._meter.moves(seconds).items()
        ]

    def course(self, target: str, seconds: float) -> list[dict[str, object]]:
        """Each load and eviction of one model in that time."""
        return [
            {"variant": self._spec.variant, "ago": round(ago, 3), "loaded": came}
            for ago, came in self._meter.course(target, seconds)
        ]

    def _row(self, server: Server) -> dict[str, object]:
        return _row(self._spec, server, self._placement.cache(server.id), self._tally)


def _megabytes(size: int) -> float:
    """MB, whole ones but for models of a few kB."""
    exact = size / 2**20
    return round(exact) if exact >= 1 else round(exact, 2)


def _row(spec: FleetSpec, server: Server, cache: InstanceCache, tally: Tally) -> dict[str, object]:
    """One instance, ready for JSON."""
    in_memory = [
        {
            "target_model": target,
            "memory_mb": _megabytes(replica.memory),
            "in_flight": replica.busy,
            "process": "shared" if replica.shared else "own",
        }
        for target, replica in cache.replicas.items()
        if replica.phase is Phase.MEMORY
    ]
    return {
        "instance_id": server.id,
        "variant": spec.variant,
        "instance_type": spec.instance_type,
        "state": server.state,
        "runtime": server.runtime,
        "pid": server.pid,
        "socket": str(server.listens) if server.listens else None,
        "port": None,  # of old: no server listens on one any more
        "restarts": server.restarts,
        "memory_used_mb": round(cache.memory_used / 2**20),
        "memory_limit_mb": round(cache.memory / 2**20),
        "disk_used_mb": round(cache.disk_used / 2**20),
        "disk_limit_mb": round(cache.disk / 2**20),
        "models": in_memory,
        **tally.row(server.id),
        "loading": [t for t, c in cache.replicas.items() if c.phase is Phase.LOADING],
        "on_disk": [t for t, c in cache.replicas.items() if c.disk],
    }


def _measures(spec: FleetSpec, cache: InstanceCache, server_memory: int) -> dict[str, object]:
    """What the sampler needs beyond the row; memory and disk in bytes."""
    return {
        "endpoint": spec.endpoint,
        "memory": cache.memory + server_memory,
        "disk_used": cache.disk_used,
        "disk": cache.disk,
        "scrape": spec.scrape,
        "scrape_every": spec.scrape_every,
        "enhanced": spec.enhanced,
    }

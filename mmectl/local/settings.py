"""Timeouts and sizes of the data plane; tests reduce them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """Seconds and bytes.

    `wait` (a request for its model), `load`, `invoke` and `stop` (from SIGTERM to SIGKILL) are
    SageMaker's own limits.
    `memory` and `disk` are what models may take on one instance; None means what the instance
    type has. Either is capped by this machine. A model is taken to need as much memory as the
    next larger one that was measured; as long as there is none,
    `model_base + model_factor * unpacked` bytes: 64 MB is more than a worker, its replica and its
    worker server take for a small model, and some weights are held twice while they are bound.
    A model's memory is measured when it is loaded and after `measured_after` requests, and while
    it has more workers than it was loaded with every `measured_again` seconds: a worker's replica
    leaves five seconds after its last request. Every `look_every` seconds replicas of
    models that are no longer in demand are unloaded.
    A load waits for other models to become idle for `admission` seconds. After `give_way` seconds
    the one that was asked for least recently gets no further request, so that others that are in
    use all the time cannot keep a model out; a further one where those that leave take
    `give_way_again` seconds. A model that does not
    fit even alone is not tried again for `too_large` seconds; one whose load ended its worker
    twice for `crash_backoff` seconds, then twice as long, up to `too_large`.
    """

    wait: float = 60.0
    load: float = 360.0
    invoke: float = 60.0
    unload: float = 5.0
    start_attempts: int = 3
    quick_death: float = 5.0
    backoff: float = 0.25
    backoff_most: float = 10.0
    stop: float = 30.0
    drain: float = 60.0
    ping_every: float = 5.0
    grace: float = 0.1
    memory: int | None = None
    disk: int | None = None
    server_memory: int = 200 << 20
    model_base: int = 64 << 20
    model_factor: float = 1.5
    loads_at_once: int = 2
    spread_at: int = 4
    look_every: float = 60.0
    measured_after: tuple[int, ...] = (1, 8, 64)
    measured_again: float = 6.0
    admission: float = 60.0
    give_way: float = 0.25
    give_way_again: float = 2.5
    too_large: float = 600.0
    crash_backoff: float = 60.0
    deaths: int = 2
    lost: int = 4
    region: str = "us-east-1"

"""What the data plane tells of itself: counted and timed as SageMaker does, and kept for a minute.

Nothing here waits or touches a disk: it is on the way of every request. The metrics are described
in "Amazon SageMaker AI metrics in Amazon CloudWatch" (developer guide, monitoring-cloudwatch).
Where it leaves a choice: a refusal counts as 4XX or 5XX by the model's own status if it has one,
else by the platform's; ModelLoadingWaitTime has a value for each request that waited.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from mmectl.local.values import AwsError, Put, PutOf

WINDOW = 60.0  # seconds that `live` looks back
KEPT = 10_000  # requests that it remembers at most
_MICRO = 1e6


def nowhere(metric: str, value: float) -> None:
    """Where measures go that nobody wants."""


@dataclass(slots=True)
class Trace:
    """How one request fared: seconds that it waited for its model, and that the model took.

    `downloaded` and `loaded` are those that the load took which it waited for: both may be more
    than `waited` where others had begun it.
    """

    instance: str = ""
    waited: float = 0.0
    served: float = 0.0
    hit: bool = True
    downloaded: float = 0.0
    loaded: float = 0.0

    @property
    def seconds(self) -> dict[str, float]:
        """Where its time went, as far as it waited for that."""
        load = min(self.loaded, self.waited)
        download = min(self.downloaded, self.waited - load)
        queue = self.waited - load - download
        found = {"queue": queue, "download": download, "load": load, "model": self.served}
        return {name: round(value, 6) for name, value in found.items()}

    @contextmanager
    def waiting(self, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
        """While the model is brought in."""
        self.hit = False
        began = clock()
        try:
            yield
        finally:
            self.waited += clock() - began

    @contextmanager
    def serving(self, instance: str, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
        """While the container has the request."""
        self.instance = instance
        began = clock()
        try:
            yield
        finally:
            self.served += clock() - began


@dataclass(frozen=True, slots=True)
class _Seen:
    """A request that was answered: when, where, how fast (seconds in all), how."""

    at: float
    instance: str
    took: float
    hit: bool
    failed: bool


@dataclass(slots=True)
class Moves:
    """How often a model came into the memory of an instance, and left it by our will."""

    loads: int = 0
    evictions: int = 0


class Meter:
    """The measures of one variant. `put` takes them for CloudWatch, `put_of` those by instance."""

    def __init__(
        self,
        put: Put = nowhere,
        put_of: PutOf | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._put, self._put_of, self._clock = put, put_of, clock
        self._began = clock()
        self._seen: deque[_Seen] = deque(maxlen=KEPT)
        self._unloads: Counter[str] = Counter()
        self._loads: Counter[str] = Counter()
        self._moves: deque[tuple[float, str, str, bool]] = deque(maxlen=KEPT)

    @contextmanager
    def invocation(self, instances: int) -> Iterator[Trace]:
        """One request to a variant that has so many instances in service."""
        trace, began = Trace(), self._clock()
        error: BaseException | None = None
        try:
            yield trace
        except BaseException as raised:
            error = raised
            raise
        finally:
            took = self._clock() - began
            self._invoked(trace, instances, took, error)

    def _invoked(
        self, trace: Trace, instances: int, took: float, error: BaseException | None
    ) -> None:
        put = self._put
        status, by_model = _status(error)
        put("InvocationsPerInstance", 1 / max(instances, 1))
        if trace.waited:
            put("ModelLoadingWaitTime", trace.waited * _MICRO)
        if trace.instance or not trace.hit:  # one that was refused asked for no model
            put("ModelCacheHit", float(trace.hit))
        _answered(put, trace, took, status, by_model=by_model)
        if self._put_of is not None and trace.instance:
            of_instance = partial(self._put_of, trace.instance)
            _answered(of_instance, trace, took, status, by_model=by_model)
        seen = _Seen(self._clock(), trace.instance, took, trace.hit, error is not None)
        self._seen.append(seen)

    @contextmanager
    def timed(self, metric: str) -> Iterator[None]:
        """Time what succeeds, in microseconds."""
        began = self._clock()
        yield
        self._put(metric, (self._clock() - began) * _MICRO)

    def loaded(self, instance: str, target: str) -> None:
        """Count a model that came into an instance's memory."""
        self._loads[instance] += 1
        self._moves.append((self._clock(), instance, target, True))

    def unloaded(self, instance: str, target: str) -> None:
        """Count a model that left an instance's memory by our will."""
        self._unloads[instance] += 1
        self._moves.append((self._clock(), instance, target, False))

    def moves(self, seconds: float) -> dict[tuple[str, str], Moves]:
        """Loads and evictions of that time by instance and model, of the last KEPT of both."""
        since = self._clock() - seconds
        found: dict[tuple[str, str], Moves] = {}
        for at, instance, target, came in self._moves:
            if at >= since:
                count = found.setdefault((instance, target), Moves())
                count.loads += came
                count.evictions += not came
        return found

    def course(self, target: str, seconds: float) -> list[tuple[float, bool]]:
        """When a model came into memory (True) or left it: seconds before now, of that time."""
        now = self._clock()
        return [
            (now - at, came)
            for at, _, which, came in self._moves
            if which == target and now - at <= seconds
        ]

    def live(self, instance: str) -> dict[str, Any]:
        """The last minute of one instance, and what it loaded and unloaded in all.

        Rates are per second over the `window` (seconds); latencies are milliseconds, None without
        requests, and include the wait for the model.
        """
        now = self._clock()
        while self._seen and self._seen[0].at < now - WINDOW:
            self._seen.popleft()
        full = len(self._seen) == KEPT
        since = self._seen[0].at if full else max(self._began, now - WINDOW)
        mine = [seen for seen in self._seen if seen.instance == instance]
        took = sorted(seen.took * 1000 for seen in mine)
        window = max(now - since, 1.0)
        return {
            "window": round(window, 1),
            "requests": len(mine),
            "requests_per_second": round(len(mine) / window, 2),
            "errors": sum(seen.failed for seen in mine),
            "hits": sum(seen.hit for seen in mine),
            "p50_ms": _percentile(took, 50),
            "p99_ms": _percentile(took, 99),
            "loads": self._loads[instance],
            "evictions": self._unloads[instance],
        }


def _answered(put: Put, trace: Trace, took: float, status: int, *, by_model: bool) -> None:
    put("Invocations", 1)
    put("Invocation4XXErrors", float(400 <= status < 500))
    put("Invocation5XXErrors", float(status >= 500))
    put("InvocationModelErrors", float(by_model))
    if trace.instance:
        put("ModelLatency", trace.served * _MICRO)
        put("OverheadLatency", max(took - trace.served, 0.0) * _MICRO)


def _percentile(ordered: list[float], percent: int) -> float | None:
    """Nearest rank."""
    if not ordered:
        return None
    return round(ordered[max(-(-len(ordered) * percent // 100) - 1, 0)], 3)


def _status(error: BaseException | None) -> tuple[int, bool]:
    """The status that counts, and whether it is the model's own; 0 for a client that left."""
    if error is None:
        return 200, False
    if not isinstance(error, AwsError):
        return (500, False) if isinstance(error, Exception) else (0, False)
    original = error.members.get("OriginalStatusCode")
    return (int(original), True) if isinstance(original, int) else (error.status, False)

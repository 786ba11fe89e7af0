"""Sends a benchmark's requests: closed loop (fixed concurrency) or open loop (fixed rate).

In an open loop a request that could not be sent in time still counts from when it was due: a server
that stalls must not make the requests disappear that it kept waiting ("coordinated omission").
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Literal

from mmectl.base.errors import MmectlError
from mmectl.invoke import Request, Runtime, ask

Kind = Literal["cold", "warm", "unknown", "error"]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: `due` and `sent` in seconds since the start, `seconds` from due to the answer.

    `error` is the error's code; `kind` is unknown where the container does not tell cold from warm.
    `variant` is the one that answered, or was asked for; "" where neither is known.
    """

    model: str
    due: float
    sent: float
    seconds: float
    kind: Kind
    error: str | None = None
    message: str = ""
    attempts: int = 1
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """How much: until `count` requests are sent or `duration` seconds are over, whichever is first.

    `concurrency` is the number of requests under way (open loop: at most). `timeout` is what one
    request may take, its retries included.
    """

    concurrency: int
    count: int | None = None
    duration: float | None = None
    timeout: float = 420.0


class _Source:
    """Hands out (due, request) to several threads until the load is spent."""

    def __init__(
        self, requests: Iterator[Request], load: Load, due: Iterator[float] | None, clock: Clock
    ) -> None:
        self._requests, self._load, self._due = requests, load, due
        self._clock = clock
        self._lock = threading.Lock()
        self._taken = 0
        self.start = clock()
        self.stopped = threading.Event()

    def now(self) -> float:
        return self._clock() - self.start

    def take(self) -> tuple[float, Request] | None:
        with self._lock:
            if self.stopped.is_set() or self._taken == self._load.count:
                return None
            due = self.now() if self._due is None else next(self._due)
            if self._load.duration is not None and due >= self._load.duration:
                return None
            self._taken += 1
            request = next(self._requests, None)
            return None if request is None else (due, request)


def drive(
    runtime: Runtime,
    requests: Iterator[Request],
    load: Load,
    *,
    due: Iterator[float] | None = None,
    clock: Clock = time.perf_counter,
    pause: Callable[[threading.Event, float], object] = threading.Event.wait,
) -> Generator[Sample, None, None]:
    """Send the load; yields what came of each request, as it comes.

    `due` makes it an open loop. Closing the generator (Ctrl-C) sends nothing more and does not
    wait for what is under way. `pause` waits for an event or so many seconds.
    """
    source = _Source(requests, load, due, clock)
    found: queue.SimpleQueue[Sample | BaseException | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            while taken := source.take():
                pause(source.stopped, max(0.0, taken[0] - source.now()))
                if source.stopped.is_set():
                    break
                found.put(_sample(runtime, taken[1], taken[0], load.timeout, source.now))
        except BaseException as error:  # noqa: BLE001 - it is raised where samples are read
            found.put(error)
        finally:
            found.put(None)

    for number in range(load.concurrency):
        threading.Thread(target=work, name=f"bench-{number}", daemon=True).start()
    running = load.concurrency
    try:
        while running:
            item = found.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                running -= 1
            else:
                yield item
    finally:
        source.stopped.set()


def _sample(runtime: Runtime, request: Request, due: float, timeout: float, now: Clock) -> Sample:
    sent = now()
    try:
        answer = ask(runtime, request, timeout=timeout)
    except MmectlError as error:
        return Sample(
            request.target_model,
            due,
            sent,
            now() - due,
            "error",
            error.code,
            error.message,
            variant=request.variant or "",
        )
    kinds: dict[bool | None, Kind] = {True: "cold", False: "warm", None: "unknown"}
    return Sample(
        request.target_model,
        due,
        sent,
        now() - due,
        kinds[answer.cold],
        attempts=answer.attempts,
        variant=answer.answer.variant or request.variant or "",
    )

"""A few calls at a time, in threads: in order, as they end, or until Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

_WIDTH = 8

T = TypeVar("T")
R = TypeVar("R")


def at_once(call: Callable[[T], R], items: Sequence[T], width: int = _WIDTH) -> list[R]:
    """The results of a call for each item, in order; the first error is raised."""
    if len(items) < 2:
        return [call(item) for item in items]
    with ThreadPoolExecutor(min(width, len(items))) as pool:
        return list(pool.map(call, items))


def as_completed(
    call: Callable[[T], R], items: Iterable[T], width: int, *, leave: bool = False
) -> Generator[R, None, None]:
    """Yield results as they come; an item is taken once there is room for its call.

    The first error is raised. Closing the generator takes no further item, and waits for the
    calls under way unless `leave` is set.
    """
    source = iter(items)
    pool = ThreadPoolExecutor(width)
    running: set[Future[R]] = set()
    try:
        running = {pool.submit(call, item) for item in islice(source, width)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(call, item) for item in islice(source, len(done))}
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(wait=not (leave and running), cancel_futures=True)


class _Running:
    """Counts calls under way. A pool interrupted in `submit` may not know a thread of its own."""

    def __init__(self) -> None:
        self._count = 0
        self._change = threading.Condition()

    def __enter__(self) -> None:
        with self._change:
            self._count += 1

    def __exit__(self, *error: object) -> None:
        with self._change:
            self._count -= 1
            self._change.notify_all()

    def wait(self) -> None:
        """Wait until none is under way."""
        with self._change:
            self._change.wait_for(lambda: self._count == 0)


def until_interrupted(
    call: Callable[[T], R], items: Sequence[T], width: int, stop: threading.Event
) -> tuple[list[tuple[T, R]], bool]:
    """Items with the results of their calls, in order; and whether Ctrl-C came.

    Ctrl-C sets `stop`, which the calls look at; the pairs are those whose call ended, and no call
    goes on. The first error is raised.
    """
    running = _Running()

    def counted(item: T) -> R:
        with running:
            return call(item)

    futures: list[Future[R]] = []
    with ThreadPoolExecutor(max(1, width)) as pool:
        try:
            futures.extend(pool.submit(counted, item) for item in items)
            results = [future.result() for future in futures]
        except KeyboardInterrupt:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            running.wait()
        else:
            return list(zip(items, results, strict=True)), False
    return [
        (item, future.result())
        for item, future in zip(items, futures, strict=False)
        if future.done() and not future.cancelled() and not future.exception()
    ], True

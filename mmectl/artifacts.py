"""Several models to a bucket, a few at once; what fails does not lose the others."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from mmectl.base.errors import Interrupted, MmectlError
from mmectl.base.values import Event, Location, Report, ignore
from mmectl.registry.digest_cache import DigestCache
from mmectl.registry.store import Store
from mmectl.registry.upload import Upload, Uploaded, upload
from mmectl.registry.upload_cache import Ledger


@dataclass(frozen=True, slots=True)
class Uploads:
    """What became of each."""

    uploaded: tuple[Uploaded, ...]
    failed: tuple[tuple[str, MmectlError], ...]


class _Running:
    """Counts uploads under way. A pool interrupted in `submit` may not know a thread of its own."""

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


def upload_many(
    bucket: Store,
    location: Location,
    requests: Sequence[Upload],
    *,
    cache: DigestCache | None = None,
    ledger: Ledger | None = None,
    report: Report = ignore,
    cancelled: threading.Event | None = None,
    at_once: int = 3,
) -> Uploads:
    """Upload several models, a few at once; what fails is collected and the others go on.

    `report` is called from several threads. Ctrl-C sets `cancelled`, which stops all of them,
    removes what was partly sent, and raises Interrupted.
    """
    cancelled = cancelled or threading.Event()
    running = _Running()

    def one(request: Upload) -> Uploaded | MmectlError:
        try:
            with running:
                return upload(
                    bucket,
                    location,
                    request,
                    cache=cache,
                    ledger=ledger,
                    report=report,
                    cancelled=cancelled,
                )
        except MmectlError as error:
            if len(requests) > 1 and not isinstance(error, Interrupted):
                report(Event("warning", request.name, f"not uploaded: {error.message}"))
            return error

    futures: list[Future[Uploaded | MmectlError]] = []
    with ThreadPoolExecutor(max(1, at_once), thread_name_prefix="upload") as pool:
        try:
            futures.extend(pool.submit(one, request) for request in requests)
            results = [future.result() for future in futures]
        except KeyboardInterrupt:
            cancelled.set()
            pool.shutdown(wait=True, cancel_futures=True)
            running.wait()
            raise _interrupted(requests, futures) from None
    pairs = list(zip(requests, results, strict=True))
    return Uploads(
        tuple(result for _, result in pairs if isinstance(result, Uploaded)),
        tuple((r.name, result) for r, result in pairs if isinstance(result, MmectlError)),
    )


def _interrupted(
    requests: Sequence[Upload], futures: Sequence[Future[Uploaded | MmectlError]]
) -> Interrupted:
    """Say what is there already, and what to type; all `futures` have ended."""
    ended = [
        (request, future.result())
        for request, future in zip(requests, futures, strict=False)
        if future.done() and not future.cancelled() and not future.exception()
    ]
    there = sum(isinstance(result, Uploaded) for _, result in ended)
    copies = [
        result.message
        for request, result in ended
        if request.copies and isinstance(result, Interrupted)
    ]
    lines = [f"{there} of {len(requests)} models uploaded"] if len(requests) > len(copies) else []
    lines += copies
    return Interrupted(
        f"upload interrupted: {'; '.join(lines)}\n"
        "what was complete stays, nothing partial is visible",
        hint="run the same command again: what has arrived is not sent again",
    )

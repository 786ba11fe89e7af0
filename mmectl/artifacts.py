"""Upload several models in parallel; one failure does not stop the others."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from mmectl.base.concurrency import until_interrupted
from mmectl.base.errors import Interrupted, MmectlError
from mmectl.base.values import Event, Location, Report, ignore
from mmectl.registry.digest_cache import DigestCache
from mmectl.registry.store import Store
from mmectl.registry.upload import upload
from mmectl.registry.upload_cache import UploadCache
from mmectl.registry.upload_job import Upload, Uploaded


@dataclass(frozen=True, slots=True)
class Uploads:
    """What became of each."""

    uploaded: tuple[Uploaded, ...]
    failed: tuple[tuple[str, MmectlError], ...]


def upload_many(
    bucket: Store,
    location: Location,
    requests: Sequence[Upload],
    *,
    cache: DigestCache | None = None,
    upload_cache: UploadCache | None = None,
    report: Report = ignore,
    cancelled: threading.Event | None = None,
    at_once: int = 3,
) -> Uploads:
    """Upload several models, a few at once; what fails is collected and the others go on.

    `report` is called from several threads. Ctrl-C sets `cancelled`, which stops all of them,
    removes what was partly sent, and raises Interrupted.
    """
    cancelled = cancelled or threading.Event()

    def one(request: Upload) -> Uploaded | MmectlError:
        try:
            return upload(
                bucket,
                location,
                request,
                cache=cache,
                upload_cache=upload_cache,
                report=report,
                cancelled=cancelled,
            )
        except MmectlError as error:
            if len(requests) > 1 and not isinstance(error, Interrupted):
                report(Event("warning", request.name, f"not uploaded: {error.message}"))
            return error

    ended, interrupted = until_interrupted(one, requests, at_once, cancelled)
    if interrupted:
        raise _interrupted(len(requests), ended)
    return Uploads(
        tuple(result for _, result in ended if isinstance(result, Uploaded)),
        tuple((r.name, result) for r, result in ended if isinstance(result, MmectlError)),
    )


def _interrupted(asked: int, ended: Sequence[tuple[Upload, Uploaded | MmectlError]]) -> Interrupted:
    """Say what is there already, and what to type."""
    noun = "model" if asked == 1 else "models"
    there = sum(isinstance(result, Uploaded) for _, result in ended)
    copies = [
        result.message
        for request, result in ended
        if request.copies and isinstance(result, Interrupted)
    ]
    lines = [f"{there} of {asked} {noun} uploaded"] if asked > len(copies) else []
    lines += copies
    return Interrupted(
        f"upload interrupted: {'; '.join(lines)}\n"
        "what was complete stays, nothing partial is visible",
        hint="run the same command again: what has arrived is not sent again",
    )

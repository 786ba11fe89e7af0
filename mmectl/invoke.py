"""InvokeEndpoint with retries, and requests spread over many models.

SageMaker answers a cold model after up to 60 s with ModelNotReadyException while the load goes on
for up to 360 s, and botocore does not retry it: we do, until a deadline.
"""

from __future__ import annotations

import json
import math
import mimetypes
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from mmectl.base.concurrency import as_completed
from mmectl.base.errors import (
    InvokeError,
    MmectlError,
    ModelNotReady,
    NoEndpoint,
    TryAgain,
    UsageError,
)

TRIES = 6  # of a request that there is no room for: within 8 to 16 s (botocore: 3 within 3 s)
MAX_BODY = 6_291_456  # bytes, quota of InvokeEndpoint
# What our handler says of a request in the response's custom attributes.
_COLD = re.compile(r"\bmmectl-cold=(true|false)\b")
_LINE = re.compile(r"probability=([0-9.e+-]+), class=(.*)", re.DOTALL)
_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"BM", "image/bmp"),
    (b"GIF8", "image/gif"),
    (b"\x93NUMPY", "application/x-npy"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """One InvokeEndpoint call; `body` at most 6,291,456 bytes, `source` is the file's name.

    `attributes` go to the container as the header X-Amzn-SageMaker-Custom-Attributes.
    `inference_id` names the request in captured data, `variant` the variant that is to answer
    (None: by the weights).
    """

    endpoint: str
    target_model: str
    body: bytes
    content_type: str | None = None
    accept: str | None = None
    source: str = ""
    attributes: str | None = None
    inference_id: str | None = None
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What InvokeEndpoint gave; `spent` is where the time went (seconds), where that is told."""

    body: bytes
    content_type: str
    variant: str | None = None
    attributes: str | None = None
    spent: Mapping[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer with how it came; `cold` is None where the container does not tell."""

    target_model: str
    answer: Answer
    seconds: float
    attempts: int
    cold: bool | None
    source: str = ""

    @property
    def labels(self) -> tuple[tuple[float, str], ...]:
        """(probability, class) of each line, best first; () for other answers."""
        return labels_of(self.answer.body)


@dataclass(frozen=True, slots=True)
class Failure:
    """A request of traffic that failed."""

    target_model: str
    error: MmectlError
    seconds: float
    source: str = ""


class Runtime(Protocol):
    """InvokeEndpoint."""

    def invoke(self, request: Request) -> Answer:
        """Raises ModelNotReady while the model loads, InvokeError for anything else."""
        ...


def content_type_of(body: bytes, name: str) -> str:
    """The media type by the first bytes, else by the file's name, else octet-stream."""
    for magic, kind in _MAGIC:
        if body.startswith(magic):
            return kind
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def check_body(body: bytes, name: str) -> None:
    """Refuse here what SageMaker would refuse. Raises UsageError."""
    if not body:
        raise UsageError(
            f"{name}: is empty",
            hint="give what the model takes: CSV, JSON, NPY, an image",
            code="empty_body",
        )
    if len(body) > MAX_BODY:
        raise UsageError(
            f"{name}: has {len(body):,} bytes, SageMaker takes at most {MAX_BODY:,}",
            hint="send a smaller image; most networks take 224 x 224 pixels",
            code="body_too_large",
        )


def labels_of(body: bytes) -> tuple[tuple[float, str], ...]:
    """(probability, class) of a JSON list of `probability=%f, class=%s`; () for anything else."""
    try:
        lines = json.loads(body)
    except ValueError:
        return ()
    if not isinstance(lines, list):
        return ()
    matches = [_LINE.fullmatch(line) for line in lines if isinstance(line, str)]
    return tuple((float(found[1]), found[2]) for found in matches if found)


def ask(
    runtime: Runtime,
    request: Request,
    *,
    timeout: float = 420.0,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Prediction:
    """Invoke once, again while the model is not ready, until `timeout` seconds have passed.

    A service that has no room is asked up to `TRIES` times. Raises InvokeError; its text says
    how long was waited, or how often was asked.
    """
    start, attempts, pause, busy = clock(), 0, 1.0, 0
    while True:
        attempts += 1
        try:
            answer = runtime.invoke(request)
        except TryAgain as error:
            busy += 1
            wait = 0.5 * 2 ** (busy - 1) * (1 + random.random()) / 2
            if busy == TRIES or clock() - start + wait > timeout:
                text = f"{error.message} ({attempts} attempts)" if attempts > 1 else error.message
                raise InvokeError(text, hint=error.hint, code=error.code) from error
            sleep(wait)
        except ModelNotReady as error:
            waited = clock() - start
            if waited + pause > timeout:
                raise InvokeError(
                    f"{request.target_model} still loads after {waited:.0f} s: {error.message}",
                    hint="give it longer with --timeout; the load goes on meanwhile",
                    code="model_not_ready",
                ) from error
            sleep(pause)
            pause = min(pause * 1.5, 10.0)
        else:
            seconds = clock() - start
            return Prediction(
                request.target_model, answer, seconds, attempts, _is_cold(answer), request.source
            )


def _is_cold(answer: Answer) -> bool | None:
    found = _COLD.search(answer.attributes or "")
    return found[1] == "true" if found else None


def traffic(
    runtime: Runtime, requests: Iterable[Request], *, concurrency: int = 1, timeout: float = 420.0
) -> Generator[Prediction | Failure, None, None]:
    """Send requests with at most `concurrency` under way; yields outcomes as they come.

    Raises NoEndpoint at the first that says so.
    """
    return as_completed(lambda request: _attempt(runtime, request, timeout), requests, concurrency)


def _attempt(runtime: Runtime, request: Request, timeout: float) -> Prediction | Failure:
    start = time.perf_counter()
    try:
        return ask(runtime, request, timeout=timeout)
    except NoEndpoint:
        raise
    except MmectlError as error:
        return Failure(request.target_model, error, time.perf_counter() - start, request.source)


def random_requests(
    models: Sequence[str], payloads: Sequence[Request], count: int, seed: int
) -> Iterator[Request]:
    """`count` of the payloads in turn, each for a random model; a seed fixes the order."""
    choose = random.Random(seed)
    for index in range(count):
        yield replace(payloads[index % len(payloads)], target_model=choose.choice(models))


@dataclass(frozen=True, slots=True)
class Latencies:
    """Percentiles in seconds; all 0 when there was none."""

    count: int
    p50: float
    p90: float
    p99: float
    highest: float


@dataclass(frozen=True, slots=True)
class Tally:
    """Traffic in figures."""

    labels: tuple[tuple[str, int], ...]
    errors: tuple[tuple[str, int], ...]
    cold: Latencies
    warm: Latencies
    unknown: Latencies
    models: int


def tally(outcomes: Sequence[Prediction | Failure]) -> Tally:
    """Count top labels and errors, and take percentiles of cold and warm answers apart."""
    good = [item for item in outcomes if isinstance(item, Prediction)]
    bad = [item for item in outcomes if isinstance(item, Failure)]
    labels = Counter(item.labels[0][1] if item.labels else "(no label)" for item in good)
    return Tally(
        labels=tuple(labels.most_common()),
        errors=tuple(Counter(_without_model(item) for item in bad).most_common()),
        cold=latencies([item.seconds for item in good if item.cold]),
        warm=latencies([item.seconds for item in good if item.cold is False]),
        unknown=latencies([item.seconds for item in good if item.cold is None]),
        models=len({item.target_model for item in outcomes}),
    )


def _without_model(item: Failure) -> str:
    """The message without the model's name, so that equal causes count together."""
    return item.error.message.removeprefix(item.target_model).lstrip(": ")


def latencies(seconds: Sequence[float]) -> Latencies:
    """Nearest-rank percentiles."""
    if not seconds:
        return Latencies(0, 0.0, 0.0, 0.0, 0.0)
    ranked = sorted(seconds)

    def at(share: float) -> float:
        return ranked[math.ceil(share * len(ranked)) - 1]

    return Latencies(len(ranked), at(0.5), at(0.9), at(0.99), ranked[-1])

"""The faults of each service, as it words and codes them; which one a request meets. Pure.

Sources: "Common errors" and "Error responses" of the services' API references; null messages of
throttled calls as clients of SageMaker Runtime have reported them.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mmectl.local.bad_day.asked import RUNTIME, Asked

How = Literal["refused", "dropped", "lost", "embedded"]
RATE = 0.15  # of the requests that meet a fault before they are carried out
LOST = 0.10  # of the writes whose answer is lost
BURST = 0.002  # of the requests that meet the first of many faults
BURST_LENGTH = 12
DEEPEST = 3  # reads in a row, or refusals in a row, that are behind a change


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls a request.

    `how`: refused with `code` (`text` None is a null message), dropped before anything was done,
    lost (done, but the connection closes without the answer), embedded (S3's 200 with an error in
    its body, nothing done).
    """

    how: How
    code: str = ""
    status: int = 0
    text: str | None = ""


_DROPPED = Fault("dropped")
_RATE = "Rate exceeded"
_FAILED = "The request processing has failed because of an unknown error, exception or failure."
_BUSY = "The request has failed due to a temporary failure of the server."
_INTERNAL = "We encountered an internal error. Please try again."

_S3: Sequence[Fault] = (
    Fault("refused", "SlowDown", 503, "Please reduce your request rate."),
    Fault("refused", "InternalError", 500, _INTERNAL),
    _DROPPED,
)
_JSON: Sequence[Fault] = (
    Fault("refused", "ThrottlingException", 400, _RATE),
    Fault("refused", "InternalFailure", 500, _FAILED),
    Fault("refused", "ServiceUnavailable", 503, _BUSY),
    _DROPPED,
)
FAULTS: Mapping[str, Sequence[Fault]] = {
    "s3": _S3,
    "sagemaker": (*_JSON, Fault("refused", "ThrottlingException", 400, None)),
    RUNTIME: (
        Fault(
            "refused",
            "ModelNotReadyException",
            429,
            "Model for variant AllTraffic is not ready for inference yet: it is still being "
            "loaded. Try again.",
        ),
        Fault("refused", "ThrottlingException", 400, None),
        Fault("refused", "ServiceUnavailable", 503, None),
        Fault("refused", "InternalFailure", 500, _FAILED),
        Fault("refused", "InternalDependencyException", 530, "A dependency failed."),
        _DROPPED,
    ),
    "sts": (
        Fault("refused", "Throttling", 400, _RATE),
        Fault("refused", "ServiceUnavailable", 503, _BUSY),
        _DROPPED,
    ),
    "ecr": (
        Fault("refused", "ThrottlingException", 400, _RATE),
        Fault("refused", "ServerException", 500, "These errors are usually caused by ECR."),
        _DROPPED,
    ),
}
FAULTS = {**FAULTS, "iam": FAULTS["sts"]}
EMBEDDED = Fault("embedded", "InternalError", 200, _INTERNAL)
_EMBEDDING = ("CopyObject", "CompleteMultipartUpload")


class Chance:
    """Decides by a seed: the n-th request of a kind about a thing meets what it always meets.

    Requests about other things, also concurrent ones, change nothing in that.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._counts: Counter[str] = Counter()
        self._bursts: Counter[str] = Counter()

    def _drawn(self, what: str) -> random.Random:
        self._counts[what] += 1
        return random.Random(f"{self._seed} {what} {self._counts[what]}")

    def fault(self, asked: Asked) -> Fault | None:
        """What befalls this request; None: nothing."""
        name = f"{asked.service} {asked.operation} {asked.subject}"
        drawn = self._drawn(name)
        if drawn.random() < BURST:
            self._bursts[name] = BURST_LENGTH
        faults = FAULTS.get(asked.service, _JSON)
        if self._bursts[name] > 0 or drawn.random() < RATE:
            self._bursts[name] -= 1
            if asked.operation in _EMBEDDING and drawn.random() < 0.5:
                return EMBEDDED
            return drawn.choice(faults)
        if drawn.random() < LOST and (asked.service == RUNTIME or not asked.reads):
            return Fault("lost")
        return None

    def depth(self, what: str) -> int:
        """How many reads are behind this change, or refusals are met: 0 to DEEPEST."""
        return self._drawn(f"depth {what}").randint(0, DEEPEST)

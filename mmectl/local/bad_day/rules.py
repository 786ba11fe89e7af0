"""What a client may ask for: one kind of fault, for which requests, and how often.

`mmectl.testing` sends these, and the platform reads them. Nothing of the platform is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmectl.local.bad_day.asked import Asked


@dataclass(frozen=True, slots=True)
class RequestedFault:
    """What befalls requests, and which of them.

    `code` is an error of AWS, such as ``ModelNotReadyException``, ``ThrottlingException``,
    ``ServiceUnavailable``, ``InternalFailure``, ``InternalDependencyException`` or ``ModelError``;
    or ``ConnectionClosed`` (nothing was done) or ``AnswerLost`` (it was done). `status` is its HTTP
    status, of a ModelError that of the container: 507 for no memory; None: the usual one. `latency`
    are seconds that pass before that, or before the true answer without a `code`. `operation` is
    that of the API, ``*`` any; `model` a TargetModel, with or without ``.tar.gz``, or a pattern
    with ``*``. It is met `times` times, None: each time. `bad_day` plays the platform's bad day by
    that seed, with every operation.
    """

    code: str | None = None
    status: int | None = None
    message: str | None = None
    operation: str = "InvokeEndpoint"
    model: str | None = None
    times: int | None = None
    latency: float = 0.0
    bad_day: int | None = None

    def fits(self, ask: Asked, target: str) -> bool:
        """Whether this request is one of those."""
        if self.bad_day is not None:
            return True
        if self.operation not in ("*", ask.operation):
            return False
        patterns = () if self.model is None else (self.model, f"{self.model}.tar.gz")
        return not patterns or any(fnmatchcase(target, pattern) for pattern in patterns)

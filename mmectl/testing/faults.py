"""Faults on request: what AWS does on a bad day, when a test asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
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


class Faults:
    """The faults of one test's requests: of those that are signed with its platform's keys.

    Requests of other workers of the same run meet none of them. Of several faults that fit a
    request it meets the first that may be met again.
    """

    def __init__(self, send: Callable[[str, Any], Any]) -> None:
        self._send = send
        self._asked: list[Fault] = []

    def add(
        self,
        code: str | None = None,
        *,
        status: int | None = None,
        message: str | None = None,
        operation: str = "InvokeEndpoint",
        model: str | None = None,
        times: int | None = None,
        latency: float = 0.0,
        bad_day: int | None = None,
    ) -> None:
        """Ask for a `Fault`, from now on; those before start again. Raises PlatformError."""
        fault = Fault(code, status, message, operation, model, times, latency, bad_day)
        self._put([*self._asked, fault])

    def clear(self) -> None:
        """End them all. Raises PlatformError."""
        self._put([])

    @property
    def met(self) -> int:
        """How many requests have met one."""
        return sum(one["met"] for one in self._send("GET", None)["faults"])

    def _put(self, faults: list[Fault]) -> None:
        self._send("PUT", {"faults": [asdict(one) for one in faults]})
        self._asked = faults

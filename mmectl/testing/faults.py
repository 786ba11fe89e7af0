"""Faults on request: what AWS does on a bad day, when a test asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from mmectl.local.bad_day.rules import RequestedFault

Fault = RequestedFault


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

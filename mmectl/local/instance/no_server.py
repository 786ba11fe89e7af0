"""Stands for the models of an instance whose server does not run."""

from __future__ import annotations

from collections.abc import Callable

from mmectl.local.instance.http_client import Answer, WireError
from mmectl.local.values import InvokeRequest, MemoryUse

_NOT_RUNNING = "the server is not running"


class NoServer:
    """No models: calls to the server raise WireError."""

    async def load(self, name: str, timeout: float) -> Answer:
        """Raise WireError."""
        raise WireError(_NOT_RUNNING)

    async def unload(self, name: str, timeout: float) -> Answer:
        """Raise WireError."""
        raise WireError(_NOT_RUNNING)

    async def invoke(self, name: str, request: InvokeRequest, timeout: float) -> Answer:
        """Raise WireError."""
        raise WireError(_NOT_RUNNING)

    def abort(self, name: str, reason: str) -> int:
        """There is nothing to abort."""
        return 0

    async def attach(self, name: str, died: Callable[[], None]) -> MemoryUse:
        """Raise WireError."""
        raise WireError(_NOT_RUNNING)

    async def measure(self, name: str) -> MemoryUse:
        """No memory."""
        return MemoryUse(0, transient=False)

    def alive(self, name: str) -> bool:
        """No worker lives."""
        return False

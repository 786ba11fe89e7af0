"""``GET /health``: whether everything that was to be deployed answers; tells nothing else.

Nobody signs it, so what it costs is bounded: it looks at the endpoints once a second at most.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

SERVING = ("InService", "Updating", "RollingBack", "SystemUpdating")
FRESH = 1.0  # seconds

Endpoints = Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]


class Health:
    """200 ``{"status": "ready"}``, or 503 ``{"status": "starting"}``.

    `ready` is the file that says that nothing more is to be deployed; `endpoints` gives a row for
    each endpoint, with its `status` and `instances`.
    """

    def __init__(
        self, ready: Path, endpoints: Endpoints, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ready, self._endpoints, self._clock = ready, endpoints, clock
        self._until, self._last = float("-inf"), False

    async def __call__(self) -> web.Response:
        """Look, or tell what was seen within the last second."""
        ready = self._ready.exists() and await self._all_serve()
        text = "ready" if ready else "starting"
        return web.json_response({"status": text}, status=200 if ready else 503)

    async def _all_serve(self) -> bool:
        if self._clock() >= self._until:
            self._until = self._clock() + FRESH
            self._last = all(map(_serves, await self._endpoints()))
        return self._last


def _serves(row: Mapping[str, Any]) -> bool:
    return row["status"] in SERVING and bool(row["instances"])

"""What one request has been through: its deadline, and how often it was lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from mmectl.local.fleet.metering import Trace


@dataclass(slots=True)
class Attempts:
    """Counts of what happened to one request; `deadline` is the event loop's time.

    `deaths`: workers that died with it; `lost`: times it got no answer; `full`: answers of 507.
    """

    deadline: float
    trace: Trace = field(default_factory=Trace)
    deaths: int = 0
    lost: int = 0
    full: int = 0

    @property
    def left(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(self.deadline - asyncio.get_running_loop().time(), 0)

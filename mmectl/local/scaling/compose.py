"""Composes Application Auto Scaling: records, operations, and what carries them out."""

from __future__ import annotations

from pathlib import Path

from mmectl.local.scaling.counts import Counts
from mmectl.local.scaling.endpoints import Control, Endpoints
from mmectl.local.scaling.records import Records
from mmectl.local.scaling.scaler import PERIOD, Scaler
from mmectl.local.scaling.service import Scaling


class Autoscaling:
    """Of one platform; `counts` are told of every invocation, `control` is SageMaker's."""

    def __init__(
        self, path: Path, control: Control, counts: Counts, *, region: str, period: float = PERIOD
    ) -> None:
        records, endpoints = Records(path), Endpoints(control)
        self.operations = Scaling(records, endpoints, region=region)
        self._scaler = Scaler(records, endpoints, counts, period=period)

    async def open(self) -> None:
        """Read the records, and scale from now on."""
        await self._scaler.open()

    async def close(self) -> None:
        """Scale no more; twice is fine."""
        await self._scaler.close()

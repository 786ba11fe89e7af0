"""The records of Application Auto Scaling on disk: one small file, replaced as a whole.

A file that cannot be read is put aside: endpoints are worth more than their scaling.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from mmectl.base.files import write_whole
from mmectl.local.scaling.values import KEPT, Part, State, decode, encode
from mmectl.local.values import AwsError

log = logging.getLogger(__name__)


class Records:
    """`state` is read by anybody and changed on the loop alone; `save` follows every change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = State()
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Read the file, if there is one."""
        self.state = await asyncio.to_thread(self._read)

    def _read(self) -> State:
        try:
            return decode(self.path.read_bytes())
        except FileNotFoundError:
            return State()
        except (OSError, ValueError) as error:
            aside = self.path.with_name(self.path.name + ".unreadable")
            log.warning("%s cannot be used (%s): moved to %s", self.path, error, aside)
            self.path.replace(aside)
            return State()

    async def save(self) -> None:
        """Write what there is; AwsError where the disk refuses."""
        async with self._lock:
            text = encode(self.state)
            try:
                await asyncio.to_thread(write_whole, self.path, text)
            except OSError as error:
                text = f"The scalable targets could not be stored: {error}."
                raise AwsError("InternalServiceException", text, 500) from error

    def note(self, activity: Part) -> None:
        """Remember an activity; the oldest are forgotten."""
        self.state.activities.append(activity)
        del self.state.activities[:-KEPT]

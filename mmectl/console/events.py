"""`--json-lines`: what happens while it happens, as one JSON object a line (docs/json-lines.md).

The names of events and their fields are a promise: a field may be added, none is taken away.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from mmectl import __version__
from mmectl.base.values import Event

VERSION = 1
EVERY = 0.5  # seconds between two events of one subject's progress
_NAMES = {
    "start": "step_started",
    "progress": "progress",
    "done": "step_done",
    "note": "note",
    "warning": "warning",
}
NAMES = frozenset({"started", *_NAMES.values(), "line", "error", "result"})


def _now() -> datetime:
    return datetime.now(timezone.utc)


class Stream:
    """Writes events by `write`, one line each, complete when it returns."""

    def __init__(
        self,
        write: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._write, self._clock, self._now = write, clock, now
        self._told: dict[str, tuple[float, str]] = {}

    def start(self, command: str) -> None:
        """The command begins: the first line."""
        self._event(
            "started", command=command, mmectl_events_version=VERSION, mmectl_version=__version__
        )

    def happened(self, event: Event) -> None:
        """One thing of long work; of a subject's progress no more than two lines a second."""
        if event.kind == "progress" and not self._due(event):
            return
        fields: dict[str, Any] = {"subject": event.subject, "text": event.text}
        if event.kind == "progress":
            fields |= {"done": event.done, "total": event.total, "unit": event.unit}
        self._event(_NAMES[event.kind], **fields)

    def _due(self, event: Event) -> bool:
        """Whether time has gone by, it says something new, or it is the end."""
        before, text = self._told.get(event.subject, (float("-inf"), ""))
        now = self._clock()
        ended = event.total is not None and event.done >= event.total
        if now - before < EVERY and (text == event.text or event.unit == "step") and not ended:
            return False
        self._told[event.subject] = (now, event.text)
        return True

    def line(self, text: str) -> None:
        """One line of what the command shows bit by bit; an object where it is one."""
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        self._event("line", text=text, data=found if isinstance(found, dict) else None)

    def result(self, envelope: Mapping[str, Any]) -> None:
        """Each error, and the last line: the envelope that `--json` prints."""
        for error in envelope["errors"]:
            self._event("error", **error)
        self._event("result", result=envelope)

    def _event(self, name: str, **fields: Any) -> None:
        when = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._write(json.dumps({"event": name, "time": when, **fields}, default=str))

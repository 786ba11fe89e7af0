"""What builders print, read as events; and the last lines of the step that failed.

Each reader takes one line at a time. Internal steps of BuildKit stay unsaid unless they fail.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mmectl.base.text import size
from mmectl.base.values import Event, Report

LAST_LINES = 15
LONGEST_NAME = 100
_QUIET = ("[internal]", "[auth]", "resolve image config")
_CONTEXT = "[internal] load build context"
_LARGE = 10_000_000  # bytes of a context of which it is told how much was sent
_SENT = re.compile(r"transferring context: ([\d.]+)([kMG]?)B\b")
_UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}
_STEP = re.compile(r"#(\d+) (.*)")
_TIMED = re.compile(r"\d+\.\d+ (.*)")
_CLASSIC = re.compile(r"(?:\[\d+/\d+\] )?STEP \d+(?:/\d+)? ?: .+", re.IGNORECASE)


@dataclass(slots=True)
class _Step:
    name: str
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    said: bool = False
    sent: int = 0  # bytes of the context


class Reader:
    """Keeps the steps; subclasses read one builder's words."""

    def __init__(self, report: Report, clock: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._clock = clock
        self._steps: dict[str, _Step] = {}
        self._rest: deque[str] = deque(maxlen=LAST_LINES)
        self._failed: _Step | None = None

    def line(self, text: str) -> None:
        """Read one line."""
        raise NotImplementedError

    def end(self) -> None:
        """No more lines come, and the build is made."""

    @property
    def failed_step(self) -> str | None:
        """The name of the step that failed."""
        return self._failed.name if self._failed else None

    @property
    def tail(self) -> str:
        """The last lines of the step that failed, then what the builder said outside of steps."""
        lines = [*(self._failed.lines if self._failed else ()), *self._rest]
        return "\n".join(dict.fromkeys(line.rstrip() for line in lines if line.strip()))

    def _start(self, key: str, name: str) -> None:
        name = _short(name)
        if key not in self._steps:
            self._steps[key] = _Step(name)
            if not name.startswith(_QUIET):
                self._report(Event("start", name))

    def _log(self, key: str, text: str) -> None:
        step = self._steps.get(key)
        for line in text.splitlines():
            (step.lines if step else self._rest).append(line)
            if step and line.strip() and not step.name.startswith(_QUIET):
                # a total keeps such lines out of pipes, where only steps count
                self._report(Event("progress", step.name, line.strip(), 0, 1, "step"))

    def _sent(self, step: _Step, count: float) -> None:
        """So many bytes of the context have gone to the builder; nobody says how many come."""
        if step.name.startswith(_CONTEXT) and count >= _LARGE:
            step.sent = int(count)
            self._report(Event("progress", "context", f"{size(count)} sent", 0, 1, "step"))

    def _done(self, key: str, text: str) -> None:
        step = self._steps.get(key)
        if step is None or step.said:
            return
        step.said = True
        if step.sent:
            self._report(Event("done", "context", f"{size(step.sent)} sent, {text}"))
        elif not step.name.startswith(_QUIET):
            self._report(Event("done", step.name, text))

    def _error(self, key: str, text: str) -> None:
        self._failed = self._steps.get(key)
        self._rest.extend(text.splitlines()[-LAST_LINES:])


def _short(name: str) -> str:
    """An instruction in one line; folded ones carry their indentation along."""
    line = " ".join(name.split())
    return line if len(line) <= LONGEST_NAME else line[: LONGEST_NAME - 1] + "…"


class RawJson(Reader):
    """``--progress=rawjson`` of buildx: status objects of BuildKit's client, one after another.

    Buildx 0.13 prints each over many lines, indented; later ones print one a line.
    """

    def __init__(self, report: Report, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(report, clock)
        self._parts: tuple[str, ...] = ()
        self._open: dict[str, bytes] = {}

    def line(self, text: str) -> None:
        """Read one line; what is no part of an object is what buildx says beside it."""
        if not self._parts and not text.startswith("{"):
            self._rest.append(text)
            return
        self._parts = (*self._parts, text)
        if not text.endswith("}") or (len(self._parts) > 1 and text != "}"):
            return
        parts, self._parts = self._parts, ()
        try:
            self._status(json.loads("\n".join(parts)))
        except ValueError:
            self._rest.extend(parts)

    def _status(self, status: Mapping[str, Any]) -> None:
        for vertex in status.get("vertexes") or ():
            self._vertex(vertex)
        for log in status.get("logs") or ():
            self._piece(log.get("vertex", ""), base64.b64decode(log.get("data") or ""))
        for part in status.get("statuses") or ():
            step = self._steps.get(part.get("vertex", ""))
            if step and part.get("total"):
                done, total = min(part.get("current", 0), part["total"]), part["total"]
                self._report(Event("progress", step.name, str(part.get("id", "")), done, total))
            elif step:
                self._sent(step, part.get("current", 0))

    def _piece(self, key: str, data: bytes) -> None:
        """Output comes as it was written, in pieces that need not end with a line."""
        whole, newline, rest = (self._open.pop(key, b"") + data).rpartition(b"\n")
        if rest:
            self._open[key] = rest
        if newline:
            self._log(key, whole.decode("utf-8", "replace"))

    def _vertex(self, vertex: Mapping[str, Any]) -> None:
        key = vertex.get("digest", "")
        if vertex.get("started"):
            self._start(key, vertex.get("name", ""))
        if vertex.get("error"):
            self._start(key, vertex.get("name", ""))
            self._log(key, self._open.pop(key, b"").decode("utf-8", "replace"))
            self._error(key, vertex["error"])
        elif vertex.get("completed"):
            self._start(key, vertex.get("name", ""))
            took = _seconds(vertex.get("started"), vertex["completed"])
            self._done(key, "cached" if vertex.get("cached") else took)


def _seconds(started: str | None, completed: str) -> str:
    try:
        begin, end = (_time(text) for text in (started or completed, completed))
    except ValueError:
        return ""
    return f"{(end - begin).total_seconds():.1f} s"


def _time(text: str) -> datetime:
    """RFC 3339 with nanoseconds, which Python before 3.11 does not read."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text).replace("Z", "+00:00"))


class Plain(Reader):
    """``--progress=plain`` of BuildKit: ``#5 [2/6] RUN ...``, ``#5 0.4 text``, ``#5 DONE 1.2s``."""

    def line(self, text: str) -> None:
        """Read one line."""
        match = _STEP.fullmatch(text.rstrip("\n"))
        if match is None:
            self._rest.append(text)
            return
        key, said = match[1], match[2]
        timed = _TIMED.fullmatch(said)
        if key not in self._steps:
            self._start(key, said)
        elif said.startswith("ERROR"):
            self._error(key, said)
        elif said == "CACHED":
            self._done(key, "cached")
        elif said.startswith("DONE"):
            self._done(key, said.removeprefix("DONE ").replace("s", " s"))
        elif timed is not None:
            self._log(key, timed[1])
        elif sent := _SENT.match(said):
            self._sent(self._steps[key], float(sent[1]) * _UNITS[sent[2]])


class Classic(Reader):
    """``Step 2/6 : RUN ...`` of the classic builder and ``STEP 2/6: RUN ...`` of buildah."""

    _current = ""
    _began = 0.0
    _cached = False

    def line(self, text: str) -> None:
        """Read one line."""
        text = text.rstrip("\n")
        if _CLASSIC.match(text):
            self._finish()
            self._current, self._began, self._cached = text, self._clock(), False
            self._start(text, text.replace(" : ", " ", 1))
        elif text.strip() in ("---> Using cache", "--> Using cache") or "Using cache" in text[:20]:
            self._cached = True
        else:
            self._log(self._current, text)

    def end(self) -> None:
        """Close the last step."""
        self._finish()

    def fail(self, text: str) -> None:
        """The builder says that the current step failed."""
        self._error(self._current, text)

    @property
    def current(self) -> str:
        """The step that runs."""
        return self._current

    def _finish(self) -> None:
        took = f"{self._clock() - self._began:.1f} s"
        self._done(self._current, "cached" if self._cached else took)


READERS: Mapping[str, type[Reader]] = {"rawjson": RawJson, "plain": Plain, "classic": Classic}

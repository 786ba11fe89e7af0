"""The platform's log, bounded while it runs: in size, in lines a second, in the length of an entry.

Supervisor and server append to one file that both have open, so a full one is copied aside and
cut off at its beginning, not renamed. What anybody can cause again and again is told once a
minute with its number, and no more lines are written than a person would read.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MAX_LOG = 5 * 1024 * 1024
"""Bytes of platform.log above which it is set aside as platform.log.1."""

REPEAT = 60.0  # seconds in which the same entry is counted instead of written
BURST = 400  # lines that may come at once
RATE = 20.0  # lines a second in the long run
LONGEST = 16 * 1024  # characters of an entry; the middle of a longer one is left out
MOST_KINDS = 256  # kinds of entries that are remembered
FORMAT = "%(asctime)s %(name)s: %(message)s"


@dataclass(slots=True)
class _Kind:
    """An entry that was written at `since`, and how often it came after that."""

    since: float
    more: int = 0


class BoundedHandler(logging.Handler):
    """Writes entries to a descriptor; `path` is the file that it leads to."""

    def __init__(
        self,
        descriptor: int,
        path: Path,
        *,
        limit: int = MAX_LOG,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(FORMAT))
        self._descriptor, self._path, self._limit, self._clock = descriptor, path, limit, clock
        self._kinds: dict[tuple[object, ...], _Kind] = {}
        self._room, self._looked, self._dropped = float(BURST), clock(), 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write an entry, or count it."""
        try:
            self._told(record)
        except Exception:  # noqa: BLE001  # an entry that cannot be written must not end anything
            self.handleError(record)

    def look(self) -> None:
        """Tell what was counted and has not come again, and bound what others have written."""
        with self.lock or contextlib.nullcontext():
            self._settle()
            self._rotate()

    def _told(self, record: logging.LogRecord) -> None:
        self._settle()
        key = _kind_of(record)
        known = self._kinds.get(key)
        if known is not None:
            known.more += 1
            return
        self._kinds[key] = _Kind(self._clock())
        if len(self._kinds) > MOST_KINDS:
            self._forget(next(iter(self._kinds)))
        self._write(_short(self.format(record)))

    def _settle(self) -> None:
        now = self._clock()
        self._room = min(float(BURST), self._room + (now - self._looked) * RATE)
        self._looked = now
        for key in [key for key, kind in self._kinds.items() if now - kind.since >= REPEAT]:
            self._forget(key)
        if self._dropped and self._room >= 2:
            dropped, self._dropped = self._dropped, 0
            self._write(f"... {dropped} entries were left out: more than {RATE:g} lines a second")

    def _forget(self, key: tuple[object, ...]) -> None:
        kind = self._kinds.pop(key)
        if kind.more:
            self._write(f"... the same {kind.more} more times: {key[-1]}")

    def _write(self, text: str) -> None:
        lines = text.count("\n") + 1
        if lines > self._room:
            self._dropped += 1
            return
        self._room -= lines
        data = (text + "\n").encode("utf-8", "backslashreplace")
        with contextlib.suppress(OSError):  # a full disk must not end anything
            os.write(self._descriptor, data)
        self._rotate()

    def _rotate(self) -> None:
        """Set the file aside when it is full; where that fails it is cut off all the same."""
        with contextlib.suppress(OSError):
            found = os.fstat(self._descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size <= self._limit:
                return
            with contextlib.suppress(OSError):
                shutil.copyfile(self._path, aside(self._path))
            os.ftruncate(self._descriptor, 0)


def aside(path: Path) -> Path:
    """Where the log before this one lies."""
    return path.with_name(path.name + ".1")


def _kind_of(record: logging.LogRecord) -> tuple[object, ...]:
    """What makes two entries the same: their text, or the place where an exception arose."""
    if record.exc_info and record.exc_info[1] is not None:
        error, trace = record.exc_info[1], record.exc_info[2]
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = (trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace else ()
        return record.name, record.levelno, place, type(error).__name__
    return record.name, record.levelno, record.getMessage()[:LONGEST]


def _short(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n... {len(text) - LONGEST} characters ...\n{text[-half:]}"


def install(path: Path) -> BoundedHandler:
    """Send this process's log to standard error, which leads to the file at `path`."""
    handler = BoundedHandler(2, path)
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.captureWarnings(capture=True)
    return handler

"""How many threads may compute just now: all where the processors idle, one where others compute.

Two threads halve the time of a pass on an idle machine, but where others want the processors
they wait for each other at every operator, and all of them get less done.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import engine

LOAD = Path("/proc/loadavg")


def threads(limit: int, cores: int, load: str) -> int:
    """Count the processors that nobody else uses, from 1 to `limit`.

    `load` is /proc/loadavg, whose fourth field is ``running/all`` threads of the machine, ours
    among them. All of `limit` where it does not say.
    """
    fields = load.split()
    running = fields[3].partition("/")[0] if len(fields) > 3 else ""
    others = max(int(running) - 1, 0) if running.isdecimal() else 0
    return max(1, min(limit, cores - others))


def limit(environ: Mapping[str, str]) -> int:
    """Read OMP_NUM_THREADS, of which the first number counts."""
    given = environ.get("OMP_NUM_THREADS", "1").split(",")[0].strip()
    return max(int(given), 1) if given.isdecimal() else 1


class Crowd:
    """Sets the engine's number of threads from pass to pass, up to OMP_NUM_THREADS."""

    def __init__(self) -> None:
        self._limit = self._now = limit(os.environ)
        self._cores = len(os.sched_getaffinity(0))

    def look(self) -> None:
        """Look around; takes some 10 microseconds."""
        if self._limit == 1:
            return
        load = ""
        with contextlib.suppress(OSError):
            load = LOAD.read_text("ascii")
        wanted = threads(self._limit, self._cores, load)
        if wanted != self._now:
            engine.use_threads(wanted)
            self._now = wanted

"""How many threads may compute just now: all where the processors idle, one where others compute.

Two threads halve the time of a pass on an idle machine, but where others want the processors
they wait for each other at every operator, and all of them get less done.
"""

from __future__ import annotations

import collections
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

LOAD = Path("/proc/loadavg")
LOOKS = 4


def threads(limit: int, cores: int, load: str) -> int:
    """Count the processors that nobody else uses: `limit`, or as many of `fewer` as there are.

    `load` is /proc/loadavg, whose fourth field is ``running/all`` threads of the machine, ours
    among them. All of `limit` where it does not say.
    """
    fields = load.split()
    running = fields[3].partition("/")[0] if len(fields) > 3 else ""
    others = max(int(running) - 1, 0) if running.isdecimal() else 0
    return max((n for n in (limit, *fewer(limit)) if n <= cores - others), default=1)


def fewer(limit: int) -> list[int]:
    """The numbers of threads below `limit` that are used: powers of two."""
    return [1 << power for power in range((limit - 1).bit_length())]


def limit(environ: Mapping[str, str]) -> int:
    """Read OMP_NUM_THREADS, of which the first number counts."""
    given = environ.get("OMP_NUM_THREADS", "1").split(",")[0].strip()
    return max(int(given), 1) if given.isdecimal() else 1


class Budget:
    """How many threads may compute, from pass to pass.

    One sample in seven catches a short-lived task, such as the server that brought the request.
    A CPU counts as busy only if it was busy in each of the last LOOKS samples.
    """

    def __init__(self, limit: int, load: Path | None = None) -> None:
        self._limit = limit
        self._load = load or LOAD
        self._cores = len(os.sched_getaffinity(0))
        self._seen = collections.deque([limit] * LOOKS, maxlen=LOOKS)

    def look(self) -> int:
        """Look around: with how many threads to compute; takes some 10 microseconds."""
        if self._limit == 1:
            return 1
        load = ""
        with contextlib.suppress(OSError):
            load = self._load.read_text("ascii")
        self._seen.append(threads(self._limit, self._cores, load))
        return max(self._seen)

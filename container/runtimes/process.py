"""What a fork asks of any framework: threads of OpenMP, random numbers.

Wheels bring libraries of OpenMP of their own, so there may be several in one process. A pool of
threads does not live through a fork, and its library waits for it for ever: a process that is to be
forked computes with one thread, or ends the pools of all of these libraries before.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import re
import sys
import time
from pathlib import Path

MAPS = Path("/proc/self/maps")
TASKS = Path("/proc/self/task")
_OPENMP = re.compile(r"/(?:libgomp|libomp|libiomp5)[^/]*\.so[^/]*$")
_PAUSE_HARD = 2  # omp_pause_hard of omp.h, OpenMP 5.0
_END_SECONDS = 0.1


def openmp_libraries(maps: Path = MAPS) -> list[str]:
    """The files of all OpenMP libraries in this process."""
    with maps.open(encoding="utf-8") as lines:
        paths = {line.rstrip("\n").partition("/")[2] for line in lines}
    return sorted(f"/{path}" for path in paths if _OPENMP.search(f"/{path}"))


def loaded_openmp() -> tuple[str, ...]:
    """The same, looked for again where a module was imported since: that takes 1 to 3 ms."""
    return _loaded(len(sys.modules))


@functools.lru_cache(maxsize=1)
def _loaded(modules: int) -> tuple[str, ...]:
    del modules
    return tuple(openmp_libraries())


def use_threads(number: int) -> None:
    """Set the number of threads of all OpenMP libraries in this process."""
    for path in loaded_openmp():
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(path).omp_set_num_threads(number)


def pause_threads() -> None:
    """End the pools of all OpenMP libraries; each starts another when it needs one.

    A libgomp older than GCC 9's keeps its pool.
    """
    for path in openmp_libraries():
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(path).omp_pause_resource_all(_PAUSE_HARD)


def alone(tasks: Path = TASKS, seconds: float = _END_SECONDS) -> bool:
    """Whether this process has one thread; one that was waited for is still counted a moment."""
    deadline = time.monotonic() + seconds
    while len(os.listdir(tasks)) > 1:  # noqa: PTH208 - a count
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def reseed() -> None:
    """Give this process random numbers of its own: NumPy and PyTorch draw the same in all forks."""
    numpy, torch = sys.modules.get("numpy.random"), sys.modules.get("torch")
    if numpy is not None:
        numpy.seed()
    if torch is not None:
        torch.manual_seed(int.from_bytes(os.urandom(8), "little") >> 1)

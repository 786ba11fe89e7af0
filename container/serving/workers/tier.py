"""Which process a model is served in: one that it shares with other models, or one of its own.

host     one process for many models: small ones of a data format that a runtime says may share it
worker   a process of the model's own, forked warm (prefork.py)
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from runtimes import folders, registry
from runtimes.base import Runtime
from runtimes.folders import AUTO
from runtimes.values import ModelError

from serving.workers.launcher import ISOLATION

# Larger models gain little by sharing: most of their memory is their own
LARGEST_BYTES = 2 * 2**20
# A model that takes longer for an item would keep its neighbours waiting
QUICK_SECONDS = 0.005
TRIAL_SECONDS = 10.0


def shares(
    folder: Path,
    environ: Mapping[str, str],
    find: Callable[[Path], Runtime] = registry.of,
) -> bool:
    """Whether the model in a folder may be served in the host; reads it, and loads nothing."""
    if (environ.get(ISOLATION) or AUTO) != AUTO:
        return False
    try:
        if folders.describe(folder).isolation != AUTO:
            return False
        runtime = find(folder)
        return runtime.shareable(folder) and _size(folder) <= LARGEST_BYTES
    except (ModelError, OSError):
        return False


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def passes_trial(folder: Path) -> bool:
    """Load the model and answer with it, in a process that is good for nothing else afterwards.

    A damaged file ends it, or hangs it until a signal does. False where the model is slow.
    """
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # a worker of its own will say it again
        os.dup2(silence, stream)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, TRIAL_SECONDS)
    return tried(folder) < QUICK_SECONDS


def tried(folder: Path) -> float:
    """Load the model; the processor seconds that an answer takes. Raises what a load raises.

    The first answer may be slow where the second is not.
    """
    from model_handler import Service

    model = Service(rest_seconds=0).load(folder)
    if model.warmed < QUICK_SECONDS:
        return model.warmed
    started = time.process_time()
    model.exchange.warm_up()
    return time.process_time() - started

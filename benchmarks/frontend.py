"""What loaded models cost while nobody asks them: processes, processor time, Java's memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Result
from benchmarks.serving import MIB, Server, pss

MODELS = 8
# A worker rests after a second (serving/workers/idle.py); Java's compiler is done by then.
REST_SECONDS = 5.0
IDLE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Frontend:
    """What a server takes: processes a model, idle ms of processor a second, bytes of Java."""

    processes: float
    idle: float
    java_before: int
    java_after: int


def rows(servers: Sequence[Server], folder: Path, picture: bytes) -> Iterator[Result]:
    """Compare stock and ours, in this order, each with MODELS loaded models that have answered."""
    old, new = (_measured(server, folder, picture) for server in servers)
    figure = f"{new.processes:.1f} against {old.processes:.1f}"
    yield Result("processes of a model", figure, "", None)
    figure = f"{new.idle:.2f} against {old.idle:.2f} ms/s"
    yield Result(f"processor time of {MODELS} idle models", figure, "", None)
    figure = f"{new.java_before / MIB:.0f} against {old.java_before / MIB:.0f} MB"
    yield Result("Java's PSS without a model", figure, "", None)
    figure = f"{new.java_after / MIB:.0f} against {old.java_after / MIB:.0f} MB"
    yield Result(f"Java's PSS with {MODELS} models", figure, "", None)


def _measured(server: Server, folder: Path, picture: bytes) -> Frontend:
    names = [f"idle-{number}" for number in range(MODELS)]
    before = server.members()
    java = java_of(before)
    memory = pss(java)
    for name in names:
        server.load(name, folder)
        server.invoke(name, picture)
    time.sleep(REST_SECONDS)
    after = server.members()
    idle = statistics.median(_idle(server) for _ in range(3))
    found = Frontend((len(after) - len(before)) / MODELS, idle, memory, pss(java))
    for name in names:
        server.unload(name)
    return found


def _idle(server: Server) -> float:
    seconds = IDLE_SECONDS / 3
    before = server.processor_seconds()
    time.sleep(seconds)
    return 1000 * used(before, server.processor_seconds()) / seconds


def used(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    """Processor seconds between two looks, new processes' included, gone ones' not."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def java_of(members: Mapping[int, str]) -> int:
    """The process of the server itself, by its class. Raises LookupError."""
    for pid, command in members.items():
        if ".ModelServer " in command:
            return pid
    raise LookupError("no process of it is the model server")

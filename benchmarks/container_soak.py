"""Loads, unloads and requests in random order while workers and their parents are killed.

`python -m benchmarks.container_soak [CYCLES]`. What must hold at the end: nothing of it is left
(processes, sockets, open files, memory within 5 % of before), and no answer was ever wrong.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import serving
from benchmarks.report import Result
from benchmarks.serving import MIB, Server
from mmectl.frameworks.mxnet.sample import picture, write_model

NAME = "container_soak: loads and unloads with workers and the fork server killed at random"
LOADED = 6  # models at a time, at most
KILL_SECONDS = (0.3, 3.0)
SETTLE_SECONDS = 60.0  # a network's process stays for 30 without models
AT_ONCE = 4  # requests; a second one for a model makes its worker fork a replica


@dataclass
class Soak:
    """What happened."""

    cycles: int = 0
    kills: dict[str, int] = field(default_factory=lambda: {"worker": 0, "fork server": 0})
    refused: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Footprint:
    """What a server holds while no model is loaded."""

    processes: int
    sockets: int
    files: int
    bytes: int


def run() -> Iterator[Result]:
    """Soak a server of its own for 2,000 cycles, or as many as SOAK_CYCLES says."""
    cycles = int(os.environ.get("SOAK_CYCLES", "2000"))
    with tempfile.TemporaryDirectory(prefix="mme") as name:
        folder = Path(name) / "model"
        write_model(folder)
        with serving.ours(serving.built()) as server:
            # Java's heap fills first: before means after some of the same
            soak(server, folder, max(cycles // 10, 20), seed=1)
            before = settled(server, folder, None)
            found = soak(server, folder, cycles, seed=2)
            after = settled(server, folder, before)
    yield from compared(found, before, after)


def compared(found: Soak, before: Footprint, after: Footprint) -> Iterator[Result]:
    """Put what happened beside what must hold."""
    kills = ", ".join(f"{count} of a {what}" for what, count in found.kills.items())
    yield Result(f"{found.cycles} loads and unloads", f"kills: {kills}", "", None)
    yield Result("requests refused after a kill", str(found.refused), "", None)
    yield Result("wrong answers", str(len(found.wrong)), "0", not found.wrong)
    for what in ("processes", "sockets", "files"):
        old, new = getattr(before, what), getattr(after, what)
        yield Result(f"{what} before and after", f"{old}, {new}", "the same", new <= old)
    growth = after.bytes / before.bytes - 1
    figure = f"{before.bytes // MIB}, {after.bytes // MIB} MB: {growth:+.1%}"
    yield Result("memory (PSS) before and after", figure, "within 5 %", growth <= 0.05)


def soak(server: Server, folder: Path, cycles: int, seed: int) -> Soak:
    """Load, ask and unload in random order; returns with every model unloaded."""
    found, rng = Soak(), random.Random(seed)
    expected = _expected(server, folder)
    stop = threading.Event()
    killer = threading.Thread(target=_kill, args=(server, found, stop, random.Random(seed)))
    killer.start()
    loaded: list[str] = []
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        while found.cycles < cycles:
            if loaded and (len(loaded) >= LOADED or rng.random() < 0.4):
                _tolerant(server, found, "DELETE", loaded.pop(rng.randrange(len(loaded))))
                continue
            name = f"m{seed}-{found.cycles}"
            found.cycles += 1
            if _load(server, found, name, folder):
                loaded.append(name)
            asked = rng.sample(loaded, min(2, len(loaded))) * (AT_ONCE // 2)
            list(pool.map(lambda name: _ask(server, found, name, expected), asked))
    finally:
        pool.shutdown()
        stop.set()
        killer.join()
        for name in loaded:
            _tolerant(server, found, "DELETE", name)
    return found


def _expected(server: Server, folder: Path) -> bytes:
    server.load("expected", folder)
    answer = server.ask("POST", "/models/expected/invoke", picture(), "image/bmp")[1]
    server.unload("expected")
    return answer


def _kill(server: Server, found: Soak, stop: threading.Event, rng: random.Random) -> None:
    """Kill a worker or the fork server every now and then."""
    while not stop.wait(rng.uniform(*KILL_SECONDS)):
        what = rng.choice(["worker", "worker", "fork server"])
        pids = _found(server, what)
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(pids), signal.SIGKILL)
                found.kills[what] += 1


def _found(server: Server, what: str) -> list[int]:
    """The fork server and its templates, or the workers: all processes of models but Java's own."""
    members = server.members()
    if what == "fork server":
        return [pid for pid, line in members.items() if "serving.workers.prefork" in line]
    java = next((pid for pid, line in members.items() if "ModelServer" in line), 0)
    of_models = [pid for pid, line in members.items() if "--model-name" in line]
    return [pid for pid in of_models if _parent(pid) not in (java, 0)]


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _load(server: Server, found: Soak, name: str, folder: Path) -> bool:
    try:
        server.load(name, folder)
    except (RuntimeError, OSError, http.client.HTTPException):
        found.refused += 1  # its worker was killed meanwhile
        _tolerant(server, found, "DELETE", name)
        return False
    return True


def _ask(server: Server, found: Soak, name: str, expected: bytes) -> None:
    try:
        status, body = server.ask("POST", f"/models/{name}/invoke", picture(), "image/bmp")
    except (OSError, http.client.HTTPException):
        found.refused += 1
        return
    if status != 200:
        found.refused += 1
    elif body != expected:
        found.wrong.append(f"{name}: {body[:200]!r}")


def _tolerant(server: Server, found: Soak, method: str, name: str) -> None:
    """Ask for a removal; a model whose load failed may be gone already."""
    try:
        if server.ask(method, f"/models/{name}")[0] not in (200, 404):
            found.refused += 1
    except (OSError, http.client.HTTPException):
        found.refused += 1


def settled(server: Server, folder: Path, like: Footprint | None) -> Footprint:
    """The footprint once it no longer shrinks, or is what it was before."""
    # what is left of models that are gone is swept away when the next one is loaded
    _expected(server, folder)
    deadline = time.monotonic() + SETTLE_SECONDS
    last = footprint(server)
    while time.monotonic() < deadline:
        time.sleep(1)
        now = footprint(server)
        steady = (now.processes, now.sockets, now.files) == (
            last.processes,
            last.sockets,
            last.files,
        ) and not any("--template" in line for line in server.members().values())
        if steady and (like is None or now.processes <= like.processes):
            return now
        last = now
    return last


def footprint(server: Server) -> Footprint:
    """Count what the server holds."""
    members = server.members()
    files = 0
    for pid, line in members.items():
        if "ModelServer" not in line:  # Java opens and closes its own as it likes
            with contextlib.suppress(OSError):
                files += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    run = server.log.parent / "run" / "tmp"
    # pipes of loads that were killed midway are swept away too, but after ten minutes
    sockets = sum(path.is_socket() for path in run.iterdir())
    return Footprint(len(members), sockets, files, server.memory())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        os.environ["SOAK_CYCLES"] = sys.argv[1]
    results = list(run())
    print("\n".join(map(str, results)))
    sys.exit(any(result.met is False for result in results))

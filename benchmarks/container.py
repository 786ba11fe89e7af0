"""The container against Multi Model Server as it comes, the same models, taking turns.

Stock is the server with a plain handler, started the documented way (serving.stock). SqueezeNet
is the zoo's where it lies in ../shared, else untrained like the ResNets: the size is the same.
A machine of two cores gives steady figures only when nothing else runs; the ratios hold anyway.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import forward, frontend, serving
from benchmarks.report import Result, seconds
from benchmarks.serving import MIB, ROOT, Server
from mmectl.frameworks.mxnet import untrained

NAME = "container: cold start, memory and speed against stock Multi Model Server, in alternation"
SHARED = ROOT.parent / "shared"
PICTURE = SHARED / "images" / "kitten.jpg"
OWN_PICTURE = ROOT / "examples" / "images" / "star.jpg"
BUDGET = 4096 * MIB
REST_SECONDS = 5.0  # container/serving/workers/idle.py: a worker rests after a second
SETTLE_SECONDS = 0.5
# container/serving/workers/prefork.py: a template is ready so long after its second load
TEMPLATE_LOADS, TEMPLATE_SECONDS = 2, 3.0
FORWARD_ROUNDS = 8


@dataclass(frozen=True)
class Network:
    """A model to measure with; what it should reach is told as a share of stock."""

    name: str
    rounds: int
    copies: int
    cold: float
    memory: float


NETWORKS = (
    Network("squeezenet_v1.0", 5, 16, 1 / 10, 1 / 5),
    Network("resnet_18", 5, 4, 1 / 7, 1 / 3),
    Network("resnet_152", 3, 2, 1 / 5, 1 / 3),
)


def run() -> Iterator[Result]:
    """Measure all of it; takes some twelve minutes. BENCH_ROUNDS=1 shortens it."""
    image = serving.built()
    picture = (PICTURE if PICTURE.exists() else OWN_PICTURE).read_bytes()
    with tempfile.TemporaryDirectory(prefix="mmectl-bench-") as name:
        folders = {n.name: _model(n.name, Path(name)) for n in NETWORKS}
        with serving.stock(image) as stock, serving.ours(image) as ours:
            for network in NETWORKS:
                yield from _cold(stock, ours, network, folders[network.name], picture)
            for network in NETWORKS:
                yield from _memory(stock, ours, network, folders[network.name], picture)
        with serving.stock(image) as stock, serving.ours(image) as ours:
            yield from frontend.rows((stock, ours), folders["squeezenet_v1.0"], picture)
        with serving.stock(image) as stock, serving.ours(image) as ours:
            for network in NETWORKS[:2]:
                yield from _speed(stock, ours, network, folders[network.name], picture)
        for network in NETWORKS:
            rounds = _rounds(FORWARD_ROUNDS)
            yield from forward.rows(image, network.name, folders[network.name], rounds)
        for start in (serving.stock, serving.ours):
            with start(image) as server:
                yield _packed(server, folders["squeezenet_v1.0"], picture)


def _model(name: str, folder: Path) -> Path:
    given = SHARED / "models" / name
    return given if given.is_dir() else untrained.write_model(folder / name, name)


def _rounds(wanted: int) -> int:
    return min(wanted, int(os.environ.get("BENCH_ROUNDS", wanted)))


def _cold(
    stock: Server, ours: Server, network: Network, folder: Path, picture: bytes
) -> Iterator[Result]:
    """From the load's request to the first answer: of the first model with a network, of others."""

    def once(server: Server) -> float:
        def start() -> None:
            server.load("cold", folder)
            server.invoke("cold", picture)

        taken = seconds(start)
        server.unload("cold")
        time.sleep(SETTLE_SECONDS)  # giving its memory back would take the next one's time
        return taken

    def compared(what: str, rounds: int) -> Result:
        pairs = [(once(stock), once(ours)) for _ in range(rounds)]
        old, new = (statistics.median(side) for side in zip(*pairs, strict=True))
        figure = f"{new:.3f} against {old:.3f} s: 1/{old / new:.1f}"
        goal = f"1/{1 / network.cold:.0f}"
        what = f"{network.name}: load and first answer, {what}"
        return Result(what, figure, goal, new <= network.cold * old)

    yield compared("first model", 1)
    once(ours)
    time.sleep(TEMPLATE_SECONDS)
    yield compared("others", _rounds(network.rounds))


def _memory(
    stock: Server, ours: Server, network: Network, folder: Path, picture: bytes
) -> Iterator[Result]:
    """PSS that a loaded model that has answered adds, at once and after some idle seconds."""
    found: dict[str, list[float]] = {}
    for server in (stock, ours):
        names = [f"{network.name}-{i}" for i in range(network.copies)]
        before = server.memory()
        for number, name in enumerate(names, 1):
            server.load(name, folder)
            server.invoke(name, picture)
            if number == TEMPLATE_LOADS:
                time.sleep(TEMPLATE_SECONDS)
        found[server.name] = [(server.memory() - before) / MIB / len(names)]
        time.sleep(REST_SECONDS)
        found[server.name].append((server.memory() - before) / MIB / len(names))
        for name in names:
            server.unload(name)
    for what, index in (("just answered", 0), ("idle", 1)):
        old, new = found["stock"][index], found["ours"][index]
        figure = f"{new:.0f} against {old:.0f} MB: 1/{old / new:.1f}"
        goal = f"1/{1 / network.memory:.0f}"
        what = f"{network.name}: PSS of a model, {what}"
        yield Result(what, figure, goal, new <= network.memory * old)


def _speed(
    stock: Server, ours: Server, network: Network, folder: Path, picture: bytes
) -> Iterator[Result]:
    """Latency and throughput at 1, 4 and 16 clients."""
    for server in (stock, ours):
        server.load("warm", folder)
    for clients in (1, 4, 16):
        taken: dict[str, list[float]] = {"stock": [], "ours": []}
        rates: dict[str, list[float]] = {"stock": [], "ours": []}
        for _ in range(_rounds(4)):
            for server in (stock, ours):
                times, rate = _drive(server, clients, 3.0, picture)
                taken[server.name] += times
                rates[server.name].append(rate)
        yield from _compared(network.name, clients, taken, rates)
    for server in (stock, ours):
        server.unload("warm")


def _compared(
    name: str, clients: int, taken: dict[str, list[float]], rates: dict[str, list[float]]
) -> Iterator[Result]:
    label = f"{name}, {clients} client{'s' if clients > 1 else ''}"
    for share, quantile in (("p50", 49), ("p99", 98)):
        old, new = (
            statistics.quantiles(taken[side], n=100)[quantile] * 1000 for side in ("stock", "ours")
        )
        figure = f"{new:.1f} against {old:.1f} ms: {new / old:.2f}"
        judged = clients == 1 and share == "p50"
        met = new <= 0.95 * old if judged else None
        yield Result(f"{label}: {share}", figure, "0.95" if judged else "", met)
    old, new = (statistics.median(rates[side]) for side in ("stock", "ours"))
    judged = clients == 16 and name == "resnet_18"
    figure = f"{new:.1f} against {old:.1f} /s: {new / old:.2f}"
    met = new >= 1.2 * old if judged else None
    yield Result(f"{label}: throughput", figure, "1.2" if judged else "", met)


def _drive(
    server: Server, clients: int, duration: float, picture: bytes
) -> tuple[list[float], float]:
    """Ask from so many threads, each as soon as it is answered: seconds of each, requests/s."""
    server.invoke("warm", picture)
    began = time.monotonic()
    taken: list[float] = []

    def ask() -> None:
        while time.monotonic() < began + duration:
            taken.append(seconds(lambda: server.invoke("warm", picture)))

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken, len(taken) / (time.monotonic() - began)


def _packed(server: Server, folder: Path, picture: bytes) -> Result:
    """Load until 4 GB of PSS are held, then ask every model: so many stay that 4 GB hold still."""
    fit = 0
    while server.memory() <= BUDGET:
        server.load(f"m{fit}", folder)
        server.invoke(f"m{fit}", picture)
        fit += 1
    while True:
        for number in range(fit):
            server.invoke(f"m{number}", picture)
        held = server.memory()
        if held <= BUDGET:
            break
        for _ in range(max(1, (held - BUDGET) * fit // held)):
            fit -= 1
            server.unload(f"m{fit}")
    goal = 110 if server.name == "ours" else None
    figure = f"{fit} ({held / MIB:.0f} MB after asking all)"
    met = None if goal is None else fit >= goal
    return Result(f"SqueezeNets in 4096 MB, {server.name}", figure, str(goal or ""), met)

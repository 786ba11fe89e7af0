"""The container against Multi Model Server as it comes, for frameworks beside MXNet.

Stock is the server with a plain handler (benchmarks/stock/<framework>_handler.py); both answer the
same request to the same models in turn, in one serving environment. BENCH_FRAMEWORKS=onnx chooses.

Cold is from the load's request to the first answer. Memory is what a model adds to all processes
once it was idle: what is in no file and so cannot be taken back (PSS of anonymous pages), and all
of it. Each copy of a model has a content of its own.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import serving
from benchmarks.report import Result, seconds
from benchmarks.serving import MIB, ROOT, Server

NAME = "frameworks: cold start and memory against stock Multi Model Server, in alternation"
NPY = "application/x-npy"
SETTLE_SECONDS = 0.3
SAVED_SECONDS = 60.0  # a model's weights are in a file of their own after this at most


@dataclass(frozen=True)
class Case:
    """A model to measure with: `make` writes number n of it into a folder and gives a request.

    The goals are shares of stock.
    """

    name: str
    make: Callable[[Path, int], bytes]
    rounds: int
    copies: int
    cold: float
    memory: float


def _npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array.astype(np.float32))
    return stream.getvalue()


def _onnx() -> Any:
    """What writes ONNX models for the tests."""
    sys.path.insert(0, str(ROOT / "tests"))
    return importlib.import_module("onnx_models")


def onnx_small(folder: Path, number: int) -> bytes:
    """Rows of 8 columns, 2 classes."""
    (folder / "model.onnx").write_bytes(_onnx().linear(8, 2, seed=number))
    return _npy(np.ones((1, 8)))


def onnx_dense(folder: Path, number: int) -> bytes:
    """Dense layers with 54 MB of weights."""
    models, random = _onnx(), np.random.RandomState(number)
    sizes, nodes, tensors, name = [784, 2048, 2560, 2048, 1024, 10], [], [], "x"
    for n, (a, b) in enumerate(itertools.pairwise(sizes)):
        weights = random.randn(a, b).astype(np.float32) * np.float32((2 / a) ** 0.5)
        tensors += [models.tensor(f"w{n}", weights)]
        nodes += [models.node("MatMul", [name, f"w{n}"], [f"m{n}"])]
        nodes += [models.node("Relu", [f"m{n}"], [f"r{n}"])]
        name = f"r{n}"
    outputs = [models.value(name, "float32", ("N", 10))]
    inputs = [models.value("x", "float32", ("N", 784))]
    (folder / "model.onnx").write_bytes(models.model(nodes, inputs, outputs, tensors))
    return _npy(np.ones((1, 784)))


def onnx_convolutions(folder: Path, number: int) -> bytes:
    """Convolutions with 54 MB of weights, for small pictures."""
    models, random = _onnx(), np.random.RandomState(number)
    nodes, tensors, name, channels = [], [], "x", 3
    for n, out in enumerate([64, 128, 256, 512, 512, 512, 512, 512, 512]):
        weights = random.randn(out, channels, 3, 3).astype(np.float32)
        weights *= np.float32((2 / channels / 9) ** 0.5)
        tensors += [models.tensor(f"w{n}", weights)]
        stride = 2 if n < 4 else 1
        given = {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [stride] * 2}
        nodes += [models.node("Conv", [name, f"w{n}"], [f"c{n}"], **given)]
        nodes += [models.node("Relu", [f"c{n}"], [f"r{n}"])]
        name, channels = f"r{n}", out
    nodes += [models.node("GlobalAveragePool", [name], ["p"]), models.node("Flatten", ["p"], ["y"])]
    inputs = [models.value("x", "float32", ("N", 3, 64, 64))]
    outputs = [models.value("y", "float32", ("N", channels))]
    (folder / "model.onnx").write_bytes(models.model(nodes, inputs, outputs, tensors))
    return _npy(np.ones((1, 3, 64, 64)))


CASES: dict[str, tuple[Case, ...]] = {
    "onnx": (
        Case("small", onnx_small, 7, 20, 1 / 5, 1 / 4),
        Case("dense, 54 MB", onnx_dense, 5, 3, 1 / 5, 1 / 3),
        Case("convolutions, 54 MB", onnx_convolutions, 5, 3, 1 / 5, 1 / 3),
    ),
}


def run() -> Iterator[Result]:
    """Measure all of it; takes some three minutes a framework. BENCH_ROUNDS=1 shortens it."""
    wanted = os.environ.get("BENCH_FRAMEWORKS", ",".join(CASES)).split(",")
    for framework in wanted:
        image = serving.built((framework,))
        for case in CASES[framework]:
            handler = f"{framework}_handler"
            with (
                tempfile.TemporaryDirectory(prefix="mmectl-bench-") as folder,
                serving.stock(image, handler) as stock,
                serving.ours(image) as ours,
            ):
                yield from _measured(framework, case, stock, ours, Path(folder))


def _measured(
    framework: str, case: Case, stock: Server, ours: Server, folder: Path
) -> Iterator[Result]:
    label = f"{framework}, {case.name}"
    copies = [folder / f"m{n}" for n in range(case.copies + 1)]
    for place in copies:
        place.mkdir()
    body, *_ = [case.make(place, n) for n, place in enumerate(copies)]
    first, others = copies[0], copies[1:]
    once = {server.name: _once(server, first, body) for server in (stock, ours)}
    yield _ratio(f"{label}: cold, for the first time", once["stock"], once["ours"], case.cold, None)
    with _loaded(ours, first, body):
        _wait_until_saved(ours)
    rounds = min(case.rounds, int(os.environ.get("BENCH_ROUNDS", case.rounds)))
    pairs = [(_once(stock, first, body), _once(ours, first, body)) for _ in range(rounds)]
    old, new = (statistics.median(side) for side in zip(*pairs, strict=True))
    yield _ratio(f"{label}: cold, then", old, new, case.cold, new <= case.cold * old)
    yield from _memory(label, case, stock, ours, others, body)
    shutil.rmtree(folder, ignore_errors=True)


def _ratio(what: str, old: float, new: float, goal: float, met: bool | None) -> Result:
    figure = f"{new * 1000:.0f} against {old * 1000:.0f} ms: 1/{old / new:.1f}"
    return Result(what, figure, f"1/{1 / goal:.0f}" if met is not None else "", met)


def _once(server: Server, folder: Path, body: bytes) -> float:
    def start() -> None:
        server.load("cold", folder)
        server.invoke("cold", body, NPY)

    taken = seconds(start)
    server.unload("cold")
    time.sleep(SETTLE_SECONDS)
    return taken


@contextlib.contextmanager
def _loaded(server: Server, folder: Path, body: bytes) -> Iterator[None]:
    server.load("held", folder)
    server.invoke("held", body, NPY)
    yield
    server.unload("held")
    time.sleep(SETTLE_SECONDS)


def _wait_until_saved(server: Server) -> None:
    """Wait until the server's memory has not changed for some seconds."""
    deadline, seen = time.monotonic() + SAVED_SECONDS, [0]
    while time.monotonic() < deadline:
        time.sleep(1.5)
        seen.append(server.held())
        if len(seen) > 3 and max(seen[-3:]) - min(seen[-3:]) < MIB:
            return


def _memory(
    label: str, case: Case, stock: Server, ours: Server, copies: list[Path], body: bytes
) -> Iterator[Result]:
    found = {}
    for server in (stock, ours):
        before = server.held(), server.memory()
        for place in copies:
            server.load(place.name, place)
            server.invoke(place.name, body, NPY)
        _wait_until_saved(server)
        after = server.held(), server.memory()
        found[server.name] = [
            (b - a) / MIB / len(copies) for a, b in zip(before, after, strict=True)
        ]
        for place in copies:
            server.unload(place.name)
    (old, old_all), (new, new_all) = found["stock"], found["ours"]
    figure = f"{new:.1f} against {old:.1f} MB: 1/{old / new:.1f}"
    yield Result(
        f"{label}: memory in no file", figure, f"1/{1 / case.memory:.0f}", new <= case.memory * old
    )
    figure = f"{new_all:.1f} against {old_all:.1f} MB: 1/{old_all / new_all:.1f}"
    yield Result(f"{label}: PSS, with pages of files", figure, "", None)

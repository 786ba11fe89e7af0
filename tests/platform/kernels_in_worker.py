"""What a worker computes with, alone and beside others; run in the environment that workers have.

`python kernels_in_worker.py MODEL_FOLDER`, with container/ on PYTHONPATH and OMP_NUM_THREADS=2.
Prints JSON: the threads that the process has after passes of each kind, and its answers.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from runtimes.mxnet import capi, kernels, model_files, predictor
from runtimes.mxnet.runtime import RUNTIME
from runtimes.values import EngineError
from serving.workers import cpu

FILES = model_files.find(Path(sys.argv[1]))
PICTURE = np.random.RandomState(0).uniform(0, 255, FILES.inputs[0].shape).astype(np.float32)


class Network:
    """A network with the threads that a worker gives it."""

    def __init__(self) -> None:
        threads = cpu.limit(os.environ)
        self._model = RUNTIME.load(Path(sys.argv[1]), threads)
        self._cpus = cpu.Budget(threads)
        self.rest = self._model.release

    def run(self, feed: dict[str, Any]) -> list[Any]:
        """Compute as a worker does."""
        return self._model.run(feed, self._cpus.look())


def load() -> Network:
    """Load the network as a worker does: with a first pass."""
    predictor.read.cache_clear()  # with the kernels for fewer threads
    network = Network()
    network.run({FILES.inputs[0].name: np.zeros_like(PICTURE)})
    return network


def ask(network: Network, running: int, times: int = 1) -> tuple[int, Any]:
    """Compute beside others; the threads this process has afterwards, and the last answer."""
    cpu.LOAD.write_text(f"0.00 0.00 0.00 {running}/300 1\n")
    RUNTIME.quiesce()
    for _ in range(times):
        (answer,) = network.run({FILES.inputs[0].name: PICTURE})
    return len(list(Path("/proc/self/task").iterdir())), answer


def from_alone_to_busy() -> list[tuple[int, Any]]:
    """Ask when nobody is there, then when others are there to stay, then alone again."""
    network = load()
    found = [ask(network, 1, 3), ask(network, 99), ask(network, 1)]
    ask(network, 99, cpu.LOOKS + 1)
    found += [ask(network, 99, 3), ask(network, 1, 3)]
    network.rest()
    return [*found, ask(network, 1)]


def busy_from_the_start() -> list[tuple[int, Any]]:
    """Ask for the first time beside others, later alone."""
    network = load()
    ask(network, 99, cpu.LOOKS + 1)
    return [ask(network, 99, 3), ask(network, 1, 3)]


def with_others(told_apart: Any) -> list[tuple[int, Any]]:
    """Ask beside others, where kernels for fewer threads are of no use."""
    own, kernels.told_apart = kernels.told_apart, told_apart
    try:
        network = load()
        return [ask(network, 1), ask(network, 99, cpu.LOOKS + 1), ask(network, 99)]
    finally:
        kernels.told_apart = own


def another_network(graph: capi.Graph, _threads: int) -> capi.Graph:
    """Make one that takes the same weights and answers something else."""
    return capi.Graph(graph.text().replace(b'"relu"', b'"tanh"'))


def no_network(_graph: capi.Graph, _threads: int) -> capi.Graph:
    """Fail as the engine does."""
    raise EngineError("no such kernel")


def no_memory(_graph: capi.Graph, _threads: int) -> capi.Graph:
    """Fail as the engine does where memory is short."""
    raise MemoryError("bad_alloc")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        cpu.LOAD = Path(folder, "loadavg")
        rows = {
            "busy first": busy_from_the_start(),  # before anything is compiled
            "alone first": from_alone_to_busy(),
            "wrong": with_others(another_network),
            "none": with_others(no_network),
            "no memory": with_others(no_memory),
        }
    told = {k: [(n, a.ravel().tolist()) for n, a in row] for k, row in rows.items()}
    json.dump(told, sys.stdout)

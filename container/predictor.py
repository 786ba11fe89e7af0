"""One network, its weights in memory once, ready to compute.

The weights are read from the file straight into the arrays that the engine computes with; the
predict API of MXNet would copy them twice. Its convolutions rearrange them in place at the first
forward pass.
"""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import crowd
import folding
import numpy as np
from engine import TYPES, Array, EngineError, Graph
from kernels import SETTLED, Kernels
from model_files import Input, ModelError, Tensor, read_tensors

__all__ = ["EngineError", "Predictor"]
# Reading weights is copying, and most of its time goes into fresh pages: from this size on it is
# worth threads (241 MB: 84 ms in two, 120 in one; 5 MB: 5.8 and 3.9)
PARALLEL_BYTES = 16 * 2**20


class Predictor:
    """One network bound to fixed input shapes. Raises MemoryError, EngineError, ModelError."""

    def __init__(self, symbol: Path, params: Path, inputs: Sequence[Input]) -> None:
        threads = crowd.limit(os.environ)
        if params.stat().st_size == 0:
            raise ModelError(f"{params.name} is empty")
        with params.open("rb", buffering=0) as file:
            tensors = _table(file)
            network = read(symbol.read_bytes(), _plain(tensors))
            check_names(network.arguments, network.auxiliary, tensors, inputs)
            self._arrays = _allocate(network.graph, tensors, inputs)
            many = params.stat().st_size >= PARALLEL_BYTES
            weights = _Weights(file, tensors, threads if many else 1)
            weights.fill(self._arrays, network.folds, {i.name for i in inputs})
        self._kernels = Kernels(network.graph, network.others, self._arrays, threads)
        self._crowd = crowd.Crowd(threads)

    def run(self, feeds: Mapping[str, Any]) -> list[Any]:
        """Run one forward pass; arrays of the bound shapes in, one array an output."""
        for name, array in feeds.items():
            self._arrays[name].fill(array)
        return self._kernels.run(self._crowd.look())

    def rest(self) -> None:
        """Free the memory of activations until the next run, which takes some ms longer."""
        self._kernels.free()


def _table(file: BinaryIO) -> dict[str, Tensor]:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return read_tensors(mapped)
    finally:
        with contextlib.suppress(BufferError):  # a traceback may still hold a view of it
            mapped.close()


def _plain(tensors: Mapping[str, Tensor]) -> bool:
    return all(tensor.kind == 0 for tensor in tensors.values())


class Network(NamedTuple):
    """A network as it is bound, and the names of the weights it had before folding.

    `others` are its graphs for fewer threads (kernels.py).
    """

    graph: Graph
    others: dict[int, Graph]
    arguments: list[str]
    auxiliary: list[str]
    folds: list[folding.Fold]


@functools.lru_cache(maxsize=1)
def read(symbol: bytes, plain: bool) -> Network:
    """Read a network, kept for when it is asked for again; `plain`: all weights are float32."""
    given = Graph(symbol)
    try:
        text = given.text()
    finally:
        given.free()
    text, folds = folding.fold(text) if plain else (text, [])
    return Network(Graph(text), {}, given.arguments, given.auxiliary, folds)


def rehearse(symbol: Path, inputs: Sequence[Input], threads: Sequence[int]) -> None:
    """Read a network and compute with zeros for weights, with each number of threads.

    The first is the largest. What that makes stays, the arrays go.
    """
    network = read(symbol.read_bytes(), True)
    arrays = _allocate(network.graph, {}, inputs)
    for array in arrays.values():
        array.view().fill(0)
    kernels = Kernels(network.graph, network.others, arrays, threads[0])
    for number in (*[threads[0]] * SETTLED, *threads[1:]):
        kernels.run(number)
    kernels.free()
    for array in arrays.values():
        array.free()


def check_names(
    arguments: Sequence[str],
    auxiliary: Sequence[str],
    weights: Iterable[str],
    inputs: Sequence[Input],
) -> None:
    """Raise ModelError for inputs that the network does not have, and for missing weights.

    Arguments ending in ``label`` belong to the training loss (the zoo's networks end in
    SoftmaxOutput) and are not needed.
    """
    for one in inputs:
        if one.name not in arguments:
            raise ModelError(f"the network has no input {one.name!r}: correct the shapes file")
    known = {*weights, *(one.name for one in inputs)}
    wanted = (*arguments, *auxiliary)
    missing = [n for n in wanted if n not in known and not n.endswith("label")]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise ModelError(
            f"the symbol and the params do not match: no weights for {', '.join(missing[:5])}{more}"
        )


def _allocate(
    graph: Graph, tensors: Mapping[str, Tensor], inputs: Sequence[Input]
) -> dict[str, Array]:
    """Make all arrays of a network, in the shapes that it infers from its inputs'."""
    shapes = graph.shapes({i.name: i.shape for i in inputs})
    fed = {i.name for i in inputs}
    kinds = _kinds(graph, tensors, fed)
    for name, shape in shapes.items():
        tensor = tensors.get(name)
        if tensor is not None and name not in fed and tensor.shape != shape:
            raise ModelError(
                f"the symbol and the params do not match: the weights of {name} have the shape "
                f"{list(tensor.shape)}, the network takes {list(shape)}"
            )
    return {
        name: Array(shape, tensors[name].kind if name in tensors else kinds.get(name, 0))
        for name, shape in shapes.items()
    }


def _kinds(graph: Graph, tensors: Mapping[str, Tensor], fed: set[str]) -> dict[str, int]:
    """Infer the types of what the file does not hold: float32, but for other weights."""
    if _plain(tensors):
        return {}
    try:
        return graph.types({n: t.kind for n, t in tensors.items() if n not in fed})
    except EngineError:  # some operators must know the type of what comes in
        return {}


class _Weights:
    """The arrays of an open .params file."""

    def __init__(self, file: BinaryIO, tensors: Mapping[str, Tensor], threads: int) -> None:
        self._file = file
        self._tensors = tensors
        self._threads = threads

    def fill(
        self, arrays: Mapping[str, Array], folds: Iterable[folding.Fold], fed: set[str]
    ) -> None:
        """Read every array of the network from the file; what the file lacks is zero."""
        by_weight = {one.weight: one for one in folds}
        made = {one.bias for one in folds}

        def read(name: str) -> None:
            view = arrays[name].view()
            if name in fed or name not in self._tensors:
                view.fill(0)
                return
            self._into(view, self._tensors[name].offset)
            if name in by_weight:  # at once, while the processor still has it at hand
                self._fold(by_weight[name], view, arrays)

        self._each(read, [name for name in arrays if name not in made])

    def _each(self, action: Callable[[Any], None], items: Iterable[Any]) -> None:
        if self._threads == 1:
            for item in items:
                action(item)
            return
        with ThreadPoolExecutor(self._threads) as pool:
            list(pool.map(action, items))

    def _fold(self, one: folding.Fold, weight: Any, arrays: Mapping[str, Array]) -> None:
        factors = one.factors(self._small(one.gamma), self._small(one.var))
        bias = self._small(one.bias) if one.had_bias else 0
        bias = one.new_bias(factors, self._small(one.beta), self._small(one.mean), bias)
        arrays[one.bias].view()[:] = bias
        weight *= factors.astype(np.float32).reshape(-1, *[1] * (weight.ndim - 1))

    def _small(self, name: str) -> Any:
        tensor = self._tensors[name]
        values = np.empty(tensor.shape, TYPES[tensor.kind])
        self._into(values, tensor.offset)
        return values

    def _into(self, array: Any, offset: int) -> None:
        """Read straight into an array's memory."""
        memory = memoryview(array.reshape(-1).view(np.uint8))
        done = 0
        while done < len(memory):
            count = os.preadv(self._file.fileno(), [memory[done:]], offset + done)
            if count == 0:
                raise ModelError("the .params file is damaged or cut short")
            done += count

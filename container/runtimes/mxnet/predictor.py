"""One network, its weights in memory once, ready to compute.

The weights are read from the file straight into the arrays that the engine computes with; the
predict API of MXNet would copy them twice. Its convolutions rearrange them in place at the first
forward pass.
"""

from __future__ import annotations

import contextlib
import functools
import json
import mmap
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Tuple

import numpy as np

from runtimes.mxnet import folding, likelihood
from runtimes.mxnet.capi import TYPES, Array, Graph
from runtimes.mxnet.kernels import SETTLED, Kernels
from runtimes.mxnet.model_files import (
    DTYPES,
    Tensor,
    labels_of,
    lacking,
    plain,
    read_tensors,
)
from runtimes.values import EngineError, Input, Likelihood, ModelError

__all__ = ["EngineError", "Predictor"]
# Reading weights is copying, and most of its time goes into fresh pages: from this size on it is
# worth threads (241 MB: 84 ms in two, 120 in one; 5 MB: 5.8 and 3.9)
PARALLEL_BYTES = 16 * 2**20


class Predictor:
    """One network bound to fixed input shapes. Raises MemoryError, EngineError, ModelError.

    `likelihood` says what its first output is. It computes with `threads` at most.
    """

    def __init__(
        self, symbol: Path, params: Path, inputs: Sequence[Input], threads: int = 1
    ) -> None:
        if params.stat().st_size == 0:
            raise ModelError("is empty", params.name)
        with params.open("rb", buffering=0) as file:
            fed = frozenset(i.name for i in inputs)
            held = _table(file, params.name)
            floats = _plain(t for name, t in held.items() if name not in fed)
            network = read(plain(symbol.read_bytes(), symbol.name), floats, fed)
            tensors = weights_of(held, network, fed)
            check_names(network, tensors, inputs)
            check_folds(network.folds, tensors)
            self._arrays = _allocate(network.graph, tensors, inputs)
            many = params.stat().st_size >= PARALLEL_BYTES
            weights = _Weights(file, tensors, threads if many else 1)
            weights.fill(self._arrays, network.folds, fed)
        self.likelihood = network.likelihood
        self._threads = threads
        self._kernels = Kernels(network.graph, network.others, self._arrays, threads)

    def run(self, feeds: Mapping[str, Any], threads: int | None = None) -> list[Any]:
        """Run one forward pass, with so many threads; arrays of the bound shapes in and out."""
        for name, array in feeds.items():
            self._arrays[name].fill(array)
        return self._kernels.run(threads or self._threads)

    def release(self) -> None:
        """Free the memory of activations until the next run, which takes some ms longer."""
        self._kernels.free()


def _table(file: BinaryIO, name: str) -> dict[str, Tensor]:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return read_tensors(mapped, name)
    finally:
        with contextlib.suppress(BufferError):  # a traceback may still hold a view of it
            mapped.close()


def weights_of(
    tensors: Mapping[str, Tensor], network: Network, fed: Collection[str]
) -> dict[str, Tensor]:
    """Leave out what is no weight: a file of all arrays of an executor holds inputs and labels."""
    others = {*fed, *network.labels}
    return {name: tensor for name, tensor in tensors.items() if name not in others}


def _plain(tensors: Iterable[Tensor]) -> bool:
    return all(tensor.kind == 0 for tensor in tensors)


class Network(NamedTuple):
    """A network as it is bound, and the names of the weights it had before folding.

    `others` are its graphs for fewer threads (kernels.py), `likelihood` that of its first output,
    `labels` are the inputs that only training needs.
    """

    graph: Graph
    others: dict[int, Graph]
    arguments: list[str]
    auxiliary: list[str]
    folds: list[folding.Fold]
    likelihood: Likelihood
    labels: frozenset[str]


@functools.lru_cache(maxsize=1)
def read(symbol: bytes, floats: bool, fed: frozenset[str]) -> Network:
    """Read a network, kept for when it is asked for again; `floats`: all weights are float32.

    `fed` are the names of the inputs, which are no weights whatever they are used for.
    """
    given = Graph(symbol)
    try:
        text = given.text()
    finally:
        given.free()
    graph = json.loads(text)
    kind, labels = likelihood.of(graph), _labels(graph)
    text, folds = folding.fold(text, fed) if floats else (text, [])
    return Network(Graph(text), {}, given.arguments, given.auxiliary, folds, kind, labels)


def _labels(graph: Mapping[str, Any]) -> frozenset[str]:
    nodes = [(n["op"], n["name"], [edge[0] for edge in n["inputs"]]) for n in graph["nodes"]]
    return labels_of(nodes, [head[0] for head in graph["heads"]])


def rehearse(symbol: Path, inputs: Sequence[Input], threads: Sequence[int]) -> None:
    """Read a network and compute with zeros for weights, with each number of threads.

    The first is the largest. What that makes stays, the arrays go.
    """
    fed = frozenset(i.name for i in inputs)
    network = read(plain(symbol.read_bytes(), symbol.name), True, fed)
    arrays = _allocate(network.graph, {}, inputs)
    for array in arrays.values():
        array.view().fill(0)
    kernels = Kernels(network.graph, network.others, arrays, threads[0])
    for number in (*[threads[0]] * SETTLED, *threads[1:]):
        kernels.run(number)
    kernels.free()
    for array in arrays.values():
        array.free()


def check_names(network: Network, weights: Iterable[str], inputs: Sequence[Input]) -> None:
    """Raise ModelError for inputs that the network does not have, and for missing weights."""
    for one in inputs:
        if one.name not in network.arguments:
            raise ModelError(f"the network has no input {one.name!r}: correct the shapes file")
    known = {*weights, *(one.name for one in inputs)}
    wanted = (*network.arguments, *network.auxiliary)
    if missing := lacking(wanted, known, network.labels):
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise ModelError(
            f"the symbol and the params do not match: no weights for {', '.join(missing[:5])}{more}"
        )


def check_folds(folds: Iterable[folding.Fold], tensors: Mapping[str, Tensor]) -> None:
    """Raise ModelError for a normalisation that does not have a number for each channel."""
    for one in folds:
        wanted = tensors[one.weight].shape[:1]
        bias = (one.bias,) if one.had_bias else ()
        for name in (one.gamma, one.beta, one.mean, one.var, *bias):
            if tensors[name].shape != wanted:
                raise _mismatch(name, tensors[name].shape, wanted)


def _allocate(
    graph: Graph, tensors: Mapping[str, Tensor], inputs: Sequence[Input]
) -> dict[str, Array]:
    """Make all arrays of a network, in the shapes that it infers from its inputs'."""
    held = {n: t for n, t in tensors.items() if n not in {i.name for i in inputs}}
    shapes = _shapes(graph, held, {i.name: i.shape for i in inputs})
    kinds = _kinds(graph, held, inputs)
    return {name: Array(shape, kinds.get(name, 0)) for name, shape in shapes.items()}


def _mismatch(name: str, held: Sequence[int], wanted: Sequence[int]) -> ModelError:
    return ModelError(
        f"the symbol and the params do not match: the weights of {name} have the shape "
        f"{list(held)}, the network takes {list(wanted)}"
    )


Shape = Tuple[int, ...]  # Python 3.8 has no other


def _shapes(
    graph: Graph, held: Mapping[str, Tensor], given: Mapping[str, Shape]
) -> dict[str, Shape]:
    """Infer the shapes of all arrays; the weights' own count, where the network takes them.

    ModelError for weights that it does not take, and for what has no shape in the end.
    """
    weights = {n: t.shape for n, t in held.items() if n in graph.arguments}
    try:
        found = graph.shapes({**weights, **given})
    except EngineError:
        _compare(graph.shapes(given), held)  # says which weights, where they are the cause
        raise
    found.update(
        (name, held[name].shape) for name in graph.auxiliary if found[name] is None and name in held
    )
    _compare({name: found[name] for name in graph.auxiliary}, held)
    known = {**{n: shape for n, shape in found.items() if shape is not None}, **weights, **given}
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise ModelError(
            f"the network does not tell the shape of {', '.join(unknown[:5])}: if it is an input, "
            "give its shape in the shapes file"
        )
    return known


def _compare(wanted: Mapping[str, Shape | None], held: Mapping[str, Tensor]) -> None:
    for name, shape in wanted.items():
        if shape is not None and name in held and held[name].shape != shape:
            raise _mismatch(name, held[name].shape, shape)


def _kinds(graph: Graph, held: Mapping[str, Tensor], inputs: Sequence[Input]) -> dict[str, int]:
    """Tell the types of all arrays: the file's, the inputs', or inferred; float32 where none."""
    given = {i.name: DTYPES.index(i.dtype) for i in inputs if i.dtype is not None}
    given.update((name, tensor.kind) for name, tensor in held.items())
    odd = next((name for name, kind in given.items() if kind not in TYPES), None)
    if odd is not None:
        raise ModelError(f"the weights of {odd} are of a type that is not served: use float32")
    if not any(given.values()):
        return {}
    try:
        return {**graph.types(given), **given}
    except EngineError:  # some operators must know the type of what comes in
        return given


class _Weights:
    """The arrays of an open .params file."""

    def __init__(self, file: BinaryIO, tensors: Mapping[str, Tensor], threads: int) -> None:
        self._file = file
        self._tensors = tensors
        self._threads = threads

    def fill(
        self, arrays: Mapping[str, Array], folds: Iterable[folding.Fold], fed: Collection[str]
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
        values: Any = np.empty(tensor.shape, TYPES[tensor.kind])
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

"""One network, its weights in memory once, ready to compute.

The weights are read from the file straight into the arrays that the engine computes with; the
predict API of MXNet would copy them twice. Its convolutions rearrange them in place at the first
forward pass.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import folding
import numpy as np
from crowd import Crowd
from engine import TYPES, Array, EngineError, Executor, Graph
from model_files import Input, ModelError, Tensor, read_tensors

__all__ = ["EngineError", "Predictor"]


class Predictor:
    """One network bound to fixed input shapes. Raises MemoryError, EngineError, ModelError."""

    def __init__(self, symbol: Path, params: Path, inputs: Sequence[Input]) -> None:
        if params.stat().st_size == 0:
            raise ModelError(f"{params.name} is empty")
        with params.open("rb", buffering=0) as file:
            tensors = _table(file)
            text = _checked(symbol.read_bytes(), tensors, inputs)
            text, folds = folding.fold(text) if _plain(tensors) else (text, [])
            self._graph = Graph(text)
            self._arrays = _allocate(self._graph, tensors, inputs)
            _Weights(file, tensors).fill(self._arrays, folds, {i.name for i in inputs})
        self._executor: Executor | None = None
        self._crowd = Crowd()

    def run(self, feeds: Mapping[str, Any]) -> list[Any]:
        """Run one forward pass; arrays of the bound shapes in, one array an output."""
        if self._executor is None:  # its first pass compiles, for the number of threads there is
            self._executor = Executor(self._graph, self._arrays)
        else:
            self._crowd.look()
        for name, array in feeds.items():
            self._arrays[name].fill(array)
        return self._executor.run()

    def rest(self) -> None:
        """Free the memory of activations until the next run, which takes some ms longer."""
        if self._executor is not None:
            self._executor.free()
            self._executor = None


def _table(file: BinaryIO) -> dict[str, Tensor]:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return read_tensors(mapped)
    finally:
        with contextlib.suppress(BufferError):  # a traceback may still hold a view of it
            mapped.close()


def _plain(tensors: Mapping[str, Tensor]) -> bool:
    return all(tensor.kind == 0 for tensor in tensors.values())


def _checked(text: bytes, tensors: Iterable[str], inputs: Sequence[Input]) -> bytes:
    """Check the names in the weights against the network's; returns it in the present format."""
    graph = Graph(text)
    try:
        check_names(graph.arguments, graph.auxiliary, tensors, inputs)
        return graph.text()
    finally:
        graph.free()


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

    def __init__(self, file: BinaryIO, tensors: Mapping[str, Tensor]) -> None:
        self._file = file
        self._tensors = tensors

    def fill(
        self, arrays: Mapping[str, Array], folds: Iterable[folding.Fold], fed: set[str]
    ) -> None:
        """Read every array of the network from the file; what the file lacks is zero."""
        for name, array in arrays.items():
            view = array.view()
            if name in fed or name not in self._tensors:
                view.fill(0)
            else:
                self._into(view, self._tensors[name].offset)
        for one in folds:
            self._fold(one, arrays)

    def _fold(self, one: folding.Fold, arrays: Mapping[str, Array]) -> None:
        factors = one.factors(self._small(one.gamma), self._small(one.var))
        bias = self._small(one.bias) if one.had_bias else 0
        bias = one.new_bias(factors, self._small(one.beta), self._small(one.mean), bias)
        arrays[one.bias].view()[:] = bias
        weight = arrays[one.weight].view()
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

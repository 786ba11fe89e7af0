"""MXNet's C predict API (include/mxnet/c_predict_api.h) through ctypes.

The Python package of MXNet generates thousands of functions at import: 1.3 s and 70 MB
in every worker, most of a small model. The engine itself is one shared library; loading it
takes 0.05 s, and binding a network through this API copies the weights once.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from model_files import Input, ModelError, read_names

_UINT = ctypes.c_uint32
_CPU = 1
_OUT_OF_MEMORY = ("failed to allocate", "bad_alloc", "cannot allocate memory", "out of memory")
_TYPES = {0: np.float32, 1: np.float64, 2: np.float16, 3: np.uint8, 4: np.int32, 5: np.int8,
          6: np.int64, 7: np.bool_}  # fmt: skip


class EngineError(Exception):
    """MXNet refused a call; the text is its own."""


def load_library() -> ctypes.CDLL:
    """Load libmxnet.so of the installed mxnet package, without importing the package."""
    spec = importlib.util.find_spec("mxnet")
    if spec is None or not spec.submodule_search_locations:
        raise EngineError("the mxnet package is not installed")
    path = Path(next(iter(spec.submodule_search_locations)), "libmxnet.so")
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise _translate(str(error)) from None
    library.MXGetLastError.restype = ctypes.c_char_p
    return library


def _translate(message: str) -> Exception:
    lowered = message.lower()
    if any(sign in lowered for sign in (*_OUT_OF_MEMORY, "failed to map segment")):
        return MemoryError(message.splitlines()[0])
    lines = [line.strip() for line in message.splitlines()]
    return EngineError(next((line for line in lines if "Error" in line), lines[0] if lines else ""))


class Predictor:
    """One network bound to fixed input shapes. Raises MemoryError, EngineError, ModelError."""

    def __init__(self, symbol: Path, params: Path, inputs: Sequence[Input]) -> None:
        self._library = load_library()
        self._inputs = {i.name: i for i in inputs}
        self._handle = ctypes.c_void_p()
        graph = symbol.read_bytes()
        arguments, auxiliary = self._arguments(graph)
        if params.stat().st_size == 0:
            raise ModelError(f"{params.name} is empty")
        with params.open("rb") as file:
            weights = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        try:
            self._create(graph, _prefixed(weights, arguments, auxiliary, self._inputs))
        finally:
            with contextlib.suppress(BufferError):  # a traceback may still hold a view of it
                weights.close()

    def run(self, feeds: Mapping[str, Any]) -> list[Any]:
        """Run one forward pass; float32 arrays of the bound shapes in, one array an output."""
        for name, array in feeds.items():
            data = np.ascontiguousarray(array, np.float32)
            self._call(
                "MXPredSetInput",
                self._handle,
                name.encode(),
                data.ctypes.data_as(ctypes.c_void_p),
                _UINT(data.size),
            )
        self._call("MXPredForward", self._handle)
        return [self._output(i) for i in range(self._outputs)]

    def _create(self, graph: bytes, weights: Any) -> None:
        inputs = list(self._inputs.values())
        axes = [n for i in inputs for n in i.shape]
        starts = [0]
        for one in inputs:
            starts.append(starts[-1] + len(one.shape))
        self._call(
            "MXPredCreate",
            ctypes.c_char_p(graph),
            (ctypes.c_char * len(weights)).from_buffer(weights),
            ctypes.c_int(len(weights)),
            _CPU,
            0,
            _UINT(len(inputs)),
            (ctypes.c_char_p * len(inputs))(*(i.name.encode() for i in inputs)),
            (_UINT * len(starts))(*starts),
            (_UINT * len(axes))(*axes),
            ctypes.byref(self._handle),
        )

    def _arguments(self, graph: bytes) -> tuple[list[str], list[str]]:
        handle = ctypes.c_void_p()
        self._call("MXSymbolCreateFromJSON", ctypes.c_char_p(graph), ctypes.byref(handle))
        try:
            self._outputs = len(self._names("MXSymbolListOutputs", handle))
            arguments = self._names("MXSymbolListArguments", handle)
            return arguments, self._names("MXSymbolListAuxiliaryStates", handle)
        finally:
            self._library.MXSymbolFree(handle)

    def _names(self, function: str, handle: ctypes.c_void_p) -> list[str]:
        count, names = _UINT(), ctypes.POINTER(ctypes.c_char_p)()
        self._call(function, handle, ctypes.byref(count), ctypes.byref(names))
        return [names[i].decode() for i in range(count.value)]

    def _output(self, index: int) -> Any:
        axes, rank, kind = ctypes.POINTER(_UINT)(), _UINT(), ctypes.c_int()
        self._call(
            "MXPredGetOutputShape",
            self._handle,
            _UINT(index),
            ctypes.byref(axes),
            ctypes.byref(rank),
        )
        shape = [axes[i] for i in range(rank.value)]
        self._call("MXPredGetOutputType", self._handle, _UINT(index), ctypes.byref(kind))
        result = np.empty(shape, _TYPES[kind.value])
        pointer = result.ctypes.data_as(ctypes.c_void_p)
        self._call("MXPredGetOutput", self._handle, _UINT(index), pointer, _UINT(result.size))
        return result

    def _call(self, function: str, *arguments: Any) -> None:
        if getattr(self._library, function)(*arguments) != 0:
            raise _translate(self._library.MXGetLastError().decode("utf-8", "replace"))


def _prefixed(
    weights: Any, arguments: Sequence[str], auxiliary: Sequence[str], inputs: Mapping[str, Input]
) -> Any:
    """Check the names in the weights against the network's; give them the usual prefixes.

    The predict API takes only names that begin with ``arg:`` or ``aux:`` and leaves what is
    missing at zero without a word. Arguments ending in ``label`` belong to the training loss
    (the zoo's networks end in SoftmaxOutput) and are not needed.
    """
    names, offset = read_names(weights)
    bare = {name.split(":", 1)[-1] if name[:4] in ("arg:", "aux:") else name for name in names}
    for name in inputs:
        if name not in arguments:
            raise ModelError(f"the network has no input {name!r}: correct the shapes file")
    wanted = [n for n in (*arguments, *auxiliary) if n not in inputs]
    missing = [n for n in wanted if n not in bare and not n.endswith("label")]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise ModelError(
            f"the symbol and the params do not match: no weights for {', '.join(missing[:5])}{more}"
        )
    if all(name[:4] in ("arg:", "aux:") for name in names):
        return weights
    return _renamed(weights, offset, names, set(auxiliary))


def _renamed(weights: Any, offset: int, names: Sequence[str], auxiliary: set[str]) -> bytearray:
    data = bytearray(weights[:offset])
    data += len(names).to_bytes(8, "little")
    for name in names:
        bare = name if name[:4] in ("arg:", "aux:") else _kind(name, auxiliary) + name
        encoded = bare.encode()
        data += len(encoded).to_bytes(8, "little") + encoded
    return data


def _kind(name: str, auxiliary: set[str]) -> str:
    return "aux:" if name in auxiliary else "arg:"

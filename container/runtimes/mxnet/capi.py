"""The part of MXNet's C API (include/mxnet/c_api.h) that serving needs, through ctypes.

The Python package of MXNet generates thousands of functions at import: 1.3 s and 70 MB in
every worker, most of a small model. The engine itself is one shared library that loads in 0.05 s.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runtimes.mxnet.settings import SETTINGS
from runtimes.values import EngineError, ran_out_of_memory

_UINT = ctypes.c_uint32
_CPU = 1
_UINT8 = 3
# They call functions at addresses that stand in their attributes
_POINTERS = re.compile(rb'"(_CachedOp|_CachedOpThreadSafe|_CustomFunction|_NDArray|_Native)"')
_NUMPY_SHAPES = re.compile(rb'"is_np_shape"\s*:\s*\[\s*"int"\s*,\s*[1-9]')
_DENSE = 0  # of MXNDArrayGetStorageType
# mshadow's type flags (3rdparty/mshadow/mshadow/base.h)
TYPES = {0: np.float32, 1: np.float64, 2: np.float16, 3: np.uint8, 4: np.int32, 5: np.int8,
         6: np.int64, 7: np.bool_}  # fmt: skip


class _Library:
    loaded: ctypes.CDLL | None = None


def library() -> ctypes.CDLL:
    """Load libmxnet.so of the installed mxnet package, once, without importing the package."""
    if _Library.loaded is None:
        _Library.loaded = _load()
    return _Library.loaded


def _load() -> ctypes.CDLL:
    spec = importlib.util.find_spec("mxnet")
    if spec is None or not spec.submodule_search_locations:
        raise EngineError("the mxnet package is not installed")
    path = Path(next(iter(spec.submodule_search_locations)), "libmxnet.so")
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise translate(str(error)) from None
    loaded.MXGetLastError.restype = ctypes.c_char_p
    _register(loaded)
    return loaded


def _register(loaded: ctypes.CDLL) -> None:
    """Let the engine make operators of its older layers, which it does when its list is asked for.

    Before that they are unknown by name, or known without a rule for their shapes. Takes 1 ms.
    """
    count, names = _UINT(), ctypes.POINTER(ctypes.c_char_p)()
    if loaded.MXListAllOpNames(ctypes.byref(count), ctypes.byref(names)) != 0:
        raise translate(loaded.MXGetLastError().decode("utf-8", "replace"))


def translate(message: str) -> Exception:
    """Make a MemoryError or an EngineError of what MXNet says."""
    if ran_out_of_memory(message) or "failed to map segment" in message.lower():
        return MemoryError(message.splitlines()[0])
    lines = [line.strip() for line in message.splitlines()]
    return EngineError(next((line for line in lines if "Error" in line), lines[0] if lines else ""))


def call(function: str, *arguments: Any) -> None:
    """Call the engine; raises MemoryError or EngineError."""
    if getattr(library(), function)(*arguments) != 0:
        raise translate(library().MXGetLastError().decode("utf-8", "replace"))


def use_threads(number: int) -> None:
    """Compute with so many OpenMP threads."""
    call("MXSetNumOMPThreads", ctypes.c_int(number))


def _texts(words: Sequence[str]) -> Any:
    return (ctypes.c_char_p * len(words))(*(word.encode() for word in words))


class Array:
    """An array of the engine, allocated at once and left as the memory was."""

    def __init__(self, shape: Sequence[int], kind: int) -> None:
        self.shape = tuple(shape)
        self.dtype = np.dtype(TYPES[kind])
        self.handle = ctypes.c_void_p()
        axes = (_UINT * len(self.shape))(*self.shape)
        rank = _UINT(len(self.shape))
        call("MXNDArrayCreateEx", axes, rank, _CPU, 0, 0, kind, ctypes.byref(self.handle))

    def view(self) -> Any:
        """Its memory as a numpy array; valid until it is first computed with."""
        pointer = ctypes.c_void_p()
        call("MXNDArrayGetData", self.handle, ctypes.byref(pointer))
        size = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        if not size:
            return np.empty(self.shape, self.dtype)
        memory = (ctypes.c_char * size).from_address(pointer.value or 0)
        return np.frombuffer(memory, self.dtype).reshape(self.shape)

    def fill(self, values: Any) -> None:
        """Set all its elements; `values` has its shape."""
        data = np.ascontiguousarray(values, self.dtype)
        pointer = ctypes.c_void_p(data.ctypes.data)
        call("MXNDArraySyncCopyFromCPU", self.handle, pointer, ctypes.c_size_t(data.size))

    def free(self) -> None:
        """Give the handle back; the memory lives on while something is bound to it."""
        call("MXNDArrayFree", self.handle)


class Graph:
    """A network as MXNet understood it; free it once it is bound."""

    def __init__(self, text: bytes) -> None:
        self.handle = ctypes.c_void_p()
        self._least = _interpret(text)
        call("MXSymbolCreateFromJSON", ctypes.c_char_p(text), ctypes.byref(self.handle))
        self.arguments = self._names("MXSymbolListArguments")
        self.auxiliary = self._names("MXSymbolListAuxiliaryStates")

    def _names(self, function: str) -> list[str]:
        count, names = _UINT(), ctypes.POINTER(ctypes.c_char_p)()
        call(function, self.handle, ctypes.byref(count), ctypes.byref(names))
        return [names[i].decode() for i in range(count.value)]

    def text(self) -> bytes:
        """Write it as JSON in the present format, whatever it was read from."""
        written = ctypes.c_char_p()
        call("MXSymbolSaveToJSON", self.handle, ctypes.byref(written))
        return written.value or b""

    def shapes(self, inputs: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...] | None]:
        """Infer the shapes of all arguments and auxiliary states from those of the inputs.

        What cannot be inferred is None.
        """
        axes = [n for shape in inputs.values() for n in shape]
        starts = [0]
        for shape in inputs.values():
            starts.append(starts[-1] + len(shape))
        found = [_Shapes() for _ in range(3)]
        complete = ctypes.c_int()
        call(
            "MXSymbolInferShapeEx",
            self.handle,
            _UINT(len(inputs)),
            _texts(list(inputs)),
            (_UINT * len(starts))(*starts),
            (ctypes.c_int * len(axes))(*axes),
            *(pointer for shapes in found for pointer in shapes.pointers()),
            ctypes.byref(complete),
        )
        names = (*self.arguments, *self.auxiliary)
        whole = found[0].read(*self._least) + found[2].read(*self._least)
        return dict(zip(names, whole))  # noqa: B905 - Python 3.8

    def types(self, known: Mapping[str, int]) -> dict[str, int]:
        """Infer the type flags of all arguments from those that are known; unknown ones are 0."""
        counts, flags = [_UINT() for _ in range(3)], [_ints() for _ in range(3)]
        given = {name: flag for name, flag in known.items() if name in self.arguments}
        complete = ctypes.c_int()
        results = [p for i in range(3) for p in (ctypes.byref(counts[i]), ctypes.byref(flags[i]))]
        call(
            "MXSymbolInferType",
            self.handle,
            _UINT(len(given)),
            _texts(list(given)),
            (ctypes.c_int * len(given))(*given.values()),
            *results,
            ctypes.byref(complete),
        )
        if counts[0].value != len(self.arguments):
            return dict(given)
        return {name: max(flags[0][i], 0) for i, name in enumerate(self.arguments)}

    def free(self) -> None:
        """Give it back."""
        call("MXSymbolFree", self.handle)


def _interpret(text: bytes) -> tuple[int, int]:
    """Refuse what must not run, and let this thread take shapes as the network was saved with.

    Returns the least rank and size of a known shape: with numpy's shapes () is a single number and
    an axis may be of size 0; without, both are unknown.
    """
    pointer = _POINTERS.search(text)
    if pointer is not None:
        raise EngineError(
            f"the operator {pointer[1].decode()} calls functions by their addresses in memory, "
            "which is not allowed to a network in a file"
        )
    numpy = _NUMPY_SHAPES.search(text) is not None
    call("MXSetIsNumpyShape", ctypes.c_int(numpy), ctypes.byref(ctypes.c_int()))
    return (0, 0) if numpy else (1, 1)


def _ints() -> Any:
    return ctypes.POINTER(ctypes.c_int)()


class _Shapes:
    """Shapes that the engine returns: their number, ranks and axes."""

    def __init__(self) -> None:
        self._count, self._ranks = _UINT(), _ints()
        self._axes = ctypes.POINTER(ctypes.POINTER(ctypes.c_int))()

    def pointers(self) -> tuple[Any, ...]:
        return tuple(ctypes.byref(one) for one in (self._count, self._ranks, self._axes))

    def read(self, rank: int, size: int) -> list[tuple[int, ...] | None]:
        """Those that are known: of that rank and those sizes at least."""
        ranks = [self._ranks[i] for i in range(self._count.value)]
        shapes = [tuple(self._axes[i][j] for j in range(n)) for i, n in enumerate(ranks)]
        known = [n >= rank and min(s, default=size) >= size for n, s in zip(ranks, shapes)]  # noqa: B905
        return [s if whole else None for s, whole in zip(shapes, known)]  # noqa: B905


class Executor:
    """A network bound to its arrays, for inference alone.

    With the activations of `other` where there is one: they must not run at the same time.
    """

    def __init__(
        self, graph: Graph, arrays: Mapping[str, Array], other: Executor | None = None
    ) -> None:
        self._handle = ctypes.c_void_p()
        arguments = [arrays[name].handle for name in graph.arguments]
        auxiliary = [arrays[name].handle for name in graph.auxiliary]
        call(
            "MXExecutorBindEX",
            graph.handle,
            _CPU,
            0,
            _UINT(0),
            None,
            None,
            None,
            _UINT(len(arguments)),
            (ctypes.c_void_p * len(arguments))(*arguments),
            (ctypes.c_void_p * len(arguments))(),
            (_UINT * len(arguments))(),
            _UINT(len(auxiliary)),
            (ctypes.c_void_p * len(auxiliary))(*auxiliary),
            other._handle if other is not None else None,
            ctypes.byref(self._handle),
        )

    def run(self) -> list[Any]:
        """Compute the outputs from what the arrays hold now."""
        call("MXExecutorForward", self._handle, 0)
        # anew after each pass: some operators tell their shapes only once they have computed
        count, handles = _UINT(), ctypes.POINTER(ctypes.c_void_p)()
        call("MXExecutorOutputs", self._handle, ctypes.byref(count), ctypes.byref(handles))
        outputs = [ctypes.c_void_p(handles[i]) for i in range(count.value)]
        try:
            return [_fetch(output) for output in outputs]
        finally:
            for output in outputs:
                call("MXNDArrayFree", output)

    def free(self) -> None:
        """Give its memory back, but for the arrays it is bound to."""
        call("MXExecutorFree", self._handle)


@functools.lru_cache(maxsize=None)
def _operator(name: bytes) -> ctypes.c_void_p:
    found = ctypes.c_void_p()
    call("NNGetOpHandle", name, ctypes.byref(found))
    return found


def _apply(name: bytes, source: ctypes.c_void_p, attributes: Mapping[str, str]) -> Any:
    count, results = ctypes.c_int(), ctypes.POINTER(ctypes.c_void_p)()
    call(
        "MXImperativeInvoke",
        _operator(name),
        1,
        (ctypes.c_void_p * 1)(source),
        ctypes.byref(count),
        ctypes.byref(results),
        len(attributes),
        _texts(list(attributes)),
        _texts(list(attributes.values())),
    )
    return ctypes.c_void_p(results[0])


def _computed(name: bytes, source: ctypes.c_void_p, attributes: Mapping[str, str]) -> Any:
    """Compute an operator of one input and one output, as a numpy array."""
    result = _apply(name, source, attributes)
    try:
        return _fetch(result)
    finally:
        call("MXNDArrayFree", result)


def resize(pixels: Any, height: int, width: int) -> Any:
    """Resize uint8 (h, w, c) to (height, width, c) by OpenCV's INTER_LINEAR, which MXNet has in it.

    Raises EngineError where MXNet is not installed or was built without OpenCV, MemoryError.
    """
    _operator(b"_cvimresize")  # before anything is allocated
    source = Array(pixels.shape, _UINT8)
    source.view()[:] = pixels
    try:
        return _computed(
            b"_cvimresize", source.handle, {"w": str(width), "h": str(height), "interp": "1"}
        )
    finally:
        source.free()


def _fetch(handle: ctypes.c_void_p) -> Any:
    storage = ctypes.c_int(_DENSE)
    call("MXNDArrayGetStorageType", handle, ctypes.byref(storage))
    if storage.value > _DENSE:
        return _computed(b"cast_storage", handle, {"stype": "default"})
    rank, axes, kind = ctypes.c_int(), _ints(), ctypes.c_int()
    call("MXNDArrayGetShapeEx", handle, ctypes.byref(rank), ctypes.byref(axes))
    call("MXNDArrayGetDType", handle, ctypes.byref(kind))
    result: Any = np.empty([axes[i] for i in range(rank.value)], TYPES[kind.value])
    pointer = ctypes.c_void_p(result.ctypes.data)
    call("MXNDArraySyncCopyToCPU", handle, pointer, ctypes.c_size_t(result.size))
    return result

"""One network: its session, made anew from a file of its optimised weights once there is one."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runtimes.onnx import chance, model_files, pointing, saved, sessions
from runtimes.onnx.graph import Value
from runtimes.onnx.model_files import ModelFiles
from runtimes.values import TEXT, EngineError, ModelError

# Up to this size a model may share a process, which forks: a session with threads of its own must
# not be there then, and to wake another thread takes as long as such a model computes
SHAREABLE_BYTES = 2 * 2**20
_SAVE = {
    "session.optimized_model_external_initializers_file_name": saved.WEIGHTS,
    "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
}
_PACKED = {"session.save_external_prepacked_constant_initializers": "1"}
_SIZES = (1, 2, 8, 16, 32, 64, 224)  # of axes that may be of any, tried until one is taken


class Network:
    """A network ready to compute. Raises MemoryError, ModelError."""

    def __init__(self, files: ModelFiles, threads: int, store: saved.Store | None = None) -> None:
        paths = files.every_file()
        size = sum(path.stat().st_size for path in paths)
        self._files, self._paths = files, paths
        self._threads = threads if size > SHAREABLE_BYTES else 1
        self._names = [value.name for value in files.outputs]
        self._store = store or saved.Store(sessions.library().__version__)
        self.mapped = False
        self._maker: int | None = None
        self._may_save = size > saved.LEAST_BYTES
        self._process = os.getpid()
        place = self._saved() if self._may_save else None
        self._session = self._open(place)

    def run(self, feed: Mapping[str, Any]) -> list[Any]:
        """Compute the outputs. Raises MemoryError, EngineError, ValueError."""
        if self._process != os.getpid():
            self._become_replica()
        return list(sessions.compute(self._session, self._names, feed))

    def _become_replica(self) -> None:
        """Draw other random numbers than the process that this one was forked from."""
        self._process, path = os.getpid(), self._files.path
        with contextlib.suppress(ModelError):  # the file is gone
            if chance.of(model_files.open_proto(path, nodes=True).graph):
                self._session = self._open(None)

    def release(self) -> bool:
        """Take the weights from a file from now on; whether one is being made meanwhile.

        A fork makes it, and requests are answered as before until there is one.
        """
        if self._maker is not None:
            if self._store.ended(self._maker, self._paths):
                self._maker = None
            if not self.mapped and (place := self._saved()):
                self._session = self._open(place)
        elif self._may_save:
            self._may_save = False
            self._maker = self._store.start(self._paths, self._save)
        return self._maker is not None

    def _saved(self) -> Path | None:
        try:
            place = self._store.find(self._paths)
        except OSError:
            return None
        self._may_save = False
        return place

    def _open(self, place: Path | None) -> Any:
        if place is not None:
            try:
                session = _mapped(place, self._threads)
            except ModelError:  # the file was damaged since
                self._store.forget(self._paths)
            else:
                self.mapped = True
                return session
        return _plain(self._files.path, self._files, sessions.options(self._threads))

    def _save(self, folder: Path) -> bool:
        """Save the network into a folder; whether what was saved answers as it does."""
        packed = _PACKED if sessions.version() >= sessions.PREPACKED_FROM else {}
        options = sessions.options(1, **_SAVE, **packed)
        options.optimized_model_filepath = str(folder / saved.MODEL)
        whole = _plain(self._files.path, self._files, options)
        weights = folder / saved.WEIGHTS
        if not weights.is_file():
            return False
        other = _mapped(folder / saved.MODEL, self._threads)
        for feed in _feeds(self._files.inputs):
            try:
                wanted = sessions.compute(whole, self._names, feed)
            except (ValueError, EngineError):
                continue
            return saved.compared(wanted, sessions.compute(other, self._names, feed))
        return False


def _mapped(place: Path, threads: int) -> Any:
    """A session of a saved model, as it was saved."""
    options = sessions.options(threads)
    options.graph_optimization_level = sessions.library().GraphOptimizationLevel.ORT_DISABLE_ALL
    return sessions.open_session(place, options, place.name)


def _plain(path: Path, files: ModelFiles, options: Any) -> Any:
    """A session of the model itself; its large tensors stay in the file where that can be."""
    small = None
    large = path.stat().st_size > saved.LEAST_BYTES
    if large and sessions.version() >= sessions.POINTING_FROM:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            small = pointing.pointed(data, files.proto, path.name)
    if small is None:
        return sessions.open_session(path, options, path.name)
    options.add_session_config_entry(sessions.FOLDER, str(path.parent.resolve()))
    return sessions.open_session(small, options, path.name)


def _feeds(inputs: Sequence[Value]) -> Iterator[dict[str, Any]]:
    """Inputs to try a network with: the same numbers each time, axes of any size in turn."""
    for size in _SIZES:
        yield {value.name: _numbers(value, size) for value in inputs}


def _numbers(value: Value, size: int) -> Any:
    """An array for an input: 0 to 1, or 0 and 1, which words, positions and masks may be."""
    import numpy as np

    shape = [n if isinstance(n, int) else size for n in value.shape or ()]
    if shape and not isinstance((value.shape or ())[0], int):
        shape[0] = 1
    if value.dtype == TEXT:
        return np.full(shape, "0", object)
    kind: Any = np.dtype(value.dtype or "float32")
    numbers: Any = np.arange(int(np.prod(shape))).reshape(shape) * 7919 % 256
    return (numbers / 255 if kind.kind == "f" else numbers % 2).astype(kind)

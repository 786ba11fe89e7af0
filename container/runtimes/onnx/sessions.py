"""Sessions of ONNX Runtime: how they are made, and its errors as ours.

Without its arena, which keeps 8 MB and more of what a load took; without spinning threads, which
take the processor from other models.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from runtimes.onnx import locales
from runtimes.values import EngineError, ModelError

# 1.29 and later start a thread at import that sends what is loaded to their authors
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

FOLDER = "session.model_external_initializers_file_folder_path"
# Versions before this one do not find the tensors of a model that is no file (1.19.2)
POINTING_FROM = (1, 23)
# Saved prepacked weights end the process with some networks in every version before this one
PREPACKED_FROM = (1, 32)
_NO_MEMORY = ("bad_alloc", "failed to allocate", "cannot allocate memory", "out of memory")
_CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
# places in its sources, stacks, and where the build was
_PLACE = re.compile(r"\S*\.(?:cc|h):\d+ \S+ |/\S+/onnxruntime/\S+ |Load model from \S+ failed:")
_LONGEST = 400
_ERRORS_ONLY = 4


def library() -> Any:
    """ONNX Runtime, imported."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
    return onnxruntime


def version() -> tuple[int, ...]:
    """Its version: (1, 32)."""
    return tuple(int(part) for part in library().__version__.split(".")[:2])


def options(threads: int, **entries: str) -> Any:
    """Options of a session that computes with so many threads; `entries` are ORT's by name."""
    ort = library()
    made = ort.SessionOptions()
    made.intra_op_num_threads = threads
    made.inter_op_num_threads = 1
    made.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    made.enable_cpu_mem_arena = False
    made.enable_mem_pattern = False
    made.log_severity_level = _ERRORS_ONLY
    made.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for name, value in entries.items():
        made.add_session_config_entry(name, value)
    return made


def open_session(model: bytes | Path, made: Any, name: str) -> Any:
    """Make a session. Raises MemoryError, or ModelError for the file `name`."""
    source = model if isinstance(model, bytes) else str(model)
    try:
        return _opened(source, made)
    except Exception as error:  # noqa: BLE001 - its errors have no common base
        locale = locales.lacking(str(error))
        if locale is None:
            raise _refused(error, name) from None
    try:
        with locales.standing_in(locale):
            return _opened(source, made)
    except Exception as error:  # noqa: BLE001 - its errors have no common base
        raise _refused(error, name) from None


def _opened(source: bytes | str, made: Any) -> Any:
    # random numbers begin where the process did that all others are forked from
    library().set_seed(int.from_bytes(os.urandom(8), "little") >> 1)
    return library().InferenceSession(source, made, providers=["CPUExecutionProvider"])


def _refused(error: Exception, name: str) -> Exception:
    text = said(error)
    if _is_memory(error):
        return MemoryError(text)
    what = f"ONNX Runtime {library().__version__} does not load it: {text}"
    return ModelError(what, name, "mmectl models check says more; export it again")


def compute(session: Any, names: Any, feed: Any) -> Any:
    """Run a session. Raises MemoryError, EngineError; ValueError for inputs that do not fit."""
    try:
        return session.run(names, feed)
    except Exception as error:  # noqa: BLE001 - its errors have no common base
        if _is_memory(error):
            raise MemoryError(said(error)) from None
        if type(error).__name__ == "InvalidArgument":
            raise ValueError(said(error)) from None
        raise EngineError(said(error)) from None


def _is_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY)


def said(error: Exception) -> str:
    """ONNX Runtime's message in one line, without its places."""
    text = _CODE.sub("", str(error).strip())
    text = " ".join(_PLACE.sub("", text).split())
    return text[:_LONGEST] or type(error).__name__

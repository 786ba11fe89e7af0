"""What Multi Model Server calls: it loads the model of a worker, then answers requests to it.

`handle(None, context)` loads the model of context's model_dir, `handle(batch, context)` answers.
An error of a load, and MemoryError at an invoke (status 507, so that the platform unloads
something), are the server's to answer; all other answers are those of responses.py.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runtimes import folders, registry
from runtimes.base import Runtime
from runtimes.values import EngineError, ModelError

from serving.handler import loaded, samples
from serving.handler.loaded import Loaded
from serving.handler.responses import respond
from serving.workers import cpu, idle, memory
from serving.workers.idle import Idle

log = logging.getLogger("model_handler")
LAST_WORDS_SECONDS = 0.2
LEAVE_SECONDS = 0.5


class ToldAlready(logging.Filter):
    """Drop the worker's tracebacks of a planned unload, and of a failed load told already."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is news."""
        failure = record.exc_info[1] if record.exc_info else None
        if isinstance(failure, (ModelError, EngineError)):
            return False
        return "Frontend disconnected" not in f"{record.msg} {failure}"


class Service:
    """The service of one model; `find` tells which runtime a model folder is for."""

    def __init__(
        self,
        find: Callable[[Path], Runtime] = registry.of,
        *,
        rest_seconds: float | None = None,
        last_words_seconds: float = LAST_WORDS_SECONDS,
        leave_seconds: float = LEAVE_SECONDS,
    ) -> None:
        self._find = find
        self._last_words_seconds = last_words_seconds
        self._leave_seconds = leave_seconds
        seconds = idle.seconds(os.environ) if rest_seconds is None else rest_seconds
        self._idle = Idle(seconds, self.rest)
        self.model: Loaded | None = None

    def handle(self, data: Sequence[Mapping[str, Any]] | None, context: Any) -> list[bytes] | None:
        """Load the model (`data` is None) or answer a batch of requests, one body for each."""
        with self._idle.busy():
            if data is None:
                self._take(Path(context.system_properties["model_dir"]))
                return None
            if self.model is None:
                raise RuntimeError("a request came before the model was loaded")
            model = self.model
            return [_within_room(model, one, index, context) for index, one in enumerate(data)]

    def _take(self, folder: Path) -> None:
        try:
            self.model = self.load(folder)
        except (MemoryError, ModelError, EngineError) as error:
            told = _with_fix(error)
            self._tell("cannot load %s: %s", folder, str(told) or type(told).__name__)
            if isinstance(error, MemoryError):
                self._leave_soon()
            raise told from error.__cause__

    def load(self, folder: Path) -> Loaded:
        """Load a model; raises MemoryError, ModelError or EngineError."""
        with folders.looked_at_once():
            return self._load(folder)

    def _load(self, folder: Path) -> Loaded:
        started = time.perf_counter()
        runtime = self._find(folder)

        def last_words(text: str) -> None:
            self._tell("cannot load %s: %s", folder, text)

        try:
            with memory.expendable(), runtime.guarded(folder, last_words):
                model = loaded.load(runtime, folder, cpu.limit(os.environ))
        except OSError as error:
            if error.errno == errno.ENOMEM:
                raise MemoryError(str(error)) from None
            raise
        runtime.watch(self._tell_of_a_signal)
        model.took = f"loaded {model.name} from {folder} in {time.perf_counter() - started:.3f} s"
        return model

    def _tell_of_a_signal(self, cause: str) -> None:
        self._tell("EngineError: %s ended the process after the load", cause)

    def _tell(self, text: str, *arguments: object) -> None:
        """Log the last words of a worker.

        The server stops reading a worker's output as soon as it ends, and loses what is still in
        the pipe; without the pause one failure in three says only "Worker died.".
        """
        log.error(text, *arguments)
        sys.stdout.flush()
        time.sleep(self._last_words_seconds)

    def _leave_soon(self) -> None:
        """End this process by a signal, a moment after the server was told of 507.

        Multi Model Server's own worker (MMECTL_WARM_WORKERS=0) then opens two FIFOs that the server
        has closed by then, two times in five, and waits for a reader for ever, with all the memory
        that it holds.
        """
        self._idle.leave(self._leave_seconds)

    # What the container's own processes call (serving/workers)

    def preload(self, runtimes: Sequence[Runtime]) -> None:
        """Make, before any fork, what loads and answers of all models need."""
        registry.rehearse()
        for runtime in runtimes:
            runtime.preload()
        own = [one for one in runtimes if type(one).resize is not Runtime.resize]
        for runtime in own or runtimes[:1]:
            samples.rehearse(runtime.resize)
        samples.rehearse_tables()

    def told(self) -> None:
        """Log what the load took, once there is time: counting memory takes some ms."""
        own = memory.own()
        if self.model is not None:
            took = self.model.took
            log.info("%s, %s MB of its own", took, "?" if own is None else own // memory.MIB)

    def rest(self) -> bool:
        """Keep what all workers of the model can share; each computes in memory of its own.

        Returns whether to do so again in a while.
        """
        return self.model is not None and self.model.rest()

    def quiesce(self) -> bool:
        """Give back what is not to be shared; whether this process may fork replicas now."""
        self.rest()
        if self.model is None or not self.model.runtime.fork_after_load:
            return False
        return self.model.runtime.quiesce()


def _with_fix(error: Exception) -> Exception:
    """An error of a load as it is told: with what to do about it, as nothing else shows that."""
    if not isinstance(error, ModelError) or not error.fix:
        return error
    return ModelError(f"{error.what}: {error.fix}", error.file, error.fix)


def _within_room(model: Loaded, request: Mapping[str, Any], index: int, context: Any) -> bytes:
    """Answer a request; what there was no room for is tried again with the room there is now.

    The limit was set when memory may have been short; others have left it since, perhaps because
    this very request was answered with 507 before.
    """
    try:
        return respond(model, request, index, context)
    except MemoryError:
        memory.confine(memory.free())
        return respond(model, request, index, context)

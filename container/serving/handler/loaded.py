"""One loaded model: what its process holds of it, whatever framework it is of."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from runtimes.base import Model, RawModel, Runtime, TableModel, TensorModel
from runtimes.values import EngineError, ModelError

from serving.handler.exchange import Exchange, Once, Raw
from serving.handler.tabular import Tabular
from serving.handler.tensors import Tensors
from serving.workers import large_pages, memory
from serving.workers.cpu import Budget


class Loaded:
    """A model of a runtime with what requests to it need.

    `took` says what its load took; `warmed` is the processor seconds of its first answer.
    """

    def __init__(self, runtime: Runtime, model: Model, threads: int) -> None:
        self.runtime = runtime
        self.model = model
        self.name = model.name
        self.took, self.warmed = "", 0.0
        self.cold = Once()
        self.exchange = exchange_of(runtime, model, Budget(threads))

    def respond(
        self, body: bytes, content_type: str | None, accept: str | None, context: Any
    ) -> tuple[str, bytes]:
        """Answer one request: content type and body; raises RequestError, MemoryError."""
        return self.exchange.respond(body, content_type, accept, context)

    def rest(self) -> bool:
        """Give back what is only needed while it computes; whether more can be in a while."""
        more = self.model.release()
        memory.give_back()
        memory.confine(memory.free())
        return more


def exchange_of(runtime: Runtime, model: Model, cpus: Budget) -> Exchange:
    """The exchange for a loaded model, by its kind."""
    if isinstance(model, TensorModel):
        return Tensors(model, cpus, runtime.resize)
    if isinstance(model, TableModel):
        return Tabular(model, cpus)
    if isinstance(model, RawModel):
        return Raw(model)
    raise TypeError(f"{type(model).__name__} is no kind of model")


def _model(runtime: Runtime, folder: Path, threads: int) -> Model:
    """Load the model; a framework's other errors, as a damaged file may cause, are the file's."""
    try:
        return runtime.load(folder, threads)
    except (MemoryError, OSError, ModelError, EngineError):
        raise
    except Exception as error:
        what = f"{runtime.title} does not read it: {type(error).__name__}: {error}"
        raise ModelError(what) from error


def _pages(runtime: Runtime, footprint: int) -> AbstractContextManager[None]:
    """Large pages, but where memory is short: what they are kept for counts against its limit."""
    wanted = runtime.in_large_blocks and memory.ample(footprint, memory.free())
    return large_pages.taken(footprint if wanted else 0)


def load(runtime: Runtime, folder: Path, threads: int) -> Loaded:
    """Load a model and compute with it once, in the memory that is left.

    Raises MemoryError, ModelError or EngineError.
    """
    footprint = runtime.footprint(folder)
    room = memory.room_for(footprint, memory.free())
    # its shapes may ask for any amount
    with room, memory.loading(), memory.confined(os.environ), _pages(runtime, footprint):
        loaded = Loaded(runtime, _model(runtime, folder, threads), threads)
        started = time.process_time()
        loaded.exchange.warm_up()
        loaded.warmed = time.process_time() - started
    return loaded

"""One loaded model: how its requests are read and computed, whatever framework it is of."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from runtimes.base import Model, Runtime

from serving.handler import codecs, samples
from serving.workers import memory
from serving.workers.cpu import Budget


class Once:
    """Says True the first time it is asked, in whichever of the processes forked since."""

    def __init__(self) -> None:
        self._asked = mmap.mmap(-1, 1)

    def first(self) -> bool:
        """Whether nobody has asked before."""
        first, self._asked[0] = not self._asked[0], 1
        return first


class Loaded:
    """A model of a runtime with what requests to it need.

    `whole` says that the outputs are one answer for the whole batch, `took` what its load took.
    """

    def __init__(self, runtime: Runtime, model: Model, threads: int) -> None:
        self.runtime = runtime
        self.model = model
        self.name = model.name
        self.whole = False
        self.took = ""
        self.cold = Once()
        self._cpus = Budget(threads)

    def warm_up(self) -> None:
        """Compute with zeros and answer a request: what that takes is taken, and seen, at the load.

        Raises ModelError, EngineError, MemoryError.
        """
        inputs = self.model.inputs
        outputs = self._run({i.name: np.zeros(i.shape, i.dtype or np.float32) for i in inputs})
        # items can be told apart where all that goes in and comes out has the batch axis
        batches = {*(i.shape[:1] for i in inputs), *(o.shape[:1] for o in outputs)}
        self.whole = batches != {(self.model.batch,)}
        self.model.check(outputs)
        try:
            feed = codecs.parse(samples.PICTURE, "image/jpeg", inputs, self.runtime.resize)
            self.answer(outputs, feed, codecs.JSON)
        except codecs.PayloadError:
            pass  # it takes no pictures, or answers zeros with NaN

    def rest(self) -> None:
        """Give back what is only needed while it computes."""
        self.model.release()
        memory.give_back()
        memory.confine(memory.free())

    def parse(self, body: bytes, content_type: str | None) -> codecs.Feed:
        """Read one request; raises PayloadError."""
        feed = self._parsed(body, content_type)
        if not self.whole:
            return feed
        if feed.items != self.model.batch:
            raise codecs.PayloadError(
                "the answer of this model is one for the whole batch: send "
                f"{self.model.batch} items, not {feed.items}"
            )
        return replace(feed, batched=True)  # the outputs are answered as they are

    def _parsed(self, body: bytes, content_type: str | None) -> codecs.Feed:
        """Read a payload; where there is no room for that, no other model is unloaded for it."""
        inputs, resize = self.model.inputs, self.runtime.resize
        try:
            return codecs.parse(body, content_type, inputs, resize)
        except MemoryError:
            memory.confine(memory.free())
        try:
            return codecs.parse(body, content_type, inputs, resize)
        except MemoryError:
            raise codecs.PayloadError(
                "there is no memory to read the payload: send a smaller one"
            ) from None

    def predict(self, feed: codecs.Feed) -> list[Any]:
        """Run all items of a request, as many at once as the model's batch has."""
        if self.whole:
            return self._run(feed.arrays)
        parts, size = [], self.model.batch
        for start in range(0, feed.items, size):
            count = min(size, feed.items - start)
            chunk = {n: self._filled(a[start : start + count]) for n, a in feed.arrays.items()}
            parts.append([output[:count] for output in self._run(chunk)])
        return [np.concatenate(outputs) for outputs in zip(*parts)]  # noqa: B905 - Python 3.8

    def answer(self, outputs: Sequence[Any], feed: codecs.Feed, kind: str) -> bytes:
        """Encode the outputs of a request as `kind`; raises PayloadError."""
        return codecs.answer(outputs, feed, kind, self.model.labels, self.model.likelihood)

    def _run(self, arrays: Any) -> list[Any]:
        return self.model.run(arrays, self._cpus.look())

    def _filled(self, array: Any) -> Any:
        lacking = self.model.batch - len(array)
        if not lacking:
            return array
        return np.concatenate([array, np.zeros((lacking, *array.shape[1:]), array.dtype)])


def load(runtime: Runtime, folder: Path, threads: int) -> Loaded:
    """Load a model and compute with it once, in the memory that is left.

    Raises MemoryError, ModelError or EngineError.
    """
    room = memory.room_for(runtime.footprint(folder), memory.free())
    # its shapes may ask for any amount
    with room, memory.loading(), memory.confined(os.environ):
        loaded = Loaded(runtime, runtime.load(folder, threads), threads)
        loaded.warm_up()
    return loaded

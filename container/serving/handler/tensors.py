"""Requests to a model of tensors: parsed, computed as many items at once as it takes, answered."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from runtimes import apart
from runtimes.base import TensorModel
from runtimes.values import ANY, TEXT, EngineError, Input, RequestError

from serving.handler import answers, codecs, images, samples
from serving.handler.exchange import Exchange, Once, within_room
from serving.handler.tables import writing
from serving.workers.cpu import Budget


class Tensors(Exchange):
    """Answers requests; `whole` says that the outputs are one answer for the whole batch."""

    def __init__(self, model: TensorModel, cpus: Budget, resize: images.Resize | None) -> None:
        self.model = model
        self.whole = model.apart is False or not _of_items(model.inputs, model.batch or 1)
        self._tried = False
        self._listed = Once()  # a request showed it: all processes are to answer alike
        self._cpus = cpus
        self._resize = resize

    def warm_up(self) -> None:
        """Compute with zeros, see what the outputs are, and answer a picture.

        Where an axis may be of any size, zeros of size 1 may be none that the model takes.
        """
        inputs = self.model.inputs
        outputs = self._first()
        if outputs is None:
            return
        # items can be told apart where all that comes out has the batch axis, too
        if self.model.apart is None and not _each_of(outputs, self.model.batch or 1):
            self.whole = True
        self.model.check(outputs)
        try:
            feed = codecs.parse(samples.PICTURE, "image/jpeg", inputs, self._resize)
            self.answer(outputs, feed, codecs.JSON)
        except codecs.PayloadError:
            pass  # it takes no pictures, or answers zeros with NaN

    def _first(self) -> list[Any] | None:
        """Compute with zeros, or with ones: what is divided by, or a scale, may not be zero.

        None where the model need not take either. Raises EngineError.
        """
        model, failed = self.model, ""
        for number in (0, 1):
            try:
                return self._run({one.name: _all(number, one) for one in model.inputs})
            except (EngineError, RequestError) as error:
                failed = failed or str(error)
        if model.refuses_values or any(ANY in one.shape for one in model.inputs):
            return None
        raise EngineError(f"it takes neither zeros nor ones: {failed}")

    def respond(
        self, body: bytes, content_type: str | None, accept: str | None, context: Any
    ) -> tuple[str, bytes]:
        """Answer one request."""
        del context
        default = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", codecs.JSON)
        labels = self.model.labels
        answers.accepted(accept, default, labels)  # before anything is computed for nobody
        self.whole = self.whole or bool(self._listed)
        feed = self.parse(body, content_type)
        try:
            outputs = self.predict(feed)
        except _NotApart:  # zeros did not show it, as with boxes that are found
            self.whole = True
            self._listed.first()
            feed = self.parse(body, content_type)
            outputs = self.predict(feed)
        chosen = answers.accepted(accept, default, labels, outputs)
        header = writing.has_header(chosen)
        return chosen.kind, self.answer(outputs, feed, chosen.kind, header=header)

    def parse(self, body: bytes, content_type: str | None) -> codecs.Feed:
        """Read one request; raises PayloadError."""
        inputs, resize = self.model.inputs, self._resize
        feed = within_room(lambda: codecs.parse(body, content_type, inputs, resize))
        size = self.model.batch or feed.items
        if feed.items != size and not self._tried and not self.whole:
            self._try(feed.arrays)
        if not self.whole:
            return feed
        if feed.items != size:
            raise codecs.PayloadError(
                "the answer of this model is one for the whole batch: send "
                f"{size} item{'s' * (size > 1)}, not {feed.items}"
            )
        return replace(feed, batched=True)  # the outputs are answered as they are

    def _try(self, came: Mapping[str, Any]) -> None:
        """See whether items depend on each other, once a batch is to be filled up or divided."""
        size = self.model.batch or 1
        if size > 1:
            zeros = {one.name: _all(0, one) for one in self.model.inputs}
            whole = {n: np.resize(array, (size, *array.shape[1:])) for n, array in came.items()}
            self.whole = not apart.independent(self._run, zeros, whole)
        if self.whole:
            self._listed.first()  # all processes are to answer alike
        self._tried = True

    def predict(self, feed: codecs.Feed) -> list[Any]:
        """Run all items of a request, as many at once as the model's batch has."""
        if self.whole:
            return self._run(feed.arrays)
        if self.model.batch is None:
            return self._items(feed.arrays, feed.items)
        parts, size = [], self.model.batch
        for start in range(0, feed.items, size):
            count = min(size, feed.items - start)
            chunk = {n: self._filled(a[start : start + count]) for n, a in feed.arrays.items()}
            parts.append([output[:count] for output in self._items(chunk, size)])
        return [np.concatenate(outputs) for outputs in zip(*parts)]  # noqa: B905 - Python 3.8

    def _items(self, arrays: Mapping[str, Any], count: int) -> list[Any]:
        """Run so many items; raises _NotApart where the outputs are not of as many."""
        outputs = self._run(arrays)
        if not _each_of(outputs, count):
            raise _NotApart
        return outputs

    def answer(
        self, outputs: Sequence[Any], feed: codecs.Feed, kind: str, *, header: bool = False
    ) -> bytes:
        """Encode the outputs of a request as `kind`; raises PayloadError."""
        model = self.model
        return answers.answer(outputs, feed, kind, model.labels, model.likelihood, header=header)

    def _run(self, arrays: Mapping[str, Any]) -> list[Any]:
        return self.model.run(arrays, self._cpus.look())

    def _filled(self, array: Any) -> Any:
        lacking = (self.model.batch or 1) - len(array)
        if not lacking:
            return array
        return np.concatenate([array, np.zeros((lacking, *array.shape[1:]), array.dtype)])


class _NotApart(Exception):
    """The outputs are one answer for the whole batch."""


def _each_of(outputs: Sequence[Any], count: int) -> bool:
    """Whether each output begins with an axis of that size."""
    return all(np.shape(one)[:1] == (count,) for one in outputs)


def _of_items(inputs: Sequence[Input], size: int) -> bool:
    """Whether all that goes in has the batch axis."""
    fed = all(one.batched and one.shape[:1] == (size,) for one in inputs)
    # of (3) they are the numbers of one item, and what they were filled up with would count
    return fed and not (size > 1 and all(len(one.shape) == 1 for one in inputs))


def _all(number: int, one: Input) -> Any:
    """An array of one number for an input; axes of any size have the size 1."""
    shape = [1 if n == ANY else n for n in one.shape]
    if one.dtype == TEXT:
        return np.full(shape, str(number), object)
    return np.full(shape, number, one.dtype or np.float32)

"""The handler that Multi Model Server calls: one MXNet model per worker process.

`handle(None, context)` loads the model of context's model_dir, `handle(batch, context)`
answers requests. What reaches the caller:

======  =========================================================================
200     JSON (or NPY where Accept asks for it); for images five lines of classes
400     the payload is bad, 406 the Accept header, 415 the content type; the body
        is ``{"code", "type", "message"}`` as in the server's own errors
507     out of memory, at load and at invoke, so that the platform unloads something
======  =========================================================================
"""

from __future__ import annotations

import errno
import io
import json
import logging
import math
import mmap
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from runtimes.mxnet import culprit, model_files
from runtimes.mxnet.model_files import Input, ModelError
from runtimes.mxnet.predictor import EngineError, Predictor
from serving.handler import codecs
from serving.workers import idle, memory
from serving.workers.idle import Idle

log = logging.getLogger("model_handler")
# The one header of a container's answer that SageMaker hands on to the caller; it says whether
# this was the first request since the load.
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
# The same header of a request; this in it asks for the model to be loaded, and for nothing else.
WARM = "mmectl-warm"
_TYPES = {400: "BadRequestException", 406: "NotAcceptableException",
          415: "UnsupportedMediaTypeException"}  # fmt: skip


def _sample() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 48)).save(stream, "JPEG")
    return stream.getvalue()


SAMPLE = _sample()


class Once:
    """Says True the first time it is asked, in whichever of the processes forked since."""

    def __init__(self) -> None:
        self._asked = mmap.mmap(-1, 1)

    def first(self) -> bool:
        """Whether nobody has asked before."""
        first, self._asked[0] = not self._asked[0], 1
        return first


class Model:
    """One loaded model; the constructor ends with a forward pass so that it is warm."""

    def __init__(self, folder: Path) -> None:
        files = model_files.find(folder)
        self.name = files.name
        self.inputs = files.inputs
        self.labels = files.labels
        self.size = files.inputs[0].shape[0]
        self.whole = False
        self.cold = Once()
        self.took = ""
        room = memory.room_for(files.params.stat().st_size, memory.free())
        # its shapes may ask for any amount
        with room, memory.loading(), memory.confined(os.environ):
            self._predictor = Predictor(files.symbol, files.params, files.inputs)
            self.meaning = self._predictor.meaning
            zeros = {i.name: np.zeros(i.shape, i.dtype or np.float32) for i in self.inputs}
            outputs = self._predictor.run(zeros)
            # items can be told apart where all that goes in and comes out has the batch axis
            batches = {*(i.shape[:1] for i in self.inputs), *(o.shape[:1] for o in outputs)}
            self.whole = batches != {(self.size,)}
            self._check(outputs)
            self._rehearse(outputs)

    def _check(self, outputs: Sequence[Any]) -> None:
        classes = int(np.prod(outputs[0].shape[1:]))
        if self.labels is not None and len(self.labels) != classes:
            raise ModelError(_unlabelled(len(self.labels), outputs[0].shape[1:]))

    def _rehearse(self, outputs: Sequence[Any]) -> None:
        """Answer a request, so that what that takes is taken, and seen, at the load."""
        try:
            feed = codecs.parse(SAMPLE, "image/jpeg", self.inputs)
            codecs.answer(outputs, feed, codecs.JSON, self.labels, self.meaning)
        except codecs.PayloadError:
            pass  # it takes no pictures, or answers zeros with NaN

    def rest(self) -> None:
        """Give back what is only needed while it computes."""
        self._predictor.rest()
        memory.give_back()
        memory.confine(memory.free())

    def parse(self, body: bytes, content_type: str | None) -> codecs.Feed:
        """Read one request; raises PayloadError."""
        feed = _parsed(body, content_type, self.inputs)
        if not self.whole:
            return feed
        if feed.items != self.size:
            raise codecs.PayloadError(
                f"the answer of this model is one for the whole batch: send {self.size} items, "
                f"not {feed.items}"
            )
        return replace(feed, batched=True)  # the outputs are answered as they are

    def predict(self, feed: codecs.Feed) -> list[Any]:
        """Run all items of a request, as many at once as the shapes file says."""
        if self.whole:
            return self._predictor.run(feed.arrays)
        parts = []
        for start in range(0, feed.items, self.size):
            count = min(self.size, feed.items - start)
            chunk = {n: self._filled(a[start : start + count]) for n, a in feed.arrays.items()}
            parts.append([output[:count] for output in self._predictor.run(chunk)])
        return [np.concatenate(outputs) for outputs in zip(*parts)]  # noqa: B905 - Python 3.8

    def _filled(self, array: Any) -> Any:
        lacking = self.size - len(array)
        if not lacking:
            return array
        return np.concatenate([array, np.zeros((lacking, *array.shape[1:]), array.dtype)])


def _unlabelled(lines: int, shape: Sequence[int]) -> str:
    """Say why so many labels are none of an output of that shape (of one item)."""
    if sum(size > 1 for size in shape) < 2:
        return f"synset.txt has {lines} lines, the network answers {math.prod(shape)} classes"
    return (
        f"synset.txt has {lines} lines, the network answers {' x '.join(map(str, shape))} numbers "
        "(boxes, maps or steps), not one for each class: leave synset.txt out"
    )


_LAST_WORDS_SECONDS = 0.2
_LEAVE_SECONDS = 0.5


class _Quiet(logging.Filter):
    """Drop the worker's tracebacks of a planned unload, and of a failed load told already."""

    def filter(self, record: logging.LogRecord) -> bool:
        failure = record.exc_info[1] if record.exc_info else None
        if isinstance(failure, (ModelError, EngineError)):
            return False
        return "Frontend disconnected" not in f"{record.msg} {failure}"


logging.getLogger().addFilter(_Quiet())
_loaded: Model | None = None


def rest() -> None:
    """Keep what all workers of the model can share; each computes in memory of its own."""
    if _loaded is not None:
        _loaded.rest()


_idle = Idle(idle.seconds(os.environ), rest)


def handle(data: Sequence[Mapping[str, Any]] | None, context: Any) -> list[bytes] | None:
    """Load the model (`data` is None) or answer a batch of requests, one body for each."""
    with _idle.busy():
        return _handle(data, context)


def _handle(data: Sequence[Mapping[str, Any]] | None, context: Any) -> list[bytes] | None:
    global _loaded  # a worker process serves one model for its whole life
    if data is None:
        folder = Path(context.system_properties["model_dir"])
        try:
            _loaded = load(folder)
        except (MemoryError, ModelError, EngineError) as error:
            _tell("cannot load %s: %s", folder, str(error) or type(error).__name__)
            if isinstance(error, MemoryError):
                _leave_soon()
            raise
        return None
    if _loaded is None:
        raise RuntimeError("a request came before the model was loaded")
    return [_within_room(_loaded, request, index, context) for index, request in enumerate(data)]


def _within_room(model: Model, request: Mapping[str, Any], index: int, context: Any) -> bytes:
    """Answer a request; what there was no room for is tried again with the room there is now.

    The limit was set when memory may have been short; others have left it since, perhaps because
    this very request was answered with 507 before.
    """
    try:
        return respond(model, request, index, context)
    except MemoryError:
        memory.confine(memory.free())
        return respond(model, request, index, context)


def _tell(text: str, *arguments: object) -> None:
    """Log the last words of a worker.

    The server stops reading a worker's output as soon as it ends, and loses what is still in
    the pipe; without the pause one failure in three says only "Worker died.".
    """
    log.error(text, *arguments)
    sys.stdout.flush()
    time.sleep(_LAST_WORDS_SECONDS)


def _leave_soon() -> None:
    """End this process by a signal, a moment after the server was told of 507.

    Multi Model Server's own worker (MMECTL_WARM_WORKERS=0) then opens two FIFOs that the server
    has closed by then, two times in five, and waits for a reader for ever, with all the memory
    that it holds.
    """
    _idle.leave(_LEAVE_SECONDS)


def _told_of_a_signal(cause: str) -> None:
    _tell("EngineError: %s ended the process after the load", cause)


def load(folder: Path) -> Model:
    """Load a model; raises MemoryError, ModelError or EngineError."""
    started = time.perf_counter()

    def last_words(cause: str) -> None:
        _tell("cannot load %s: %s", folder, culprit.describe(cause, folder))

    try:
        with memory.expendable(), culprit.watched(last_words):
            model = Model(folder)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError(str(error)) from None
        raise
    culprit.arm(_told_of_a_signal)
    model.took = f"loaded {model.name} from {folder} in {time.perf_counter() - started:.3f} s"
    return model


def told() -> None:
    """Log what the load took, once there is time: counting memory takes some ms."""
    own = memory.own()
    if _loaded is not None:
        log.info("%s, %s MB of its own", _loaded.took, "?" if own is None else own // memory.MIB)


setattr(handle, "told", told)  # noqa: B010 - for worker.py, which knows no handler


def respond(model: Model, request: Mapping[str, Any], index: int, context: Any) -> bytes:
    """Answer one request of a batch; the client's mistakes become its status and body."""
    try:
        headers = _headers(index, context)
        if WARM in str(headers.get(ATTRIBUTES.lower(), "")):
            return _told(model, {"model": model.name}, index, context)
        default = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", codecs.JSON)
        kind = codecs.accepted(headers.get("accept"), default)
        body, content_type = _body(request, headers)
        feed = model.parse(body, content_type)
        result = codecs.answer(model.predict(feed), feed, kind, model.labels, model.meaning)
    except codecs.PayloadError as error:
        context.set_response_status(error.status, "", index)
        context.set_response_content_type(index, codecs.JSON)
        name = _TYPES.get(error.status, "InternalServerException")
        return json.dumps({"code": error.status, "type": name, "message": error.message}).encode()
    _say_temperature(model, index, context)
    context.set_response_content_type(index, kind)
    return result


def _parsed(body: bytes, content_type: str | None, inputs: Sequence[Input]) -> codecs.Feed:
    """Read a payload; where there is no room for that, no other model is unloaded for it."""
    try:
        return codecs.parse(body, content_type, inputs)
    except MemoryError:
        memory.confine(memory.free())
    try:
        return codecs.parse(body, content_type, inputs)
    except MemoryError:
        raise codecs.PayloadError(
            "there is no memory to read the payload: send a smaller one"
        ) from None


def _told(model: Model, value: Mapping[str, Any], index: int, context: Any) -> bytes:
    _say_temperature(model, index, context)
    context.set_response_content_type(index, codecs.JSON)
    return json.dumps(value).encode()


def _say_temperature(model: Model, index: int, context: Any) -> None:
    first = model.cold.first()
    context.set_response_header(index, ATTRIBUTES, f"mmectl-cold={str(first).lower()}")
    if first:
        memory.give_back()


def _headers(index: int, context: Any) -> dict[str, Any]:
    """Collect the headers by lower-case name; those of a form's parts stand as mappings."""
    return {name.lower(): value for name, value in context.get_all_request_header(index).items()}


def _body(request: Mapping[str, Any], headers: Mapping[str, Any]) -> tuple[bytes, str | None]:
    """Take the payload of a request, and its content type.

    The server calls a plain body "body" and gives its type as that part's; a multipart form
    sends parts by name, of which one is taken. A urlencoded form (curl's default type)
    arrives as nothing at all.
    """
    parts = {name: value for name, value in request.items() if value}
    if len(parts) > 1:
        raise codecs.PayloadError(f"send one part, not {len(parts)}: {', '.join(sorted(parts))}")
    if not parts:
        raise codecs.PayloadError(
            "the request has no body: send it with its own Content-Type, not as a form"
        )
    name, value = next(iter(parts.items()))
    part = headers.get(name.lower())
    content_type = part.get("content-type") if isinstance(part, Mapping) else None
    if isinstance(content_type, bytes):
        content_type = content_type.decode("latin-1")
    return (value.encode() if isinstance(value, str) else bytes(value)), content_type

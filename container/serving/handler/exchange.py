"""How requests to a model are read, computed and answered: one exchange for each kind of model."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Any, TypeVar

from runtimes.base import RawModel
from runtimes.values import RequestError

from serving.workers import memory

Read = TypeVar("Read")


class Exchange:
    """Answers requests to one model."""

    def warm_up(self) -> None:
        """Answer a request of zeros: what that takes is taken, and seen, at the load.

        Raises ModelError, EngineError, MemoryError.
        """
        raise NotImplementedError

    def respond(
        self, body: bytes, content_type: str | None, accept: str | None, context: Any
    ) -> tuple[str, bytes]:
        """Answer one request: content type and body; raises RequestError, MemoryError."""
        raise NotImplementedError


class Once:
    """What happened or not, to whichever of the processes that were forked since."""

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)

    def __bool__(self) -> bool:
        """Whether it has happened."""
        return self._byte[0] == 1

    def first(self) -> bool:
        """Say that it happens; whether that is the first time."""
        first, self._byte[0] = not self, 1
        return first


class Raw(Exchange):
    """A model that does all of it by itself."""

    def __init__(self, model: RawModel) -> None:
        self._model = model

    def warm_up(self) -> None:
        """Let the model get ready."""
        self._model.warm_up()

    def respond(
        self, body: bytes, content_type: str | None, accept: str | None, context: Any
    ) -> tuple[str, bytes]:
        """Hand the request on."""
        return self._model.respond(body, content_type, accept, context)


def within_room(read: Callable[[], Read]) -> Read:
    """Read a payload; where there is no room for that, no other model is unloaded for it.

    The limit was set when memory may have been short: it is tried again with what is left now.
    """
    try:
        return read()
    except MemoryError:
        memory.confine(memory.free())
    try:
        return read()
    except MemoryError:
        raise RequestError("not enough memory to read the payload: send a smaller one") from None

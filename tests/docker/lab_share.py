"""One engine for the workers of a run: the first one starts a lab, whose engine the others use.

A lab's start takes 10 seconds, and the image of container/ a minute where an engine has no layer of
it. The worker that has the lab waits in the end until no other uses the engine.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from lab import Engine, Lab

from mmectl.base.files import locked, write_json


class Engines:
    """The lab of this worker, or the engine of another's; `folder` is that of the whole run.

    Both end with the `stack`. Each method raises Unavailable.
    """

    def __init__(self, root: Path, folder: Path, stack: ExitStack) -> None:
        self._root, self._folder, self._stack = root, folder, stack
        self._lab: Lab | None = None
        self._engine: Engine | None = None

    def lab(self) -> Lab:
        """A lab of this worker's own."""
        if self._lab is None:
            with locked(self._folder / "engine.lock"):
                self._lab = self._started()
        return self._lab

    def engine(self) -> Engine:
        """The engine of whichever lab there is."""
        if self._engine is None:
            with locked(self._folder / "engine.lock"):
                self._engine = self._lab or self._taken()
                if self._engine is None:
                    self._engine = self._lab = self._started()
        return self._engine

    def _started(self) -> Lab:
        lab = self._stack.enter_context(Lab(self._root))
        self._stack.enter_context(offered(lab, self._folder))
        return lab

    def _taken(self) -> Engine | None:
        told = self._folder / "engine.json"
        if not told.exists():
            return None
        self._stack.enter_context(held(self._folder, fcntl.LOCK_SH))
        return Engine(**json.loads(told.read_text()))


@contextlib.contextmanager
def offered(engine: Engine, folder: Path) -> Iterator[None]:
    """Let other workers use the engine; in the end, wait for them."""
    told = folder / "engine.json"
    write_json(told, {"name": engine.name, "environment": engine.environment})
    try:
        yield
    finally:
        with locked(folder / "engine.lock"):
            told.unlink(missing_ok=True)
        with held(folder, fcntl.LOCK_EX):
            pass


@contextlib.contextmanager
def held(folder: Path, operation: int) -> Iterator[None]:
    """Hold the lock of those that use the engine."""
    descriptor = os.open(folder / "engine.users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, operation)
        yield
    finally:
        os.close(descriptor)

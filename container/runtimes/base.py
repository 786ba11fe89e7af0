"""The seam between serving and a framework: what each runtime provides.

A runtime is a package beside this file with a module `runtime` that has a `RUNTIME`; registry.py
finds it by that. Its module imports nothing of its framework until `preload` or `load` is called:
the entrypoint reads it as well.

A model is one of three kinds, which says how it is asked: with tensors (`TensorModel`), with a
table (`TableModel`), or in words of its own (`RawModel`). serving/handler has the rest for each
kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from runtimes import process, signals
from runtimes.tables import Dialect, Features, Table
from runtimes.values import Input, Likelihood, ModelError


class Model:
    """A loaded model; its runtime makes one of the three kinds below."""

    name: str
    refuses_values: bool = False
    """Whether it may fail with values that it does not know, of which zeros may be some."""

    def release(self) -> bool:
        """Give back memory that only computing needs; the next run takes it again.

        Returns whether there is more to give back in a while.
        """
        return False


class TensorModel(Model):
    """A model asked with tensors by name, or with a picture; `batch` items are computed at once.

    `batch` None: any number of items at once; the inputs' shapes then begin with 1. `labels` name
    the first output's classes; `likelihood` says how its numbers become probabilities.
    """

    inputs: Sequence[Input]
    labels: Sequence[str] | None = None
    batch: int | None
    likelihood: Likelihood = Likelihood.SCORE
    apart: bool | None = None
    """Whether each item of a batch has an answer of its own; None: its first outputs show it."""

    def run(self, feed: Mapping[str, Any], threads: int) -> list[Any]:
        """Compute: by input name an array of its shape in, one array an output."""
        raise NotImplementedError

    def check(self, outputs: Sequence[Any]) -> None:
        """Compare the number of labels with that of classes; raises ModelError."""
        if self.labels is None:
            return
        lines, classes = len(self.labels), math.prod(outputs[0].shape[1:])
        if lines != classes:
            raise ModelError(f"synset.txt has {lines} lines, the model answers {classes} classes")


class TableModel(Model):
    """A model asked with the rows of a table (CSV, JSON, NPY, ...), answered in a `dialect`.

    `outputs` name what it answers for a row, where CSV is asked for with a header.
    """

    features: Features
    dialect: Dialect = Dialect.OWN
    outputs: Sequence[str] | None = None

    def predict(self, table: Table, threads: int) -> Any:
        """Answer each row: an array of (rows,) or (rows, outputs), or several of them by name.

        Raises RequestError for rows that the model cannot take.
        """
        raise NotImplementedError


class RawModel(Model):
    """A model that reads requests and writes answers itself: a user's own handler."""

    def respond(
        self, body: bytes, content_type: str | None, accept: str | None, context: Any
    ) -> tuple[str, bytes]:
        """Answer one request: content type and body. `context` is Multi Model Server's.

        Raises RequestError with the status that the client is to see.
        """
        raise NotImplementedError

    def warm_up(self) -> None:
        """Do once, at the load, what the first request would else wait for."""


class Runtime:
    """One framework. All but the constants may raise MemoryError, EngineError and ModelError."""

    name: ClassVar[str]
    title: ClassVar[str]
    """Its name as its makers write it."""
    files: ClassVar[Sequence[str]]
    """What the well-known files of a model are called, as patterns of fnmatch."""
    template_files: ClassVar[Sequence[str]] = ()
    """Endings of the files that models with a common template have the same; none: no template."""
    environment: ClassVar[Mapping[str, str]] = {}
    """Variables of all workers, where the container's environment does not set them."""
    noise: ClassVar[Sequence[str]] = ()
    """Words of the framework's own log lines that tell a user nothing."""
    data_alone: ClassVar[bool] = False
    """Whether there are models that are data alone and may be served beside others' (shareable)."""
    claims: ClassVar[bool] = False
    """Whether a folder that it detects is for it, whatever other framework's files are in it."""
    fork_after_load: ClassVar[bool] = False
    """Whether a process with a loaded model may fork replicas."""

    in_large_blocks: ClassVar[bool] = False
    """Whether a load takes large blocks of memory and gives back whole ones (large_pages.py)."""

    def installed(self) -> bool:
        """Whether the framework is there; must not import it."""
        raise NotImplementedError

    def detect(self, folder: Path) -> bool:
        """Whether a model folder is for this framework; by names or content, executing nothing."""
        raise NotImplementedError

    def shareable(self, folder: Path) -> bool:
        """Whether a model, being data alone, may be served in a process with models of others."""
        del folder
        return False

    def preload(self) -> None:
        """Make, before any fork, what every worker needs of the framework."""

    def samples(self, folder: Path) -> Sequence[Path]:
        """Write small models into folders of their own below `folder`, once it is preloaded.

        A process that is to load a model soon loads these first; none where that is no gain.
        """
        del folder
        return ()

    def sample(self, folder: Path, name: str, content: bytes) -> Path:
        """Write a model of one file, `name`, into a folder of its own below `folder`."""
        made = folder / f"{self.name}-{name}"
        made.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(content)
        return made

    def model_name(self, folder: Path) -> str:
        """Name the model in a folder for people."""
        return folder.name

    def footprint(self, folder: Path) -> int:
        """Estimate the bytes that a worker takes to load the model, without what is preloaded."""
        raise NotImplementedError

    def prepare_template(self, folder: Path, threads: Sequence[int]) -> None:
        """Make what all models with the same template files need, for each number of threads.

        The first number is the largest.
        """

    def load(self, folder: Path, threads: int) -> Model:
        """Load the model, to be computed with at most so many threads."""
        raise NotImplementedError

    def guarded(
        self, folder: Path, last_words: Callable[[str], None]
    ) -> AbstractContextManager[None]:
        """Call `last_words` where the framework ends the process while the folder is loaded."""
        return signals.watched(lambda cause: last_words(self.blame(cause, folder)))

    def blame(self, cause: str, folder: Path) -> str:
        """Say what ended the process with that signal while the folder was loaded."""
        del folder
        what = f"{self.title} ended the process with {cause} while it loaded the model"
        return f"{what}: its file is damaged"

    def watch(self, last_words: Callable[[str], None]) -> None:
        """Call `last_words` where a signal ends this process, or a fork, after the load."""
        signals.arm(last_words)

    def use_threads(self, number: int) -> None:
        """Compute with so many threads from now on; by OpenMP, as most frameworks do."""
        process.use_threads(number)

    def quiesce(self) -> bool:
        """End the framework's threads; whether this process has one thread and may fork now."""
        process.pause_threads()
        return process.alone()

    def resize(self, pixels: Any, height: int, width: int) -> Any | None:
        """Resize uint8 (h, w, c) bit for bit as OpenCV's INTER_LINEAR; None: have others do it."""
        del pixels, height, width
        return None

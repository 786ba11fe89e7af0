"""A user's own handler as a runtime: a process for each model, as it runs code."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

from runtimes import base, process
from runtimes.custom import holdings
from runtimes.values import ModelError

log = logging.getLogger("handler")
BUILT = Path(__file__).resolve().with_name("handler")  # of image.handler
WORKER_BYTES = 64 * 2**20
TRY_SECONDS = 60
_FORKABLE, _THREADS, _FAILED, _OPEN = 0, 3, 4, 5  # exit codes of a try


class Custom(base.Runtime):
    """A script with model_fn, or with handle(data, context)."""

    name, title = "custom", "your own handler"
    files = ("inference.py", "code/inference.py")
    claims = True
    fork_after_load = True

    def __init__(self) -> None:
        self._before: holdings.Open | None = None  # what was open when a model was loaded
        self._said = False

    def installed(self) -> bool:
        """It needs nothing but Python."""
        return True

    def detect(self, folder: Path) -> bool:
        """Whether the folder has a script, or the image one for all."""
        from runtimes.custom import model_files

        if model_files.own(folder) is not None:
            return True
        return BUILT.is_dir() or bool(os.environ.get(model_files.FOLDER))

    def preload(self) -> None:
        """Import the script for all models, where what it does then can be forked."""
        from runtimes.custom import model_files, script

        try:
            path = model_files.common(os.environ, BUILT)
        except ModelError as error:
            log.warning("%s", error)
            return
        if path is None:
            return
        outcomes = {
            _FORKABLE: "",
            _THREADS: "it starts a thread",
            _OPEN: "it keeps a file or a connection open",
            _FAILED: "it fails",
            -signal.SIGALRM: f"it is not done after {TRY_SECONDS} s",
        }
        if why := outcomes.get(_tried(path), "it ends the process"):
            log.warning("%s is imported by each model's worker: %s", path.name, why)
            return
        module = script.imported(path)
        if hasattr(module, "preload"):
            module.preload()

    def footprint(self, folder: Path) -> int:
        """Twice its files, and room for what the script imports."""
        sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return WORKER_BYTES + 2 * sum(sizes)

    def load(self, folder: Path, threads: int) -> base.RawModel:
        """Import the script, in the model's folder, and let it load."""
        from runtimes.custom import model_files, script

        del threads
        found = model_files.find(folder, os.environ, BUILT)
        if found.path.read_bytes() == model_files.SAMPLE:  # a new image: its handler counts, too
            built = model_files.common(os.environ, BUILT)
            if built is not None:
                script.require_entry(script.imported(built))
        os.chdir(found.top)
        self.begin()
        return script.model_of(found.path, found.top, script.context_of(found.top))

    def begin(self) -> None:
        """Remember what is open: the rest will be the script's."""
        self._before, self._said = holdings.opened(), False

    def quiesce(self) -> bool:
        """Whether this process may fork now: one thread, and nothing that the script keeps open."""
        new = frozenset() if self._before is None else holdings.opened() - self._before
        if new and not self._said:
            log.info("no second process for this model: its script keeps %s", holdings.told(new))
            self._said = True
        return not new and super().quiesce()


def _tried(path: Path) -> int:
    """What comes of importing the script in a process of its own: an exit code, else a signal."""
    child = os.fork()
    if child == 0:
        code = _FAILED
        try:
            code = _outcome(path)
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def _outcome(path: Path) -> int:
    """Import it and let it get ready; what it prints will be printed by the real import."""
    from runtimes.custom import script

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(TRY_SECONDS)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    before = holdings.opened()
    module = script.imported(path)
    if hasattr(module, "preload"):
        module.preload()
    sys.stdout.flush()
    if holdings.opened() - before:
        return _OPEN
    process.pause_threads()
    return _FORKABLE if process.alone() else _THREADS


RUNTIME = Custom()

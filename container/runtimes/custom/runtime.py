"""A user's own handler as a runtime: a process for each model, as it runs code."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

from runtimes import base, process
from runtimes.values import ModelError

log = logging.getLogger("handler")
WORKER_BYTES = 64 * 2**20
TRY_SECONDS = 60
_THREADS, _FAILED = 3, 4  # exit codes of a try


class Custom(base.Runtime):
    """A script with model_fn, or with handle(data, context)."""

    name, title = "custom", "your own handler"
    files = ("inference.py", "code/inference.py")
    claims = True

    def installed(self) -> bool:
        """It needs nothing but Python."""
        return True

    def detect(self, folder: Path) -> bool:
        """Whether the folder has a script, or the image one for all."""
        from runtimes.custom import model_files

        return model_files.own(folder) is not None or bool(os.environ.get(model_files.FOLDER))

    def preload(self) -> None:
        """Import the script for all models, where that neither fails nor starts a thread."""
        from runtimes.custom import model_files, script

        try:
            path = model_files.common(os.environ)
        except ModelError as error:
            log.warning("%s", error)
            return
        if path is None:
            return
        outcomes = {0: "", _THREADS: "it starts a thread", _FAILED: "it fails"}
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
        from runtimes.folders import inside

        del threads
        path = model_files.find(folder, os.environ)
        os.chdir(inside(folder))
        top = inside(folder)
        return script.model_of(path, top, script.context_of(top))


def _tried(path: Path) -> int:
    """What comes of importing the script in a process of its own: an exit code, else a signal."""
    from runtimes.custom import script

    child = os.fork()
    if child == 0:
        code = _FAILED
        try:
            signal.alarm(TRY_SECONDS)
            module = script.imported(path)
            if hasattr(module, "preload"):
                module.preload()
            process.pause_threads()
            code = 0 if process.alone() else _THREADS
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


RUNTIME = Custom()

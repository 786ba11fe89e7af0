"""Workers that start warm: what Multi Model Server runs instead of its own, and the fork server.

The server runs ``python <model_server_home>/mms/model_service_worker.py`` for each model. It is
given a home of ours in which that file is launcher.py; all else of the server is its own.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from serving.server import launches
from serving.server.config import forbids_execution
from serving.workers import launcher

ROOT = Path(__file__).resolve().parents[2]
WORKERS = ROOT / "serving" / "workers"
PREFORK = "serving.workers.prefork"
# A worker shows its own command line in the place of the fork server's
PADDING = 8192
_WORKER_SERVER = "mms/model_service_worker.py"
_SCRIPT = """import os, sys
if not sys.argv[1].endswith({worker_server!r}):  # the collector of metrics
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
sys.path.insert(0, {folder!r})
import launcher
launcher.main(sys.argv[1], sys.argv[2:])
"""
# What every Linux takes as a script's first line
_SHEBANG_BYTES = 127
# Deaths before it was ready, in a row, after which another start is no use
DEATHS = 5


def make_home(run_dir: Path, home: Path) -> Path:
    """Make the server's home with our launcher in it; the rest is linked to the real one."""
    ours = run_dir / "home"
    (ours / "mms").mkdir(parents=True, exist_ok=True)
    links = {
        _WORKER_SERVER: WORKERS / "launcher.py",
        "mms/frontend": home / "mms" / "frontend",
        "mms/metrics": home / "mms" / "metrics",
    }
    for name, target in links.items():
        link = ours / name
        if link.is_symlink():
            link.unlink()
        link.symlink_to(target)
    return ours


def interpreter(home: Path, launch: Path | None = None) -> str:
    """The Python for launchers, which need no packages: it starts in two thirds of the time.

    Multi Model Server takes the name of a program alone, so options take a script, which is given
    the worker server's name and arguments. Where no script can be run, Python itself does as well.
    `launch` is the pipe where a shell may ask for a launcher instead (launches.py).
    """
    first_line = f"#!{sys.executable} -IS\n"
    if forbids_execution(home) or len(first_line) > _SHEBANG_BYTES or " " in sys.executable:
        return sys.executable
    code = _SCRIPT.format(folder=str(WORKERS), worker_server=_WORKER_SERVER)
    python = _program(home / "python", first_line + code)
    odd = any(mark in f"{launch}{python}{sys.executable}" for mark in "'\"$`\\")
    if launch is None or odd or not os.access(launches.SHELL, os.X_OK):
        return python
    return _program(home / "shell", launches.script(launch, python, _WORKER_SERVER))


def _program(path: Path, text: str) -> str:
    path.write_text(text, "utf-8")
    path.chmod(0o700)
    return str(path)


class ForkServer:
    """The fork server's process, started again when it dies; see prefork.py.

    The listening socket stays ours, so that launchers wait in its queue meanwhile.
    """

    def __init__(
        self, folder: Path, environment: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        # a thread would not survive the fork; each worker sets the number that it is given
        path = [str(ROOT), environment.get("PYTHONPATH", "")]
        self._environment = {
            **environment,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
        }
        self._folder = folder
        self._say = say
        self._deaths = 0
        self._ready = -1
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(folder / launcher.SOCKET))
        self._listener.listen(128)
        self.pid = self._start()

    def _start(self) -> int:
        descriptor = self._listener.fileno()
        self._ready, writer = os.pipe()
        os.set_blocking(self._ready, False)
        started = subprocess.Popen(
            [sys.executable, "-m", PREFORK, str(descriptor), str(writer), "." * PADDING],
            env=self._environment,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            pass_fds=(descriptor, writer),
        )
        os.close(writer)
        return started.pid

    def _was_ready(self) -> bool:
        """Whether the last one had come as far as to fork."""
        try:
            return bool(os.read(self._ready, 1))
        except BlockingIOError:
            return False
        finally:
            os.close(self._ready)

    def replace(self, status: int, words: str) -> None:
        """Start it again after its death with that wait status, in words; or give it up."""
        ready = self._was_ready()
        self._deaths = 0 if ready else self._deaths + 1
        # one that ends by itself before it is ready would do so again
        if (os.WIFEXITED(status) and not ready) or self._deaths >= DEATHS:
            self._say(f"the fork server died ({words}): workers start cold from now on")
            with contextlib.suppress(FileNotFoundError):
                (self._folder / launcher.SOCKET).unlink()
            self._listener.close()
            self.pid = 0
            return
        self._say(f"the fork server died ({words}): starting another")
        self.pid = self._start()

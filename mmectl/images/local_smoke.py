"""Try an image before it is registered, as a server of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path

from mmectl.base.errors import BuildError
from mmectl.base.server_environment import server_environment
from mmectl.images import asking
from mmectl.images.asking import AskingError, Server, connected
from mmectl.images.local_env import ARCHIVE
from mmectl.images.trial import Trial

__all__ = ["connected", "free_port", "run"]
START_SECONDS = 60.0
# the server refuses ports from 32767 on
_PORTS = (20000, 32000)
_LAST_LINES = 15
_ERROR = re.compile(r"\w(?:Error|Exception): ")
_QUIET_SECONDS, _MOST_QUIET_SECONDS = 0.3, 3.0
_LONGEST = 50
_STOP_SECONDS = 90.0  # the first server of an environment archives Java's classes, in a second


def run(entrypoint: Sequence[str], variables: Mapping[str, str], trial: Trial) -> tuple[str, float]:
    """Start the server and try it; gives the steps in words, and the seconds they took.

    `variables` are the image's. Raises BuildError with the server's last lines.
    """
    started = time.monotonic()
    if trial.level != "ping":
        _import(entrypoint, variables)
    with tempfile.TemporaryDirectory(prefix="mmectl-", dir=short_folder()) as name:
        folder = Path(name)
        trial.stage(folder)
        asked = json.loads((folder / asking.ASKED).read_text("utf-8"))
        body = (folder / asking.BODY).read_bytes()
        with _server(entrypoint, variables, folder) as server:
            try:
                steps = server.attempt(asked, str(folder / asking.MODEL), body, START_SECONDS)
            except (OSError, HTTPException, AskingError) as error:
                said = _last_words(folder / "log")
                raise BuildError(
                    f"the image does not serve: {error}\n{said}", hint=trial.hint, code="smoke_test"
                ) from None
    return steps, time.monotonic() - started


def short_folder() -> str | None:
    """A folder for sockets, whose paths end at 107 bytes: None is the usual one."""
    return None if len(os.fsencode(tempfile.gettempdir())) <= _LONGEST else "/tmp"  # noqa: S108


_IMPORT = """
import sys
sys.path.insert(0, sys.argv[1])
import model_handler
"""
# then what the server makes before any fork, for its own sake: whether that works is seen by trying
_PRELOAD = """
try:
    from runtimes import registry
    for one in registry.installed():
        one.preload()
except Exception:
    pass
"""


def _import(entrypoint: Sequence[str], variables: Mapping[str, str]) -> None:
    """Import the handler by itself: what a dying worker says does not always reach the log.

    And its frameworks, which a new environment has to read and compile first: on a busy machine
    that takes longer than the server waits for its fork server. Once one has served, its classes
    are archived.
    """
    python, *_, script = entrypoint
    new = not any(Path(variables.get(ARCHIVE, os.devnull)).glob("*.jsa"))
    done = subprocess.run(
        [python, "-c", _IMPORT + _PRELOAD * new, str(Path(script).parent)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",  # -c puts the working directory on the path
        env=server_environment(os.environ, variables, {"OMP_NUM_THREADS": "1"}),
    )
    if done.returncode != 0:
        lines = "\n".join(done.stderr.splitlines()[-_LAST_LINES:])
        raise BuildError(
            f"the handler cannot be imported:\n{lines}",
            hint="fix model_handler.py and build again",
            code="handler_import",
        )


@contextlib.contextmanager
def _server(
    entrypoint: Sequence[str], variables: Mapping[str, str], folder: Path
) -> Iterator[Server]:
    """Run the entrypoint in a group of its own; it ends with us, whatever happens."""
    front = folder / "front"
    front.mkdir(mode=0o700)
    listens = front / "http.sock"
    lifeline, ours = os.pipe()
    (folder / "run").mkdir(mode=0o700)
    own = {
        "SAGEMAKER_MULTI_MODEL": "true",
        "SAGEMAKER_BASE_DIR": str(folder),
        "MMECTL_BIND_ADDRESS": f"unix:{listens}",
        "MMECTL_RUN_DIR": str(folder / "run"),
        "MMECTL_LIFELINE_FD": str(lifeline),
        "MMECTL_CLASS_ARCHIVING": "1",
    }
    try:
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*entrypoint, "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder / "run",
                env=server_environment(os.environ, variables, own),
                pass_fds=(lifeline,),
                start_new_session=True,
            )
        try:
            yield Server(listens, lambda: _ended(process))
        finally:
            _stop(process)
    finally:
        os.close(lifeline)
        os.close(ours)


def _ended(process: subprocess.Popen[bytes]) -> str | None:
    code = process.poll()
    return None if code is None else f"the server ended with code {code}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    """Find a free port that the server takes, on 127.0.0.1."""
    for port in random.SystemRandom().sample(range(*_PORTS), 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise BuildError(f"no free port between {_PORTS[0]} and {_PORTS[1]}", code="no_port")


def _last_words(log: Path) -> str:
    """The last lines once no more come, with the last error that they tell of before them.

    What a worker said on its way out passes through another process, after the server's answer.
    """
    seen, deadline = -1, time.monotonic() + _MOST_QUIET_SECONDS
    while (size := log.stat().st_size) != seen and time.monotonic() < deadline:
        seen = size
        time.sleep(_QUIET_SECONDS)
    lines = log.read_text("utf-8", "replace").splitlines()
    last = lines[-_LAST_LINES:]
    told = [line for line in lines if _ERROR.search(line)][-1:]
    return "\n".join([line for line in told if line not in last] + last)

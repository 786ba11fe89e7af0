"""Start the platform's processes in the background, and wait until they serve."""

from __future__ import annotations

import json
import os
import select
import shlex
import subprocess
import sys
import time
from pathlib import Path

from mmectl.base.errors import PlatformError
from mmectl.base.files import other_owner
from mmectl.local import processes, record
from mmectl.local.record import Record
from mmectl.local.server import log_file, supervisor

LAUNCH = supervisor.STARTER + (
    "from mmectl.local.server.supervisor import main; sys.exit(main(sys.argv[1:]))"
)
ROOT = str(Path(__file__).resolve().parents[3])


def log_path(state_dir: Path) -> Path:
    """What supervisor and server write."""
    return state_dir / "local" / "platform.log"


def launch(state_dir: Path, known: Record, timeout: float, *, strict: bool) -> None:
    """Start supervisor and server, and wait until they serve.

    With `strict` they serve at the port of `known` or not at all. Raises PlatformError, with
    processes that may be left.
    """
    reading, writing = os.pipe()
    try:
        try:
            record.write(state_dir, known)
            _spawn(state_dir, writing, strict=strict)
        except OSError as error:
            raise unusable(state_dir, error) from None
        finally:
            os.close(writing)
        _await_ready(state_dir, reading, timeout)
    finally:
        os.close(reading)


def _spawn(state_dir: Path, writing: int, *, strict: bool) -> None:
    log = log_path(state_dir)
    if log.exists() and log.stat().st_size > log_file.MAX_LOG:
        log.replace(log_file.aside(log))
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        subprocess.run(
            [
                sys.executable,
                "-I",
                "-S",
                "-c",
                LAUNCH.format(root=ROOT),
                str(state_dir),
                ROOT,
                str(writing),
                *(["strict"] if strict else []),
            ],
            cwd="/",
            env={**os.environ, processes.SUPERVISOR_MARK: str(state_dir)},
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            pass_fds=[writing],
            start_new_session=True,
            check=False,
        )
    finally:
        os.close(handle)


def _await_ready(state_dir: Path, reading: int, timeout: float) -> None:
    """Wait for the server's line; raises PlatformError with its reason or the log's end.

    Where the server names the kind of its failure, the error's code is that.
    """
    deadline = time.monotonic() + timeout
    line = b""
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reading], [], [], left)[0]:
            raise not_answering(state_dir, f"no answer within {timeout:g} s")
        piece = os.read(reading, 4096)
        if not piece:
            raise not_answering(state_dir, "it ended: " + last_lines(log_path(state_dir)))
        line += piece
    answer = json.loads(line.splitlines()[0])
    if "error" in answer:
        error = PlatformError(
            f"the local platform could not be started: {answer['error']}",
            hint=answer.get("hint") or f"its log: {log_path(state_dir)}",
            code="platform_not_started",
        )
        error.code = answer.get("code") or error.code
        raise error


def last_lines(path: Path, count: int = 5) -> str:
    """The end of a log, in one line."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 8192))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return " | ".join(line.strip() for line in lines[-count:])


def unusable(state_dir: Path, error: OSError) -> PlatformError:
    """Say that its folder cannot be read or written, and whose it is where that is why."""
    owner = other_owner(state_dir)
    hint = "make the folder writable, free some space, or set local.state_dir"
    if owner is not None and isinstance(error, PermissionError):
        mine = f"sudo chown -R {os.getuid()}:{os.getgid()} {shlex.quote(str(state_dir))}"
        hint = f"it belongs to {owner}: {mine}, or set local.state_dir"
    return PlatformError(
        f"the local platform cannot keep its state in {state_dir}: {error.strerror or error}",
        hint=hint,
        code="platform_state",
    )


def not_answering(state_dir: Path, why: str) -> PlatformError:
    """Say that it does not answer, and where its log is."""
    return PlatformError(
        f"the local platform does not answer: {why}",
        hint=f"its log: {log_path(state_dir)}",
        code="platform_no_answer",
    )

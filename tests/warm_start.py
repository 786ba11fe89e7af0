"""Commands that start with their imports done: each is a fork of one Python that did them.

Most of a second of processor goes into the imports of `mmectl` or `aws` and into what botocore
knows of services, and the tests of stories run hundreds of commands. All else is as with
`subprocess.run`: a process for each command, with its own pipes, folder, environment and exit code.
Starts are tested where they are real (tests/functional, tests/platform/test_installed.py).
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

_COMMANDS = ("build", "deploy", "destroy", "invoke", "local", "logs", "metrics", "status", "upload")
MODULES = {  # by the name of the program
    "aws": ("awscli.clidriver",),
    "mmectl": (
        *("mmectl.cli", "mmectl.app", "mmectl.console.output", "mmectl.local.client.platform"),
        *(f"mmectl.commands.{name}" for name in (*_COMMANDS, "models.change", "models.check")),
        *("mmectl.commands.models.group", "mmectl.commands.models.listing", "boto3", "docker"),
        *("boto3.s3.transfer", "yaml", "mmectl.planning.removal", "mmectl.frameworks.detect"),
        *("mmectl.aws.session", "mmectl.aws.sagemaker", "mmectl.aws.s3", "mmectl.aws.multipart"),
        *("mmectl.serving_image", "mmectl.images.local_build", "mmectl.images.forward"),
    ),
}
SERVICES = (  # of AWS that commands ask
    *("sagemaker", "sagemaker-runtime", "s3", "sts", "iam", "ecr", "cloudwatch", "logs"),
    *("application-autoscaling",),
)
MOST = 1 << 17  # bytes of a request: a folder, words and an environment
CHUNK = 1 << 16
READY = b"ready"


def run(
    *command: str | Path,
    cwd: Path,
    env: Mapping[str, str],
    input: bytes | None = None,  # noqa: A002 - as subprocess.run
    timeout: float = 600,
    quiet: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """As ``subprocess.run(command, capture_output=True)`` of a program of MODULES.

    `quiet`: as with ``python -W ignore``. Raises TimeoutExpired, and has killed the command then.
    """
    words = [str(word) for word in command]
    if _read_at_start(env) != _read_at_start(os.environ):
        words[:0] = [sys.executable, "-W", "ignore"] if quiet else [sys.executable]
        return subprocess.run(
            words, cwd=cwd, env=env, input=input, timeout=timeout, capture_output=True, check=False
        )
    request = {"command": words, "cwd": str(cwd), "env": dict(env), "quiet": quiet}
    pipes = [os.pipe() for _ in range(4)]  # stdin, stdout, stderr, and the outcome
    theirs = [pipes[0][0], *(writer for _, writer in pipes[1:])]
    try:
        socket.send_fds(template(Path(words[0]).name), [json.dumps(request).encode()], theirs)
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    readers = [reader for reader, _ in pipes[1:]]
    try:
        out, err, outcome = _exchanged(pipes[0][1], input or b"", readers, timeout)
    except TimeoutError:
        raise subprocess.TimeoutExpired(words, timeout) from None
    return subprocess.CompletedProcess(words, int(outcome.split()[1]), out, err)


def _read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that Python itself reads, before it imports anything."""
    return {n: env[n] for n in env if n.startswith(("PYTHON", "LC_", "LANG", "TZ", "LD_"))}


@functools.cache
def template(program: str) -> socket.socket:
    """The way to the Python that is forked for a program; it ends with us."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MOST)
    with its:
        process = subprocess.Popen(
            [sys.executable, __file__, program, str(its.fileno())],
            pass_fds=(its.fileno(),),
            stdin=subprocess.PIPE,  # pipes, as commands have them: streams look at what they are
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    if ours.recv(len(READY)) != READY:  # its imports are nobody's time
        raise RuntimeError(process.communicate()[1].decode())

    def end() -> None:
        ours.close()
        process.communicate()

    atexit.register(end)
    return ours


def _exchanged(writer: int, data: bytes, readers: list[int], timeout: float) -> list[bytes]:
    """Write `data`, and read all until its end; raises TimeoutError."""
    deadline = time.monotonic() + timeout
    said: dict[int, bytes] = dict.fromkeys(readers, b"")
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        files = {number: stack.enter_context(os.fdopen(number, "rb", 0)) for number in readers}
        stdin = stack.enter_context(os.fdopen(writer, "wb", 0))
        os.set_blocking(writer, False)
        for file in files.values():
            selector.register(file, selectors.EVENT_READ)
        selector.register(stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            for key, _ in selector.select(max(0, deadline - time.monotonic())):
                if key.fileobj is stdin:
                    data = _written(writer, data)
                    if not data:
                        selector.unregister(stdin)
                        stdin.close()
                elif chunk := os.read(key.fd, CHUNK):
                    said[key.fd] += chunk
                else:
                    selector.unregister(key.fileobj)
            if time.monotonic() > deadline:
                os.kill(int(said[readers[-1]].split()[0]), signal.SIGKILL)
                raise TimeoutError
    return [said[number] for number in readers]


def _written(writer: int, data: bytes) -> bytes:
    """What is left to write; nothing where nobody reads it."""
    try:
        return data[os.write(writer, data[:CHUNK]) :] if data else b""
    except BrokenPipeError:
        return b""


def serve(control: socket.socket) -> dict[str, Any]:
    """Fork for each request. Returns in the children, with what they are to run."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.set_blocking(reader, False)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, int] = {}  # process id -> where its outcome is told
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(reader, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not control:
                    with contextlib.suppress(BlockingIOError):
                        os.read(reader, CHUNK)
                    _tell_outcomes(running)
                    continue
                message, descriptors, _, _ = socket.recv_fds(control, MOST, 4)
                if not message:
                    sys.exit()
                if (pid := os.fork()) == 0:
                    break
                with contextlib.suppress(BrokenPipeError):
                    os.write(descriptors[3], b"%d " % pid)
                running[pid] = descriptors.pop()
                for descriptor in descriptors:
                    os.close(descriptor)
            else:
                continue
            break
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for target, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, target)
    for descriptor in (reader, writer, control.detach(), *descriptors, *running.values()):
        os.close(descriptor)
    request: dict[str, Any] = json.loads(message)
    return request


def _tell_outcomes(running: dict[int, int]) -> None:
    """Write down how the processes ended that have."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            told = running.pop(pid)
            with contextlib.suppress(BrokenPipeError), os.fdopen(told, "wb", 0) as file:
                file.write(b"%d" % os.waitstatus_to_exitcode(status))


def read_services() -> None:
    """Have read what botocore knows of SERVICES, for the sessions of all commands."""
    from botocore.loaders import Loader
    from botocore.session import Session
    from service_models import SharedModels

    Loader.FILE_LOADER_CLASS = SharedModels
    session = Session()
    for service in SERVICES:
        session.create_client(
            service,
            region_name="us-east-1",
            endpoint_url="http://127.0.0.1:9",
            aws_access_key_id="nobody",
            aws_secret_access_key="none",
        )


def main() -> NoReturn:
    """Import, wait for requests, and become what they ask for."""
    before = dict(os.environ)
    for name in MODULES[sys.argv[1]]:
        importlib.import_module(name)
    if sys.argv[1] == "mmectl":
        sys.modules["mmectl.frameworks.detect"].known()  # it imports all of them
    read_services()
    added = {n: value for n, value in os.environ.items() if before.get(n) != value}
    assert threading.active_count() == 1, threading.enumerate()
    gc.freeze()
    control = socket.socket(fileno=int(sys.argv[2]))
    control.send(READY)
    request = serve(control)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(added | request["env"])
    if request["quiet"]:
        warnings.simplefilter("ignore")
    sys.argv[:] = request["command"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")
    sys.exit()


if __name__ == "__main__":
    main()

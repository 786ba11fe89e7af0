"""Start Multi Model Server as SageMaker starts a container, and stop all of it.

`entrypoint.py serve` runs the server; any other command is run as it is given. Follows the
conventions of SageMaker Inference Toolkit, whose own starter looks for any Multi Model
Server on the host and so cannot run several instances on one machine. Variables:

==================================  ========================================================
SAGEMAKER_BIND_TO_PORT              one port for inference and management (8080)
SAGEMAKER_MODEL_SERVER_WORKERS      most worker processes of a model (2; more from 12 cores)
SAGEMAKER_MODEL_SERVER_TIMEOUT      seconds a model may take to answer (60)
SAGEMAKER_MAX_PAYLOAD_IN_MB         largest request (6)
SAGEMAKER_MODEL_SERVER_VMARGS       arguments of the Java virtual machine
MMECTL_BIND_ADDRESS                 address to listen on (0.0.0.0), or unix:PATH, then no port
MMECTL_RUN_DIR                      folder of sockets and configuration; short; made if missing
MMECTL_LIFELINE_FD                  descriptor of a pipe; the server stops when it closes
MMECTL_ISOLATION                    model: a process for each model; auto: small ones share one
MMECTL_METRICS_MODELS               models with figures of their own in GET /metrics (100)
MMECTL_WARM_WORKERS                 0: workers load everything anew, as Multi Model Server's own
MMECTL_CLASS_ARCHIVE                folder of archives of Java's classes (class_archive.py)
==================================  ========================================================

Exit codes: 0 stopped by SIGTERM or SIGINT; 1 could not start, the server died or the
lifeline closed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from serving.server import class_archive, overlay, process_group, rights
from serving.server.config import (
    CLASSES,
    Settings,
    StartError,
    command,
    cores,
    find_java,
    prepare,
    server_home,
    worker_environment,
)
from serving.server.launches import Launches
from serving.server.management import Management
from serving.server.server_home import ForkServer, interpreter, make_home
from serving.server.socket_keeper import MOST_HOSTS, SocketKeeper
from serving.workers import launcher, ledger

STOP_SECONDS = 3.0
OPENING_SECONDS = 0.02


def check_address(settings: Settings) -> None:
    """Raise StartError when the port, or the socket, cannot be listened on."""
    try:
        if settings.socket:
            check_socket(settings.socket)
        else:
            check_port(settings.address, settings.port)
    except OSError as error:
        why = error.strerror or error
        where = settings.socket or f"{settings.address}:{settings.port}"
        raise StartError(f"cannot listen on {where}: {why}") from None


def check_port(address: str, port: int) -> None:
    """Raise OSError when the port cannot be listened on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((address, port))


def check_socket(path: Path) -> None:
    """Raise OSError when no socket can be made there; one of a server that was killed goes."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.bind(str(path))
    path.unlink()


def reap() -> dict[int, int]:
    """Collect the children that ended (also orphans, as process 1): pid -> exit status."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def stop_all(server: int, seconds: float = STOP_SECONDS) -> None:
    """End the server in an orderly way, for so many seconds at most, then kill what is left.

    Workers hold nothing worth an orderly end, and take a second for it.
    """
    deadline = time.monotonic() + seconds
    process_group.signal_members(signal.SIGTERM)
    while server in process_group.members() and time.monotonic() < deadline:
        reap()
        time.sleep(0.02)
    while process_group.signal_members(signal.SIGKILL):
        reap()
        time.sleep(0.02)
    reap()


def let_in(path: Path) -> bool:
    """Let whoever may enter the folder of the socket connect; False while there is no socket.

    Whoever started a container is another user than the server in it.
    """
    try:
        path.chmod(0o666)
    except FileNotFoundError:
        return False
    return True


def wait(
    server: int,
    fork_server: ForkServer | None,
    lifeline: int | None,
    wakeup: int,
    opening: Path | None = None,
    kept: SocketKeeper | None = None,
    launches: Launches | None = None,
) -> str | None:
    """Wait until something ends the service; None means we were asked to stop.

    Else the text says what happened. Signals arrive as bytes on `wakeup`; `opening` is the socket
    that the server will make.
    """
    watched = [wakeup] if lifeline is None else [wakeup, lifeline]
    watched += [] if launches is None else [launches.descriptor]
    while True:
        if opening is not None and let_in(opening):
            opening = None
        ready = wait_for(watched, soonest(opening, launches), kept)
        if wakeup in ready:
            numbers = os.read(wakeup, 4096)
            if any(n in (signal.SIGTERM, signal.SIGINT) for n in numbers):
                return None
            ended = reap()
            if launches is not None:
                launches.ended(ended)
            if server in ended:
                return f"the model server died ({describe_status(ended[server])})"
            if fork_server and fork_server.pid in ended:
                status = ended[fork_server.pid]
                fork_server.replace(status, describe_status(status))
        if launches is not None:
            launches.act(ready)
        if lifeline in ready and not os.read(lifeline, 4096):
            return "whoever started this server is gone"


def soonest(opening: Path | None, launches: Launches | None) -> float | None:
    """How long to wait at most; None: for ever."""
    waits = [OPENING_SECONDS if opening else None, launches.seconds() if launches else None]
    return min((one for one in waits if one is not None), default=None)


def wait_for(watched: list[int], seconds: float | None, kept: SocketKeeper | None) -> set[int]:
    """Wait until one of the descriptors can be read; let the keeper of sockets act meanwhile.

    Descriptors may be larger than select.select takes: there is one for each model.
    """
    poll = select.poll()
    for descriptor in (*watched, *(kept.descriptors() if kept else ())):
        poll.register(descriptor, select.POLLIN)
    waits = [one for one in (seconds, kept.seconds() if kept else None) if one is not None]
    found = poll.poll(min(waits) * 1000 if waits else None)
    ready = {descriptor for descriptor, _ in found}
    if kept is not None:
        kept.act(ready)
    return ready


def describe_status(status: int) -> str:
    """Put a wait status into words."""
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit code {os.WEXITSTATUS(status)}"


def catch_signals() -> int:
    """Turn SIGTERM, SIGINT and SIGCHLD into bytes on a pipe; returns its reading end."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return reader


def allow_descriptors() -> None:
    """Let this process, and those that it starts, have as many descriptors as it may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def serve(environ: Mapping[str, str]) -> int:
    """Run the server until it is stopped or dies; returns the exit code."""
    settings = Settings.read(environ)
    java, home = find_java(environ), server_home()
    check_address(settings)
    run_dir = prepare(settings)
    frontend = home / "mms" / "frontend"
    known = overlay.write(frontend / "model-server.jar", run_dir / CLASSES)
    archive = class_archive.find(
        environ, java, settings.vm_arguments.split(), run_dir / CLASSES, frontend
    )
    if not known:
        say("this is not Multi Model Server 1.1.11: it may keep models that it cannot load")
    ledger.remove(environ)
    process_group.lead()
    allow_descriptors()
    rights.drop()
    wakeup = catch_signals()
    environment = worker_environment(environ, run_dir, settings.workers)
    python = sys.executable
    launches = Launches(run_dir / "tmp", say) if settings.warm and known else None
    if settings.warm:
        home = make_home(run_dir, home)
        python = interpreter(home, run_dir / "tmp" / launcher.PIPE if launches else None)
    server = subprocess.Popen(
        command(settings, java, home, run_dir, python, archive.arguments),
        env=environment,
        cwd=run_dir,
        stdin=subprocess.DEVNULL,
        pass_fds=(process_group.end_with_us(),),
    )
    try:
        started = ForkServer(run_dir / "tmp", environment, say) if settings.warm else None
        server_itself = Management(settings.socket, settings.address, settings.port)
        kept = (
            SocketKeeper(
                run_dir / "tmp",
                environment,
                say,
                server_itself.is_registered,
                hosts=min(cores(), MOST_HOSTS),
            )
            if settings.warm and known
            else None
        )
        say(f"serving on {settings.listens}")
        reason = wait(
            server.pid, started, settings.lifeline, wakeup, settings.socket, kept, launches
        )
        if reason:
            say(reason)
    finally:
        stop_all(server.pid, class_archive.SECONDS if archive.made else STOP_SECONDS)
        archive.keep()
        if settings.run_dir is None:
            shutil.rmtree(run_dir, ignore_errors=True)
    return 1 if reason else 0


def say(text: str) -> None:
    """Write a line to the log of the container."""
    sys.stderr.write(f"entrypoint: {text}\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Serve, or run another command in place of this one."""
    if arguments[:1] != ["serve"] or len(arguments) > 1:
        if not arguments or arguments[0] == "serve":
            say("usage: entrypoint.py serve | COMMAND [ARGUMENT...]")
            return 2
        try:
            os.execvp(arguments[0], arguments)  # noqa: S606
        except OSError as error:
            say(f"cannot run {arguments[0]}: {error.strerror}")
            return 127
    try:
        return serve(os.environ)
    except (StartError, OSError) as error:
        say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

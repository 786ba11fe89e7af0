"""Two model servers side by side: the container's, and Multi Model Server as it comes.

Both run in the same serving environment. A server's memory is the sum of the proportional set
sizes (PSS) of all its processes, Java's included.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmectl.image import build_local
from mmectl.images.context import DEFAULT_FRAMEWORKS, Contents
from mmectl.images.local_smoke import free_port
from mmectl.images.trial import Trial
from mmectl.images.uv import find_uv
from mmectl.local.images import Images
from mmectl.local.values import ACCOUNT, Image

ROOT = Path(__file__).resolve().parent.parent
MIB = 2**20
PROPERTIES = """inference_address=http://127.0.0.1:{port}
management_address=http://127.0.0.1:{port}
model_store=/
default_service_handler={handler}
default_workers_per_model=1
decode_input_request=false
"""


def built(frameworks: tuple[str, ...] = DEFAULT_FRAMEWORKS, index: str | None = None) -> Image:
    """The container of this project, built where it has changed."""
    state = ROOT / ".mmectl"
    made = build_local(
        ROOT / "container",
        state,
        account=ACCOUNT,
        region="us-east-1",
        repository=f"mmectl-{frameworks[0]}",
        contents=Contents(frameworks, index=index),
        trial=Trial(frameworks=frameworks),
    )
    found = Images(state / "images").find(made.reference)
    if found is None:
        raise RuntimeError(f"{made.reference} was built and is not there")
    return found


def installed(name: str, packages: tuple[str, ...], *, server: bool = True) -> str:
    """The Python of an environment with packages of the index, and the container's `server`."""
    folder = ROOT / ".mmectl" / "bench" / name
    program = folder / "bin" / "python"
    if not (folder / "complete").exists():
        uv = str(find_uv())
        ours = ["-r", str(ROOT / "container" / "requirements" / "base.txt")]
        listed = [*(ours if server else []), *packages]
        for words in (
            ["venv", "--clear", "--quiet", "--python", sys.executable, str(folder)],
            ["pip", "install", "--quiet", "--compile-bytecode", "--python", str(program), *listed],
        ):
            subprocess.run([uv, *words], check=True)
        (folder / "complete").touch()
    return str(program)


@dataclass
class Server:
    """A running model server; what it prints is in `log`."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    _local: threading.local = field(default_factory=threading.local)
    _connections: list[http.client.HTTPConnection] = field(default_factory=list)

    def ask(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> tuple[int, bytes]:
        """Send a request on this thread's connection: status and body."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
            self._local.connection = connection
            self._connections.append(connection)
        try:
            connection.request(method, path, body, {"Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in self._connections:
            connection.close()

    def load(self, model: str, folder: Path) -> None:
        """Load a model; raises RuntimeError if that fails."""
        body = json.dumps({"model_name": model, "url": str(folder)}).encode()
        self._good(self.ask("POST", "/models", body))

    def invoke(self, model: str, body: bytes, kind: str = "image/jpeg") -> bytes:
        """Ask a model; raises RuntimeError for any answer but 200."""
        path = f"/models/{model}/invoke"
        return self._good(self.ask("POST", path, body, kind))

    def unload(self, model: str) -> None:
        """Unload a model."""
        self._good(self.ask("DELETE", f"/models/{model}"))

    def _good(self, answer: tuple[int, bytes]) -> bytes:
        if answer[0] != 200:
            raise RuntimeError(f"{self.name} answered {answer[0]}: {answer[1][:300]!r}")
        return answer[1]

    def members(self) -> dict[int, str]:
        """Its living processes: pid -> command line. All are of its session."""
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.process.pid and fields[0] != "Z":
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        return found

    def memory(self) -> int:
        """Bytes of PSS of all of it."""
        return sum(pss(pid) for pid in self.members())

    def held(self) -> int:
        """Bytes of PSS that are in no file: the kernel cannot take them back."""
        return sum(pss(pid, "Pss_Anon:") for pid in self.members())

    def processor_seconds(self) -> dict[int, float]:
        """Processor time of each of its processes since its start: pid -> seconds."""
        return {pid: processor_seconds(pid) for pid in self.members()}


def pss(pid: int, row: str = "Pss:") -> int:
    """Bytes of proportional set size of a process; 0 if it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(row):
                return int(line.split()[1]) * 1024
    return 0


def processor_seconds(pid: int) -> float:
    """Processor time of a process and its threads since its start; 0 if it is gone.

    /proc/PID/stat counts in steps of 10 ms. Its own clock, which clock_getcpuclockid(3) names by
    this formula, is exact to the nanosecond.
    """
    with contextlib.suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)
    return 0.0


@contextlib.contextmanager
def ours(image: Image, **settings: str) -> Iterator[Server]:
    """Run the container's server until the end of the block."""
    with _folder() as folder:
        port = free_port()
        environment = {
            **_plain_environment(image),
            "SAGEMAKER_MULTI_MODEL": "true",
            "SAGEMAKER_BIND_TO_PORT": str(port),
            "MMECTL_BIND_ADDRESS": "127.0.0.1",
            "MMECTL_RUN_DIR": str(folder / "run"),
            **settings,
        }
        command = [*image.entrypoint, "serve"]
        with _running("ours", command, environment, port, folder) as server:
            yield server


def plain(name: str) -> str:
    """A handler of benchmarks/stock as the server's configuration names it."""
    return f"{ROOT / 'benchmarks' / 'stock' / name}.py:handle"


@contextlib.contextmanager
def stock(
    image: Image,
    handler: str | None = None,
    python: str | None = None,
    properties: str = "",
    **settings: str,
) -> Iterator[Server]:
    """Run Multi Model Server with a plain handler, started as its documentation says.

    In the image's environment, or in that of `python`; or with another `handler`, as the server's
    configuration names it, more of that configuration, and more of the environment.
    """
    with _folder() as folder:
        port = free_port()
        written = PROPERTIES.format(port=port, handler=handler or plain("plain_handler"))
        (folder / "mms.properties").write_text(written + properties)
        (folder / "tmp").mkdir()
        environment = {
            **_plain_environment(image),
            "SAGEMAKER_MULTI_MODEL": "true",
            **{name: str(folder / "tmp") for name in ("TEMP", "TMPDIR")},
            **{name: str(folder / "logs") for name in ("LOG_LOCATION", "METRICS_LOCATION")},
            **settings,
        }
        configured = ("--mms-config", str(folder / "mms.properties"), "--model-store", "/")
        started = python or image.entrypoint[0]
        command = [started, "-m", "mms.model_server", "--start", "--foreground"]
        with _running("stock", [*command, *configured], environment, port, folder) as server:
            yield server


def _plain_environment(image: Image) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **image.environment}


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mme", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextlib.contextmanager
def _running(
    name: str, command: list[str], environment: dict[str, str], port: int, folder: Path
) -> Iterator[Server]:
    with (folder / "log").open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
    server = Server(name, process, port, folder / "log")
    try:
        _wait(server)
        yield server
    finally:
        server.close()
        for pid in server.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def _wait(server: Server) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if server.ask("GET", "/ping")[0] == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{server.name} did not start:\n{server.log.read_text()[-2000:]}")

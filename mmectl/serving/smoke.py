"""Try an image before it is registered: server up, one model loaded, one answer.

The model is made here: 8 x 8 pixels, one fully connected layer, two classes.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmectl.errors import BuildError

START_SECONDS = 60.0
_SIDE = 8
_WEIGHTS = 3 * _SIDE * _SIDE
# the server refuses ports from 32767 on
_PORTS = (20000, 32000)
_LAST_LINES = 15


def run(entrypoint: Sequence[str], variables: Mapping[str, str]) -> float:
    """Start the server, load the model, ask it once, stop; returns the seconds it took.

    Raises BuildError with the server's last lines.
    """
    started = time.monotonic()
    _import(entrypoint, variables)
    with tempfile.TemporaryDirectory(prefix="mmectl-") as name:
        folder = Path(name)
        model = folder / "model"
        write_model(model)
        with _server(entrypoint, variables, folder) as (process, listens):
            try:
                _wait(process, listens)
                _load(listens, model)
                _ask(listens)
            except (OSError, http.client.HTTPException, _SmokeError) as error:
                raise BuildError(
                    f"the image does not serve: {error}\n{_tail(folder / 'log')}",
                    hint="mend what the server's lines above say and build again",
                ) from None
    return time.monotonic() - started


def _import(entrypoint: Sequence[str], variables: Mapping[str, str]) -> None:
    """Import the handler by itself: what a dying worker says does not always reach the log."""
    python, script = entrypoint
    code = "import sys; sys.path.insert(0, sys.argv[1]); import model_handler"
    done = subprocess.run(
        [python, "-c", code, str(Path(script).parent)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )
    if done.returncode != 0:
        lines = "\n".join(done.stderr.splitlines()[-_LAST_LINES:])
        raise BuildError(
            f"the handler cannot be imported:\n{lines}",
            hint="mend model_handler.py and build again",
        )


class _SmokeError(Exception):
    """What the server did instead of what was expected."""


@contextlib.contextmanager
def _server(
    entrypoint: Sequence[str], variables: Mapping[str, str], folder: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run the entrypoint in a group of its own; it ends with us, whatever happens."""
    front = folder / "front"
    front.mkdir(mode=0o700)
    listens = front / "http.sock"
    lifeline, ours = os.pipe()
    environment = {
        **os.environ,
        **variables,
        "SAGEMAKER_MULTI_MODEL": "true",
        "MMECTL_BIND_ADDRESS": f"unix:{listens}",
        "MMECTL_RUN_DIR": str(folder / "run"),
        "MMECTL_LIFELINE_FD": str(lifeline),
    }
    try:
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*entrypoint, "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=(lifeline,),
                start_new_session=True,
            )
        try:
            yield process, listens
        finally:
            _stop(process)
    finally:
        os.close(lifeline)
        os.close(ours)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
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
    raise BuildError(f"no free port between {_PORTS[0]} and {_PORTS[1]}")


def _wait(process: subprocess.Popen[bytes], listens: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise _SmokeError(f"the server ended with code {process.returncode}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if request(listens, "GET", "/ping")[0] == 200:
                return
        time.sleep(0.05)
    raise _SmokeError(f"no answer to /ping within {START_SECONDS:.0f} s")


def _load(listens: Path, model: Path) -> None:
    body = json.dumps({"model_name": "smoke", "url": str(model)}).encode()
    status, answer = request(listens, "POST", "/models", body, "application/json")
    if status != 200:
        raise _SmokeError(f"the model was not loaded ({status}): {answer}")


def _ask(listens: Path) -> None:
    status, answer = request(listens, "POST", "/models/smoke/invoke", picture(), "image/bmp")
    if status != 200 or "class=light" not in answer:
        raise _SmokeError(f"the model did not answer ({status}): {answer}")


class _Connection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect, as the first request does."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def connected(where: int | Path, seconds: float = START_SECONDS) -> http.client.HTTPConnection:
    """A connection to a server on this machine: its port, or its socket."""
    if isinstance(where, Path):
        return _Connection(where, seconds)
    return http.client.HTTPConnection("127.0.0.1", where, timeout=seconds)


def request(
    where: int | Path,
    method: str,
    path: str,
    body: bytes | None = None,
    kind: str | None = None,
    seconds: float = START_SECONDS,
) -> tuple[int, str]:
    """Status and text of one request to a server on this machine; `kind` is the content type."""
    connection = connected(where, seconds)
    try:
        connection.request(method, path, body, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-_LAST_LINES:])


def write_model(folder: Path) -> None:
    """Write a model that tells light images from dark ones, in MXNet's own formats."""
    folder.mkdir()
    (folder / "smoke-symbol.json").write_text(json.dumps(_symbol()))
    (folder / "smoke-shapes.json").write_text(
        json.dumps([{"name": "data", "shape": [1, 3, _SIDE, _SIDE]}])
    )
    (folder / "synset.txt").write_text("dark\nlight\n")
    weight = [0.0] * _WEIGHTS + [1.0 / 255 / _WEIGHTS] * _WEIGHTS
    arrays = {"arg:fc_weight": ((2, _WEIGHTS), weight), "arg:fc_bias": ((2,), [0.5, 0.0])}
    (folder / "smoke-0000.params").write_bytes(_params(arrays))


def _symbol() -> dict[str, object]:
    names = ("data", "fc_weight", "fc_bias")
    nodes: list[dict[str, object]] = [{"op": "null", "name": n, "inputs": []} for n in names]
    inputs = [[0, 0, 0], [1, 0, 0], [2, 0, 0]]
    layer = {"op": "FullyConnected", "name": "fc", "attrs": {"num_hidden": "2"}, "inputs": inputs}
    head = {"op": "softmax", "name": "prob", "inputs": [[3, 0, 0]]}
    return {
        "nodes": [*nodes, layer, head],
        "arg_nodes": [0, 1, 2],
        "node_row_ptr": [0, 1, 2, 3, 4, 5],
        "heads": [[4, 0, 0]],
        "attrs": {"mxnet_version": ["int", 10901]},
    }


def _params(arrays: Mapping[str, tuple[tuple[int, ...], list[float]]]) -> bytes:
    """Encode as NDArray::Save does: dense float32 arrays on the CPU, then their names."""
    data = struct.pack("<QQQ", 0x112, 0, len(arrays))
    for shape, values in arrays.values():
        data += struct.pack(f"<IiI{len(shape)}q", 0xF993FAC9, 0, len(shape), *shape)
        data += struct.pack(f"<iii{len(values)}f", 1, 0, 0, *values)
    data += struct.pack("<Q", len(arrays))
    for name in arrays:
        data += struct.pack("<Q", len(name)) + name.encode()
    return data


def picture() -> bytes:
    """Draw a white BMP of 8 x 8 pixels."""
    pixels = b"\xff" * (_SIDE * _SIDE * 3)
    header = struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54)
    return header + struct.pack("<IiiHHIIiiII", 40, _SIDE, _SIDE, 1, 24, 0, 0, 0, 0, 0, 0) + pixels

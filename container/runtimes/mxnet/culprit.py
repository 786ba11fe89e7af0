"""Names the operator that ended the process during a load.

A network can make the engine divide by zero or read where nothing is; no call then returns an
error. Upon such a signal (runtimes/signals.py) another process tries the network's beginnings, by
halves, until it has the first operator that ends it, and the answer is the worker's last words.
It is run as ``python -m runtimes.mxnet.culprit MODEL_FOLDER`` in the
container's folder, and prints its answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from runtimes.signals import SECONDS

ROOT = Path(__file__).resolve().parents[2]  # the container's folder


def describe(cause: str, folder: Path) -> str:
    """Say which operator it was, as far as another process can tell."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "runtimes.mxnet.culprit", str(folder.resolve())],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": ""},  # the model's folder may be in it
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
        found = done.stdout.decode("utf-8", "replace").strip()
    except (OSError, subprocess.TimeoutExpired):
        found = ""
    where = f"in {found}" if found else "while it loaded the network"
    return f"MXNet ended the process with {cause} {where}: correct the network"


def beginnings(network: Any) -> Callable[[int], bytes]:
    """Make the function that gives a network's first nodes, as JSON, with all that they make."""

    def first(count: int) -> bytes:
        nodes = network["nodes"][:count]
        used = {source[0] for node in nodes for source in node["inputs"]}
        ends = [i for i, node in enumerate(nodes) if node["op"] != "null" and i not in used]
        made = {key: value for key, value in network.items() if key != "node_row_ptr"}
        made["nodes"] = nodes
        made["arg_nodes"] = [i for i, node in enumerate(nodes) if node["op"] == "null"]
        made["heads"] = [[i, 0, 0] for i in ends]
        return json.dumps(made).encode()

    return first


def search(network: Any, ends: Callable[[bytes], bool]) -> str:
    """Find the first operator that ends the process, by halves; "" where none does."""
    nodes, first = network["nodes"], beginnings(network)
    # what variables alone make is nothing to compute
    good = next((i for i, node in enumerate(nodes) if node["op"] != "null"), len(nodes))
    bad = len(nodes)
    if not ends(first(bad)):
        return ""
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (good, middle) if ends(first(middle)) else (middle, bad)
    node = nodes[bad - 1]
    return f"the operator {node['op']} of {node['name']}"


def _tries(folder: Path) -> Callable[[bytes], bool]:
    """Make the function that tells whether a network ends a process that loads and runs it."""
    import numpy as np

    from runtimes.mxnet import capi, model_files
    from runtimes.mxnet.predictor import Predictor

    files = model_files.find_network(folder)

    def run(text: bytes) -> None:
        names = {node["name"] for node in json.loads(text)["nodes"]}
        inputs = [one for one in files.inputs if one.name in names]
        with tempfile.NamedTemporaryFile() as file:
            file.write(text)
            file.flush()
            made = Predictor(Path(file.name), files.params, inputs)
        made.run({one.name: np.zeros(one.shape, one.dtype or "float32") for one in inputs})

    capi.library()
    return lambda text: _ends(lambda: run(text))


def _ends(action: Callable[[], None]) -> bool:
    """Whether this ends the process that does it."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            action()
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def main(arguments: Sequence[str]) -> None:
    """Print the operator of the model in that folder; nothing where none is found."""
    folder = Path(arguments[0])
    from runtimes.mxnet import model_files

    symbol = model_files.find_network(folder).symbol
    print(search(json.loads(symbol.read_bytes()), _tries(folder)))  # noqa: T201 - its answer


if __name__ == "__main__":
    main(sys.argv[1:])

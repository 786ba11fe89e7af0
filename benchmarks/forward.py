"""One forward pass of the container, of MXNet's Module and of onnxruntime, by turns.

onnxruntime is the yardstick: what the processor can do with the same network. Each way is a
process of its own that stands still (SIGSTOP) while others have their turn, so that no threads
that wait for their next pass take processors away. The answers must be the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.report import Result, Unavailable
from benchmarks.serving import ROOT
from mmectl.base.errors import BuildError
from mmectl.images.uv import Uv, find_uv
from mmectl.local.values import Image

PACKAGES = ("onnxruntime>=1.20,<2", "onnx>=1.17,<2")
TOLERANCE = 1e-4
TURN_SECONDS = 0.5
MOST_THREADS = 4  # container/serving/server/config.py
BASE = "module"


def yardstick(folder: Path) -> Path:
    """Make the environment of onnxruntime, where it is not there yet: its Python.

    Raises Unavailable where it cannot be installed.
    """
    marker = folder / "complete"
    wanted = "\n".join((sys.version, *PACKAGES))
    if not marker.exists() or marker.read_text() != wanted:
        try:
            uv = Uv(find_uv())
            uv.run("venv", "--quiet", "--no-project", "--clear", "--python", sys.executable,
                   str(folder))  # fmt: skip
            uv.run("pip", "install", "--python", str(folder / "bin" / "python"), *PACKAGES)
        except BuildError as error:
            raise Unavailable(f"onnxruntime cannot be installed: {error.message}") from None
        marker.write_text(wanted)
    return folder / "bin" / "python"


def thread_counts(cores: int) -> tuple[int, ...]:
    """With how many threads to measure: one, and as many as the container takes."""
    return tuple(sorted({1, min(cores, MOST_THREADS)}))


def rows(image: Image, name: str, folder: Path, rounds: int) -> Iterator[Result]:
    """Measure one network, with one thread and with all. Raises AssertionError on other answers."""
    pythons = {"container": Path(image.entrypoint[0]), BASE: Path(image.entrypoint[0])}
    try:
        pythons["onnxruntime"] = yardstick(ROOT / ".mmectl" / "bench" / "onnxruntime")
    except Unavailable as reason:
        yield Result(f"{name}: onnxruntime", f"skipped: {reason}", "", None)
    for threads in thread_counts(len(os.sched_getaffinity(0))):
        with contextlib.ExitStack() as stack:
            ways = {
                way: stack.enter_context(_started(way, python, image, folder, threads))
                for way, python in pythons.items()
            }
            check({way: process.answer for way, process in ways.items()})
            turns = [[way.turn() for way in ways.values()] for _ in range(rounds)]
        medians = dict(zip(ways, map(statistics.median, zip(*turns, strict=True)), strict=True))
        label = f"{name}, {threads} thread{'s' if threads > 1 else ''}: a pass"
        yield Result(label, compared(medians), "", None)


def check(answers: Mapping[str, Sequence[float]]) -> None:
    """Raise AssertionError where one answers something else than Module.

    By more than TOLERANCE of the largest value: an untrained network gives all classes
    nearly the same, so that a difference of 1e-4 itself would tell little.
    """
    wanted = answers[BASE]
    most = TOLERANCE * max(map(abs, wanted))
    for way, found in answers.items():
        if len(found) != len(wanted):
            raise AssertionError(f"{way} answers {len(found)} values, {BASE} {len(wanted)}")
        apart = [abs(a - b) for a, b in zip(found, wanted, strict=True)]
        wrong = [one for one in apart if not one <= most]  # NaN is wrong, too
        if wrong:
            raise AssertionError(f"{way} does not compute the same: up to {max(wrong):.2g} apart")


def compared(medians: Mapping[str, float]) -> str:
    """Put the seconds of all ways beside those of Module."""
    base = medians[BASE]
    others = [
        f"{way} {taken * 1000:.1f} ms: {taken / base:.2f}"
        for way, taken in medians.items()
        if way != BASE
    ]
    return f"{BASE} {base * 1000:.1f} ms; {'; '.join(others)}"


class _Way:
    """A process of forward_worker.py, standing still."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log
        self.answer = self._read()
        process.send_signal(signal.SIGSTOP)

    def turn(self) -> float:
        """Let it compute for a while: the median of the seconds of a pass."""
        assert self._process.stdin is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.stdin.write(f"{TURN_SECONDS}\n")
        self._process.stdin.flush()
        taken = self._read()
        self._process.send_signal(signal.SIGSTOP)
        return statistics.median(taken)

    def _read(self) -> list[float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a forward pass failed:\n{self._log.read_text()[-2000:]}")
        values: list[float] = json.loads(line)
        return values


@contextlib.contextmanager
def _started(way: str, python: Path, image: Image, folder: Path, threads: int) -> Iterator[_Way]:
    container = str(Path(image.entrypoint[1]).parent) if way == "container" else ""
    environment = {
        "PATH": os.environ["PATH"],
        **image.environment,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": container,
    }
    command = [str(python), "-m", "benchmarks.forward_worker", way, str(folder), str(threads)]
    with tempfile.TemporaryDirectory(prefix="mmectl-bench-") as scratch:
        log = Path(scratch) / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                env=environment,
                cwd=ROOT,
                text=True,
            )
        with process:
            try:
                yield _Way(process, log)
            finally:
                process.kill()

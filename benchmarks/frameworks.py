"""The container against Multi Model Server as it comes, for frameworks beside MXNet.

Stock is the server with a plain handler (benchmarks/stock) and the packages as the index has them,
or AWS's own handler code, where BENCH_AWS says where that is (aws.py). Both answer the same request
to the same models in turn. BENCH_STOCK=ours has it run in our serving environment, which leaves out
what is not needed. BENCH_FRAMEWORKS=onnx chooses.

Cold is from the load's request to the first answer. Memory is what a model adds to all processes
once it was idle: what is in no file and so cannot be taken back (PSS of anonymous pages), and all
of it. Each copy of a model has a content of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import aws, serving
from benchmarks.report import Result, Unavailable, seconds
from benchmarks.serving import MIB, ROOT, Server
from mmectl.local.values import Image

NAME = "frameworks: cold start and memory against stock Multi Model Server, in alternation"
NPY, CSV = "application/x-npy", "text/csv"
LEAVE = ("", "true")  # whether a model may be code: PyTorch's are
SETTLE_SECONDS = 0.3
SAVED_SECONDS = 60.0  # a model's weights are in a file of their own after this at most
ASKING_SECONDS = 4.0


@dataclass(frozen=True)
class Case:
    """Models to measure with, of a kind that `framework_models` makes, and their requests' type.

    Cold is measured so many `rounds`, memory with so many `copies`: in stock, and here, where more
    are needed to see a small one. `clients` ask them at once; `rate` is how many times the answers
    a second of stock they are to get. The other goals are shares of stock.
    """

    name: str
    kind: str
    type: str
    rounds: int
    copies: tuple[int, int]
    cold: float
    memory: float
    clients: tuple[int, ...] = ()
    rate: float | None = None


CASES: dict[str, tuple[Case, ...]] = {
    "onnx": (
        Case("small", "onnx_small", NPY, 7, (20, 20), 1 / 5, 1 / 4),
        Case("dense, 54 MB", "onnx_dense", NPY, 5, (3, 3), 1 / 5, 1 / 3),
        Case("convolutions, 54 MB", "onnx_convolutions", NPY, 5, (3, 3), 1 / 5, 1 / 3),
    ),
    "xgboost": (Case("small", "xgboost_small", CSV, 7, (8, 300), 1 / 25, 1 / 300, (8, 16), 1.5),),
    "sklearn": (
        Case("small, skops", "sklearn_small", CSV, 7, (8, 300), 1 / 25, 1 / 300, (8,)),
        Case("small, joblib", "sklearn_pickled", CSV, 7, (8, 20), 1 / 20, 1 / 9, (8,)),
        Case("forest, 60 MB", "sklearn_forest", CSV, 3, (3, 3), 1 / 5, 1 / 3),
    ),
    "lightgbm": (Case("small", "lightgbm_small", CSV, 7, (8, 300), 1 / 25, 1 / 300, (8,)),),
    "pytorch": (
        Case("small", "pytorch_small", NPY, 5, (4, 10), 1 / 10, 1 / 8),
        Case("convolutions, 54 MB", "pytorch_convolutions", NPY, 3, (2, 2), 1 / 5, 1 / 2),
    ),
    "catboost": (Case("small", "catboost_small", CSV, 7, (8, 300), 1 / 10, 1 / 150, (8,)),),
    "aws-xgboost": (Case("small", "xgboost_tarball", CSV, 7, (8, 300), 1 / 25, 1 / 500),),
    "aws-sklearn": (Case("small, joblib", "sklearn_pickled", CSV, 7, (8, 20), 1 / 20, 1 / 9),),
}


# in benchmarks/stock; those of frameworks that are asked with tables are one
HANDLERS = {"onnx": "onnx_handler", "pytorch": "pytorch_handler"}
# what people install; PyTorch's can come from a local index only
PACKAGES = {
    "onnx": ("onnxruntime",),
    "xgboost": ("xgboost", "scikit-learn", "pandas"),
    "sklearn": ("scikit-learn", "pandas", "skops"),
    "lightgbm": ("lightgbm", "scikit-learn"),
    "catboost": ("catboost",),
}


def run() -> Iterator[Result]:
    """Measure all of it; takes some two minutes a framework. BENCH_ROUNDS=1 shortens it."""
    usual = [one for one in CASES if one not in aws.CONTAINERS or os.environ.get("BENCH_AWS")]
    wanted = os.environ.get("BENCH_FRAMEWORKS", ",".join(usual)).split(",")
    for framework in wanted:
        image, python = _image(framework.removeprefix("aws-")), _python(framework)
        for case in CASES[framework]:
            with (
                tempfile.TemporaryDirectory(prefix="mmectl-bench-") as folder,
                _stock(framework, image, python) as stock,
                serving.ours(image, MMECTL_ALLOW_MODEL_CODE=LEAVE[framework == "pytorch"]) as ours,
            ):
                # an older package's models are read by a later one, not the other way
                maker = python if framework in aws.CONTAINERS else None
                copies = _made(maker or image.entrypoint[0], case, Path(folder))
                body = (Path(folder) / "request").read_bytes()
                yield from _measured(framework, case, stock, ours, copies, body)


def _image(framework: str) -> Image:
    """The serving environment; PyTorch's CPU build is taken as tests/torch_index.py has it."""
    if framework != "pytorch":
        return serving.built((framework,))
    sys.path.insert(0, str(ROOT / "tests"))
    import torch_index

    try:
        with torch_index.index(ROOT / ".mmectl" / "wheels") as index:
            return serving.built((framework,), index)
    except torch_index.Unavailable as error:
        raise Unavailable(str(error)) from None


def _stock(framework: str, image: Image, python: str | None) -> AbstractContextManager[Server]:
    """What is compared with: AWS's code where the framework's name says so."""
    if framework in aws.CONTAINERS and python is not None:
        return aws.CONTAINERS[framework].server(image, python)
    return serving.stock(image, serving.plain(HANDLERS.get(framework, "table_handler")), python)


def _python(framework: str) -> str | None:
    if framework in aws.CONTAINERS:
        return aws.CONTAINERS[framework].python(framework)
    packages = PACKAGES.get(framework)
    if packages is None or os.environ.get("BENCH_STOCK") == "ours":
        return None
    return serving.installed(framework, packages)


def _made(python: str, case: Case, folder: Path) -> list[Path]:
    maker = ROOT / "benchmarks" / "framework_models.py"
    count = max(case.copies) + 1
    subprocess.run([python, str(maker), case.kind, str(folder), str(count)], check=True)
    return [folder / f"m{number}" for number in range(count)]


def _measured(
    framework: str, case: Case, stock: Server, ours: Server, copies: list[Path], body: bytes
) -> Iterator[Result]:
    label = f"{framework}, {case.name}"
    first, others = copies[0], copies[1:]
    ask = _Asking(body, case.type)
    if framework in aws.CONTAINERS:
        same = ask.answer(stock, first) == ask.answer(ours, first)
        yield Result(f"{label}: answers", "equal" if same else "differ", "equal bytes", same)
    once = {server.name: ask.once(server, first) for server in (stock, ours)}
    yield _ratio(f"{label}: cold, for the first time", once["stock"], once["ours"], case.cold, None)
    with ask.loaded(ours, [first]):
        _wait_until_saved(ours)
    rounds = min(case.rounds, int(os.environ.get("BENCH_ROUNDS", case.rounds)))
    pairs = [(ask.once(stock, first), ask.once(ours, first)) for _ in range(rounds)]
    old, new = (statistics.median(side) for side in zip(*pairs, strict=True))
    yield _ratio(f"{label}: cold, then", old, new, case.cold, new <= case.cold * old)
    yield from _memory(label, case, (stock, ours), others, ask)
    for clients in case.clients:
        yield _rate(label, case, clients, (stock, ours), others[: min(case.copies)], ask)


@dataclass(frozen=True)
class _Asking:
    """Loads models and asks them, always the same."""

    body: bytes
    type: str

    def invoke(self, server: Server, model: str) -> None:
        server.invoke(model, self.body, self.type)

    def once(self, server: Server, folder: Path) -> float:
        """Seconds of a load with the first answer."""

        def start() -> None:
            server.load("cold", folder)
            self.invoke(server, "cold")

        taken = seconds(start)
        server.unload("cold")
        time.sleep(SETTLE_SECONDS)
        return taken

    def answer(self, server: Server, folder: Path) -> bytes:
        """What a model answers."""
        server.load("answer", folder)
        answer = server.invoke("answer", self.body, self.type)
        server.unload("answer")
        return answer

    @contextlib.contextmanager
    def loaded(self, server: Server, places: list[Path]) -> Iterator[None]:
        """While these models are loaded and have answered."""
        for place in places:
            server.load(place.name, place)
            self.invoke(server, place.name)
        yield
        for place in places:
            server.unload(place.name)
        time.sleep(SETTLE_SECONDS)

    def rate(self, server: Server, models: list[str], clients: int) -> float:
        """Answers a second of so many clients that ask these models in turn."""
        counts, end = [0] * clients, time.monotonic() + ASKING_SECONDS

        def client(number: int) -> None:
            for model in itertools.islice(itertools.cycle(models), number, None):
                if time.monotonic() >= end:
                    return
                self.invoke(server, model)
                counts[number] += 1

        threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / ASKING_SECONDS


def _ratio(what: str, old: float, new: float, goal: float, met: bool | None) -> Result:
    figure = f"{new * 1000:.0f} against {old * 1000:.0f} ms: 1/{old / new:.1f}"
    return Result(what, figure, f"1/{1 / goal:.0f}" if met is not None else "", met)


def _wait_until_saved(server: Server) -> None:
    """Wait until the server's memory has not changed for some seconds."""
    deadline, seen = time.monotonic() + SAVED_SECONDS, [0]
    while time.monotonic() < deadline:
        time.sleep(1.5)
        seen.append(server.held())
        if len(seen) > 3 and max(seen[-3:]) - min(seen[-3:]) < MIB:
            return


def _memory(
    label: str, case: Case, servers: tuple[Server, Server], copies: list[Path], ask: _Asking
) -> Iterator[Result]:
    found = {}
    for server, count in zip(servers, case.copies, strict=True):
        before = server.held(), server.memory()
        with ask.loaded(server, copies[:count]):
            _wait_until_saved(server)
            after = server.held(), server.memory()
        found[server.name] = [(b - a) / MIB / count for a, b in zip(before, after, strict=True)]
    (old, old_all), (new, new_all) = found["stock"], found["ours"]
    met = new <= case.memory * old
    yield Result(
        f"{label}: memory in no file", _megabytes(old, new), f"1/{1 / case.memory:.0f}", met
    )
    yield Result(f"{label}: PSS, with pages of files", _megabytes(old_all, new_all), "", None)


def _megabytes(old: float, new: float) -> str:
    return f"{new:.2f} against {old:.1f} MB: 1/{old / max(new, 0.01):.1f}"


def _rate(
    label: str,
    case: Case,
    clients: int,
    servers: tuple[Server, Server],
    copies: list[Path],
    ask: _Asking,
) -> Result:
    names, rates = [place.name for place in copies], []
    for server in servers:
        with ask.loaded(server, copies):
            rates.append(ask.rate(server, names, clients))
    old, new = rates
    figure = f"{new:.0f} against {old:.0f} a second: {new / old:.2f}"
    goal, met = ("", None) if case.rate is None else (f"{case.rate:g}", new >= case.rate * old)
    return Result(f"{label}: {clients} clients", figure, goal, met)

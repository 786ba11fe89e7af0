"""10, 1,000 and 10,000 models behind one prefix: what grows, and by how much more than the list."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.lab import BUCKET, ENDPOINT, PICTURE, PREFIX, REGION, ROOT, Lab, lab
from benchmarks.report import Result, Unavailable, seconds
from benchmarks.startup import program
from mmectl.local.client import platform

NAME = "many models: 10, 1,000 and 10,000 behind one prefix"
COUNTS = (10, 1000, 10_000)
ROUNDS = 3
NOISE = 0.3  # seconds
TIMES = 3.0  # what a command may cost for each second that the bare list takes
KEYS, LIST_GOAL = 5000, 1.0  # keys listed, seconds

Figures = dict[str, float]


def run(counts: tuple[int, ...] = COUNTS) -> Iterator[Result]:
    """Measure on a platform of our own that is gone afterwards."""
    taken: list[Figures] = []
    with lab(counts[0]) as made, tempfile.TemporaryDirectory(prefix="mmectl-bench-") as folder:
        project = _project(made, Path(folder))
        made.client("sagemaker").delete_endpoint(EndpointName=ENDPOINT)
        _mmectl(project, "deploy")
        for count in counts:
            _add(made, count)
            taken.append(measure(made, project))
            figures = ", ".join(f"{name} {figure:.2f}" for name, figure in taken[-1].items())
            yield Result(f"{count:,} models", figures + " s", "", None)
        if counts[-1] >= KEYS:
            yield _some_keys(made.client("s3"))
    yield from judged(taken[0], taken[-1])


def measure(made: Lab, project: Path) -> Figures:
    """Seconds by what was done; the medians."""
    s3 = made.client("s3")
    name, picture = made.targets[0], str(PICTURE)
    calls: dict[str, Callable[[], object]] = {
        "list": lambda: _list(s3, None),
        "status": lambda: _mmectl(project, "status"),
        "deploy": lambda: _mmectl(project, "deploy"),
        "invoke": lambda: _mmectl(project, "invoke", "-m", name, picture),
        "invoke --random": lambda: _mmectl(project, "invoke", "--random", "1", picture),
        "start": lambda: _restart(made),
    }
    for call in calls.values():
        call()
    return {
        what: statistics.median(seconds(call) for _ in range(ROUNDS))
        for what, call in calls.items()
    }


def judged(few: Figures, many: Figures) -> Iterator[Result]:
    """Whether what a command costs more is what the list costs more."""
    listed = many["list"] - few["list"]
    for what in few:
        if what == "list":
            continue
        more = many[what] - few[what]
        goal = 0 if what == "start" else listed * TIMES
        figure = f"{more:+.2f} s, the list {listed:+.2f} s"
        yield Result(f"{what}: more", figure, f"<= {goal + NOISE:.2f} s", more <= goal + NOISE)


def _some_keys(s3: Any) -> Result:
    took = statistics.median(seconds(lambda: _list(s3, KEYS)) for _ in range(ROUNDS))
    return Result(f"{KEYS:,} keys listed", f"{took:.2f} s", f"< {LIST_GOAL:g} s", took < LIST_GOAL)


def _list(s3: Any, count: int | None) -> None:
    paging = {"MaxItems": count} if count else {}
    pages = s3.get_paginator("list_objects_v2")
    for _ in pages.paginate(Bucket=BUCKET, Prefix=PREFIX, PaginationConfig=paging):
        pass


def _add(made: Lab, count: int) -> None:
    """Copy the first model until there are so many."""
    before, made.models = made.models, count
    s3 = made.client("s3")
    source = {"Bucket": BUCKET, "Key": PREFIX + made.targets[0]}

    def copy(target: str) -> None:
        s3.copy_object(Bucket=BUCKET, Key=PREFIX + target, CopySource=source)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(copy, made.targets[before:]))


def _restart(made: Lab) -> None:
    """Stop and start; the stop is the smaller part."""
    platform.stop(made.state)
    made.start()
    made.wait()


def _project(made: Lab, folder: Path) -> Path:
    """A project of that platform."""
    settings = {
        "platform": "local",
        "aws": {"region": REGION},
        "bucket": {"name": BUCKET, "prefix": PREFIX},
        "image": {"repository": "mmectl", "context": str(ROOT / "container")},
        "endpoint": {"name": ENDPOINT},
        "local": {"state_dir": str(made.state), "runtime": "process"},
    }
    (folder / "config.yaml").write_text(json.dumps(settings))
    return folder


def _mmectl(project: Path, *arguments: str) -> None:
    """Run the command to its end."""
    command = [program("mmectl"), *arguments, "--json"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{' '.join(command)}: {(done.stdout + done.stderr)[-500:]}")

"""Thousands of small models on one instance, asked at random, while their hosts are killed.

``python -m benchmarks.host_soak [seconds]``: 5,000 XGBoost models behind one prefix, traffic over
2,000 of them, on an instance whose memory holds about two thirds of those. Every model answers
with a number of its own, so that an answer of another model is seen.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from benchmarks.lab import BUCKET, ENDPOINT, PREFIX, ROOT, Lab, explained
from benchmarks.report import Result, printed
from benchmarks.serving import pss
from mmectl.archive.pack import pack_file
from mmectl.image import build_local
from mmectl.images.context import Contents
from mmectl.images.trial import Trial
from mmectl.local import processes
from mmectl.local.client import platform
from mmectl.local.values import ACCOUNT

NAME = "host soak: 5,000 small models behind one prefix, 2,000 of them asked, hosts killed"
MODELS, ASKED, CLIENTS = 5000, 2000, 16
SECONDS, PAUSE = 300.0, 2.0  # in all, and between two kills at the mean
MEMORY_MB = 260
FRAMEWORKS = ("xgboost",)
EXAMPLE = ROOT / "examples" / "xgboost" / "ring"
ROW, TYPE = b"0.75,0.0", "text/csv"  # the second row of rows.csv
# The base score of the example, and as its file has it: its log odds are added to the trees'
SCORE, WRITTEN = 0.285, "[2.85E-1]"
TOLERANCE = 2e-6
LATE_MB = 1  # what models just loaded take beyond what was expected, until others have left
SERVER_MB = 200  # what the embedded platform sets aside for the server beside its models
_MIB = 1 << 20


def base_score(number: int) -> float:
    """The base score of a model; every one has its own."""
    return 0.1 + number * 1e-4


def content(example: bytes, number: int) -> bytes:
    """The model's file."""
    if example.count(_string(WRITTEN)) != 1:
        raise ValueError("the example has another base score")
    return example.replace(_string(WRITTEN), _string(f"[{base_score(number):.6f}]"))


def _string(text: str) -> bytes:
    """A string as UBJSON has it."""
    return b"SL" + len(text).to_bytes(8, "big") + text.encode()


def answer_of(number: int, example: float) -> float:
    """What a model answers where the example answers `example`."""
    odds = _log_odds(example) - _log_odds(SCORE) + _log_odds(base_score(number))
    return 1 / (1 + math.exp(-odds))


def _log_odds(share: float) -> float:
    return math.log(share / (1 - share))


@dataclass(slots=True)
class Seen:
    """What was answered and measured; times in seconds, memory in bytes."""

    took: list[float] = field(default_factory=list)
    cold: int = 0
    wrong: list[str] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)
    accounted: list[float] = field(default_factory=list)
    models: int = 0
    kills: int = 0


@contextlib.contextmanager
def lab(models: int, memory_mb: int) -> Iterator[Lab]:
    """A platform of our own with that many models behind an endpoint in service."""
    built = build_local(
        ROOT / "container",
        ROOT / ".mmectl",
        account=ACCOUNT,
        region="us-east-1",
        repository="mmectl-trees",
        contents=Contents(FRAMEWORKS),
        trial=Trial(frameworks=FRAMEWORKS),
    )
    folder = Path(tempfile.mkdtemp(prefix="mme")).resolve()
    made = Lab(folder / "state", built.reference, models, memory_mb=memory_mb)
    shutil.copytree(ROOT / ".mmectl" / "images", made.state / "images", symlinks=True)
    try:
        _fill(made)
        made.deploy()
        yield made
    finally:
        made.last_words = made.told()
        platform.stop(made.state)
        shutil.rmtree(folder, ignore_errors=True)


def _fill(made: Lab) -> None:
    s3 = made.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    example = (EXAMPLE / "model.ubj").read_bytes()
    scratch = made.state / "model"

    def put(number: int) -> None:
        folder = scratch / str(number)
        folder.mkdir(parents=True)
        (folder / "model.ubj").write_bytes(content(example, number))
        archive = folder / "model.tar.gz"
        pack_file(folder, archive)
        s3.put_object(Bucket=BUCKET, Key=PREFIX + made.targets[number], Body=archive.read_bytes())
        shutil.rmtree(folder)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(made.models)))


def hosts(made: Lab) -> list[int]:
    """The processes that many models share."""
    return [
        process.pid
        for process in processes.marked(made.state)
        if b"serving.workers.host" in _command(process.pid)
    ]


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def container(made: Lab) -> list[int]:
    """All processes of the instances' containers: of the server, and of the models."""
    fleets = str(made.state / "local" / "fleets")
    found = []
    for process in processes.marked(made.state):
        with contextlib.suppress(OSError):
            line = _command(process.pid)
            if b"mmectl.local" not in line and (
                b"serving" in line or b"mms" in line or fleets.encode() in line
            ):
                found.append(process.pid)
    return found


def ask(runtime: Any, made: Lab, number: int, right: float, seen: Seen) -> None:
    """Ask one model and judge its answer."""
    sent = time.monotonic()
    try:
        answer = runtime.invoke_endpoint(
            EndpointName=ENDPOINT,
            TargetModel=made.targets[number],
            ContentType=TYPE,
            Accept=TYPE,
            Body=ROW,
        )
        said = float(answer["Body"].read())
    except ClientError as error:
        seen.failed[str(error)[-300:]] += 1
        return
    except (BotoCoreError, OSError, ValueError, TypeError) as error:
        seen.failed[f"{type(error).__name__} {error}"[:300]] += 1
        return
    seen.took.append(time.monotonic() - sent)
    seen.cold += "mmectl-cold=true" in answer.get("CustomAttributes", "")
    if abs(said - right) > TOLERANCE:
        seen.wrong.append(f"model {number}: {said} instead of {right}")


def clients(made: Lab, example: float, seconds: float, asked: int, seen: Seen) -> None:
    """Let the clients ask models at random until time is up."""
    runtime = made.client("sagemaker-runtime", CLIENTS)
    end = time.monotonic() + seconds

    def client(seed: int) -> None:
        choose = random.Random(seed)
        while time.monotonic() < end:
            number = choose.randrange(asked)
            ask(runtime, made, number, answer_of(number, example), seen)

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def kill(made: Lab, stop: threading.Event, pause: float, seen: Seen) -> None:
    """Kill a host now and then, until told to stop."""
    choose = random.Random(1)
    while not stop.wait(choose.uniform(0.5, 1.5) * pause):
        found = hosts(made)
        if found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(choose.choice(found), signal.SIGKILL)
                seen.kills += 1


def watch(made: Lab, stop: threading.Event, seen: Seen) -> None:
    """Look at what the container really holds, and at what the platform believes."""
    while not stop.wait(2):
        seen.memory.append(sum(pss(pid, "Pss_Anon:") for pid in container(made)))
        for row in made.rows():
            seen.accounted.append(row["memory_used_mb"])
            seen.models = max(seen.models, len(row["models"]))


def judged(seen: Seen, memory_mb: int, left: list[str]) -> Iterator[Result]:
    """The figures against their goals."""
    took = sorted(seen.took) or [math.nan]
    times = f"{len(took)}, {statistics.median(took) * 1000:.0f} ms, {took[-1]:.1f} s"
    yield Result("answers, median, slowest", times, "", None)
    yield Result("loads, hosts killed", f"{seen.cold}, {seen.kills}", "", None)
    unanswered = sum(seen.failed.values())
    yield Result("requests without an answer", str(unanswered), "0", not unanswered)
    for text, count in seen.failed.most_common(5):
        yield Result(f"  {count} x", text, "", None)
    yield Result("wrong answers", str(len(seen.wrong)), "0", not seen.wrong)
    for text in seen.wrong[:5]:
        yield Result("  " + text, "", "", None)
    figure = f"{seen.models}, {max(seen.accounted):.0f} of {memory_mb} MB"
    met = max(seen.accounted) <= memory_mb + LATE_MB
    yield Result("models in memory at most, by the platform", figure, f"{LATE_MB} MB over", met)
    allowed = memory_mb + SERVER_MB
    most = max(seen.memory) / _MIB
    figure = f"{most:.0f} of {allowed} MB"
    yield Result("the container's processes at most", figure, "within", most <= allowed)
    yield Result("left after the stop", ", ".join(left) or "nothing", "nothing", not left)


def run(
    seconds: float = SECONDS,
    models: int = MODELS,
    asked: int = ASKED,
    memory_mb: int = MEMORY_MB,
    pause: float = PAUSE,
) -> Iterator[Result]:
    """Measure on a platform of our own that is gone afterwards."""
    seen, stop = Seen(), threading.Event()
    example = _example_answer()
    with lab(models, memory_mb) as made:
        beside = [
            threading.Thread(target=kill, args=(made, stop, pause, seen)),
            threading.Thread(target=watch, args=(made, stop, seen)),
        ]
        for thread in beside:
            thread.start()
        try:
            clients(made, example, seconds, asked, seen)
        finally:
            stop.set()
            for thread in beside:
                thread.join()
        left = made.stop()
    yield from explained(made, judged(seen, memory_mb, left))


def _example_answer() -> float:
    """What XGBoost answers for the row with the example's own base score."""
    expected = json.loads((EXAMPLE / "expected.json").read_text())
    return float(expected["answers"]["rows.csv"][1])


def main(arguments: list[str]) -> int:
    """Print the figures; 1 where a goal was missed."""
    seconds = float(arguments[0]) if arguments else SECONDS
    lines = list(run(seconds))
    return printed(f"{NAME}, {seconds:g} s", lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

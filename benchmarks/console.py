"""What the console costs while it is open: 5,000 models on one instance, 200 requests a second.

``python -m benchmarks.console [models [seconds]]``. The same load goes on while no page is open,
while a page of a real Chromium shows the instance, and without it again; what the platform takes
more of a core in between is the price. The page says how far apart its frames are.
"""

from __future__ import annotations

import contextlib
import json
import math
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.host_soak import ROW, TYPE, lab
from benchmarks.lab import BUCKET, ENDPOINT, PREFIX, Lab
from benchmarks.report import Result, Unavailable, printed
from mmectl.local.client import platform

NAME = "console: 5,000 models and 200 requests a second behind an open page"
MODELS, SECONDS, RATE, CLIENTS = 5000, 20.0, 200, 8
MEMORY_MB = 4000
CHROMIUM = Path("/usr/bin/chromium")
SHARE = 2.0  # % of a core that the platform may take more
_FRAMES = """seconds => new Promise((done) => {
  const took = [];
  let last = performance.now();
  const begun = last;
  const frame = (now) => {
    took.push(now - last);
    last = now;
    if (now - begun < seconds * 1000) requestAnimationFrame(frame);
    else done(took.slice(1));
  };
  requestAnimationFrame(frame);
})"""


class Load:
    """`RATE` requests a second, each to the next of all models."""

    def __init__(self, made: Lab) -> None:
        self._made, self._stop = made, threading.Event()
        self._threads = [threading.Thread(target=self._client, args=(n,)) for n in range(CLIENTS)]
        self.answered = 0
        self.failed: list[str] = []

    @contextlib.contextmanager
    def going_on(self) -> Iterator[Load]:
        """While the context lasts."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    def _client(self, number: int) -> None:
        runtime = self._made.client("sagemaker-runtime", 2)
        every, due = CLIENTS / RATE, time.monotonic()
        while not self._stop.wait(max(due - time.monotonic(), 0)):
            due += every
            number = (number + CLIENTS) % self._made.models
            try:
                asked(runtime, self._made.targets[number])
                self.answered += 1
            except Exception as error:  # noqa: BLE001 - counted, whatever it was
                self.failed.append(f"{type(error).__name__}: {error}")


def asked(runtime: Any, target: str) -> None:
    """Ask one model."""
    answer = runtime.invoke_endpoint(
        EndpointName=ENDPOINT, TargetModel=target, ContentType=TYPE, Accept=TYPE, Body=ROW
    )
    answer["Body"].read()


def warm(made: Lab) -> None:
    """Ask every model once."""

    def some(first: int) -> None:
        runtime = made.client("sagemaker-runtime", 2)
        for target in made.targets[first::CLIENTS]:
            asked(runtime, target)

    threads = [threading.Thread(target=some, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextlib.contextmanager
def console(made: Lab) -> Iterator[tuple[str, psutil.Process]]:
    """A console for that platform: its address, and its process."""
    config = (
        f"platform: local\nendpoint: {{name: {ENDPOINT}}}\n"
        f"bucket: {{name: {BUCKET}, prefix: {PREFIX}}}\n"
        f"local: {{state_dir: {made.state}, runtime: process, memory_mb: {MEMORY_MB}}}\n"
    )
    with tempfile.TemporaryDirectory(prefix="mme") as folder:
        Path(folder, "config.yaml").write_text(config)
        command = [sys.executable, "-m", "mmectl", "console", "--no-browser", "--json"]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as running:
            if running.stdout is None:
                raise Unavailable("the console has no output")
            yield json.loads(running.stdout.readline())["url"], psutil.Process(running.pid)
            running.send_signal(signal.SIGINT)


@contextlib.contextmanager
def page(address: str) -> Iterator[Any]:
    """The page Endpoint in Chromium, with every model in it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = chromium.new_page()
        shown.goto(address)
        shown.locator("canvas[aria-label*='models']").wait_for(timeout=60_000)
        yield shown
        chromium.close()


def share(process: psutil.Process, seconds: float) -> float:
    """% of a core that a process takes."""
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    return 100 * (after.user + after.system - before.user - before.system) / seconds


def run(models: int = MODELS, seconds: float = SECONDS) -> Iterator[Result]:
    """Measure; raises Unavailable without Chromium."""
    if not CHROMIUM.exists():
        raise Unavailable(f"{CHROMIUM} is missing: apt-get install chromium")
    with lab(models, MEMORY_MB) as made:
        warm(made)
        found = platform.find(made.state)
        if found is None:
            raise Unavailable("the platform is not running")
        serving = psutil.Process(found.pid)
        with Load(made).going_on() as load, console(made) as (address, process):
            time.sleep(3)
            without = share(serving, seconds)
            idle = share(process, 3)
            with page(address) as shown:
                time.sleep(3)
                label = shown.locator("canvas").first.get_attribute("aria-label")
                beside: list[float] = []
                watching = threading.Thread(target=lambda: beside.append(share(serving, seconds)))
                watching.start()
                cost = psutil.Process(process.pid)
                before = cost.cpu_times()
                frames = sorted(shown.evaluate(_FRAMES, seconds))
                after = cost.cpu_times()
                watching.join()
            spent = after.user + after.system - before.user - before.system
            again = share(serving, seconds)
            answered, failed = load.answered, load.failed
    base = (without + again) / 2
    more = beside[0] - base
    yield Result("models on the page", str(label), "", None)
    yield Result("requests answered, failed", f"{answered}, {len(failed)}", "0 failed", not failed)
    for text in failed[:3]:
        yield Result(f"  {text[:200]}", "", "", None)
    figure = f"{base:.1f} %, {beside[0]:.1f} %"
    yield Result("platform, of a core: page closed, open", figure, "", None)
    yield Result("more while it is open", f"{more:.1f} %", f"under {SHARE:g} %", more < SHARE)
    figure = f"{idle:.1f} %, {100 * spent / seconds:.1f} %"
    yield Result("console, of a core: page closed, open", figure, "0 % closed", idle < 0.5)
    late = frames[math.ceil(0.99 * len(frames)) - 1]
    figure = f"{frames[len(frames) // 2]:.0f}, {late:.0f}, {frames[-1]:.0f} ms"
    yield Result("between frames: median, p99, most", figure, "p99 under 50 ms", late < 50)


def main(arguments: list[str]) -> int:
    """Print the figures; 1 where a goal was missed."""
    models = int(arguments[0]) if arguments else MODELS
    seconds = float(arguments[1]) if len(arguments) > 1 else SECONDS
    return printed(NAME, list(run(models, seconds)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

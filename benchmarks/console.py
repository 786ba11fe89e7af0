"""What the console costs while it is open: 5,000 models on one instance, 200 requests a second.

``python -m benchmarks.console [models [seconds]]``. The same load goes on while no page is open,
while a real Chromium shows the instance and then scrolls through the list of models, and without it
again; what the platform takes more of a core in between is the price. Pages say how far apart their
frames are.
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
from dataclasses import dataclass
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
_FRAMES = """([seconds, scrolled]) => new Promise((done) => {
  const took = [];
  const list = document.querySelector(scrolled);
  let last = performance.now();
  const begun = last;
  const frame = (now) => {
    took.push(now - last);
    last = now;
    if (list) list.scrollTop = (list.scrollTop + 12) % (list.scrollHeight - list.clientHeight);
    if (now - begun < seconds * 1000) requestAnimationFrame(frame);
    else done(took.slice(1));
  };
  requestAnimationFrame(frame);
})"""
# what is measured of each page: what is waited for, and what is scrolled all the time
PAGES = {"endpoint": ("canvas[aria-label*='models']", "none"), "models": ("#models", "#models")}


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
def browser() -> Iterator[Any]:
    """A tab of Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium.new_page()
        chromium.close()


@dataclass(slots=True)
class Watched:
    """A page that was open: % of a core, milliseconds between frames, elements of the document."""

    platform: float
    console: float
    frames: list[float]
    elements: int
    label: str


def watched(
    tab: Any, name: str, processes: tuple[psutil.Process, psutil.Process], seconds: float
) -> Watched:
    """Look at a page for a while."""
    tab.evaluate("name => { location.hash = `#/${name}`; }", name)
    awaited, scrolled = PAGES[name]
    tab.locator(awaited).first.wait_for(timeout=60_000)
    time.sleep(3)
    shares = [0.0, 0.0]

    def measure(which: int) -> None:
        shares[which] = share(processes[which], seconds)

    threads = [threading.Thread(target=measure, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    frames = sorted(tab.evaluate(_FRAMES, [seconds, scrolled]))
    for thread in threads:
        thread.join()
    label = tab.locator(awaited).first.get_attribute("aria-label")
    elements = tab.evaluate("document.querySelectorAll('*').length")
    return Watched(shares[0], shares[1], frames, elements, label or "")


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
            with browser() as tab:
                tab.goto(address)
                seen = {name: watched(tab, name, (serving, process), seconds) for name in PAGES}
            time.sleep(3)
            again = share(serving, seconds)
            answered, failed = load.answered, load.failed
    yield Result("requests answered, failed", f"{answered}, {len(failed)}", "0 failed", not failed)
    for text in failed[:3]:
        yield Result(f"  {text[:200]}", "", "", None)
    figure = f"{without:.1f} %, {again:.1f} %"
    yield Result("platform, of a core: page closed, before and after", figure, "", None)
    yield Result("console, of a core: page closed", f"{idle:.1f} %", "0 %", idle < 0.5)
    for name, one in seen.items():
        yield from _results(name, one, (without + again) / 2)


def _results(name: str, seen: Watched, base: float) -> Iterator[Result]:
    more, frames = seen.platform - base, seen.frames
    if seen.label:
        yield Result(f"{name}: on the page", seen.label, "", None)
    figure = f"{seen.platform:.1f} %, {more:+.1f} %"
    yield Result(f"{name}: platform, of a core; more", figure, f"under {SHARE:g} %", more < SHARE)
    yield Result(f"{name}: console, of a core", f"{seen.console:.1f} %", "", None)
    late = frames[math.ceil(0.99 * len(frames)) - 1]
    figure = f"{frames[len(frames) // 2]:.0f}, {late:.0f}, {frames[-1]:.0f} ms"
    yield Result(f"{name}: between frames: median, p99, most", figure, "p99 under 50 ms", late < 50)
    yield Result(f"{name}: elements", str(seen.elements), "under 3000", seen.elements < 3000)


def main(arguments: list[str]) -> int:
    """Print the figures; 1 where a goal was missed."""
    models = int(arguments[0]) if arguments else MODELS
    seconds = float(arguments[1]) if len(arguments) > 1 else SECONDS
    return printed(NAME, list(run(models, seconds)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

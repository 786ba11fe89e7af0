"""What the console costs while it is open: 5,000 models on one instance, 200 requests a second.

``python -m benchmarks.console [models [seconds]]``. A real Chromium is on no page of the console,
shows the instance, and scrolls through the list of models: first while nobody asks the platform,
then under load. What the platform takes more of a core is the price. Pages say how far apart their
frames are.
"""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
            running.terminate()  # in the background SIGINT may be ignored


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
    """A page for a while: % of a core, requests answered, milliseconds between frames, elements."""

    platform: float
    console: float
    answered: int
    seconds: float
    frames: list[float] = field(default_factory=list)
    elements: int = 0
    label: str = ""

    @property
    def each(self) -> float:
        """Milliseconds of a processor that the platform took for each request."""
        return 10 * self.platform * self.seconds / max(self.answered, 1)


@dataclass(slots=True)
class Look:
    """Looks at each page for so many seconds, and at none for as long."""

    tab: Any
    origin: str
    serving: psutil.Process
    console: psutil.Process
    seconds: float

    def all(self, answered: Callable[[], int]) -> dict[str, Watched]:
        """By the name of the page; `none`: the tab is on none of the console's."""
        self.tab.goto("about:blank")
        time.sleep(3)
        found = {"none": self._measured(answered, lambda: time.sleep(self.seconds))}
        return found | {name: self._page(name, answered) for name in PAGES}

    def _page(self, name: str, answered: Callable[[], int]) -> Watched:
        self.tab.goto(f"{self.origin}/#/{name}")
        awaited, scrolled = PAGES[name]
        self.tab.locator(awaited).first.wait_for(timeout=60_000)
        time.sleep(3)
        frames: list[float] = []
        one = self._measured(
            answered, lambda: frames.extend(self.tab.evaluate(_FRAMES, [self.seconds, scrolled]))
        )
        one.frames = sorted(frames)
        one.label = self.tab.locator(awaited).first.get_attribute("aria-label") or ""
        one.elements = self.tab.evaluate("document.querySelectorAll('*').length")
        return one

    def _measured(self, answered: Callable[[], int], meanwhile: Callable[[], None]) -> Watched:
        began, before = time.monotonic(), answered()
        spent = [used(one) for one in (self.serving, self.console)]
        meanwhile()
        took = time.monotonic() - began
        shares = [
            100 * (used(one) - was) / took
            for one, was in zip((self.serving, self.console), spent, strict=True)
        ]
        return Watched(shares[0], shares[1], answered() - before, took)


def used(process: psutil.Process) -> float:
    """Seconds of a processor that a process took."""
    times = process.cpu_times()
    return times.user + times.system


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
        with console(made) as (address, process), browser() as tab:
            tab.goto(address)
            look = Look(tab, address.partition("/#")[0], serving, process, seconds)
            unasked = look.all(lambda: 0)
            with Load(made).going_on() as load:
                asked_for = look.all(lambda: load.answered)
                answered, failed = load.answered, load.failed
    yield Result("requests answered, failed", f"{answered}, {len(failed)}", "0 failed", not failed)
    for text in failed[:3]:
        yield Result(f"  {text[:200]}", "", "", None)
    yield from _results("no requests", unasked)
    yield from _results("requests", asked_for)


def _results(kind: str, seen: dict[str, Watched]) -> Iterator[Result]:
    """How each page did beside none.

    The share of a core counts where nobody asks: beside other work a platform that is asked gets
    less of the processors while Chromium draws.
    """
    shut = seen["none"]
    yield Result(f"{kind}, page closed: platform, of a core", f"{shut.platform:.1f} %", "", None)
    figure, met = f"{shut.console:.1f} %", shut.console < 0.5
    yield Result(f"{kind}, page closed: console, of a core", figure, "0 %", met)
    for name in PAGES:
        one = seen[name]
        yield from _of_page(f"{kind}, {name}", one, one.platform - shut.platform, shut)


def _of_page(name: str, one: Watched, more: float, shut: Watched) -> Iterator[Result]:
    if one.label:
        yield Result(f"{name}: shows", one.label, "", None)
    if one.answered:
        figure = f"{shut.each:.2f}, {one.each:.2f} ms"
        yield Result(f"{name}: platform, each request: closed, open", figure, "", None)
        yield Result(f"{name}: platform, of a core; more", f"{one.platform:.1f} %", "", None)
    else:
        figure = f"{one.platform:.1f} %, {more:+.1f} %"
        yield Result(f"{name}: platform; more", figure, f"under {SHARE:g} %", more < SHARE)
    yield Result(f"{name}: console, of a core", f"{one.console:.1f} %", "", None)
    late = one.frames[math.ceil(0.99 * len(one.frames)) - 1]
    figure = f"{one.frames[len(one.frames) // 2]:.0f}, {late:.0f}, {one.frames[-1]:.0f} ms"
    yield Result(f"{name}: frames: median, p99, most", figure, "p99 under 50 ms", late < 50)
    yield Result(f"{name}: elements", str(one.elements), "under 3000", one.elements < 3000)


def main(arguments: list[str]) -> int:
    """Print the figures; 1 where a goal was missed."""
    models = int(arguments[0]) if arguments else MODELS
    seconds = float(arguments[1]) if len(arguments) > 1 else SECONDS
    return printed(NAME, list(run(models, seconds)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Many clients on more models than an instance can hold: errors, memory, hits, leftovers.

``python -m benchmarks.soak [seconds] [--faults [seed]]``; the faults are in `benchmarks.faults`.
"""

from __future__ import annotations

import random
import statistics
import sys
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from botocore.exceptions import BotoCoreError, ClientError

from benchmarks.lab import Lab, explained, lab
from benchmarks.report import Result, printed

NAME = "soak: 60 models on an instance that can hold 8, 16 clients, by Zipf's law"
MODELS, HOLD, CLIENTS = 60, 8, 16
ROOM = 0.4  # of a model, on top of those that fit
SECONDS = 300.0
SAMPLE = 0.5  # seconds between two looks at memory
POINTS = 5.0  # of the hit rate
DESCRIPTORS = 40  # how many more the server may have open in the end than in the middle


@dataclass(frozen=True, slots=True)
class Call:
    """One request: when it was sent and answered (monotonic seconds), and how.

    `cold` is None and `error` the code with its message where it failed.
    """

    sent: float
    answered: float
    target: str
    cold: bool | None = None
    error: str = ""


@dataclass(slots=True)
class Watched:
    """What was seen of the machine: bytes of models, open files of the server."""

    memory: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)


def ideal_hits(targets: Sequence[str], size: int) -> int:
    """The hits of a least-recently-used cache of that many models."""
    cache: OrderedDict[str, None] = OrderedDict()
    hits = 0
    for target in targets:
        if target in cache:
            hits += 1
            cache.move_to_end(target)
            continue
        cache[target] = None
        if len(cache) > size:
            cache.popitem(last=False)
    return hits


def outcome(made: Lab, runtime: object, target: str) -> Call:
    """Ask once."""
    sent = time.monotonic()
    try:
        cold = made.invoke(runtime, target)
    except ClientError as error:
        details = error.response["Error"]
        return Call(
            sent,
            time.monotonic(),
            target,
            error=f"{details['Code']} {details.get('Message', '')}",
        )
    except (BotoCoreError, OSError, ValueError) as error:
        return Call(sent, time.monotonic(), target, error=f"{type(error).__name__} {error}")
    return Call(sent, time.monotonic(), target, cold)


def load(
    made: Lab, seconds: float, clients: int = CLIENTS, seed: int = 0, models: int | None = None
) -> list[Call]:
    """Let so many clients ask for so long; every request, in the order of sending.

    They ask for the `models` most wanted, or for all.
    """
    runtime = made.client("sagemaker-runtime", clients)
    targets = made.targets[:models]
    weights = list(accumulate(1 / (rank + 1) for rank in range(len(targets))))
    calls: list[Call] = []
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        choose = random.Random(seed * 1000 + number)
        while time.monotonic() < end:
            (target,) = choose.choices(targets, cum_weights=weights)
            calls.append(outcome(made, runtime, target))
            if calls[-1].error:
                time.sleep(0.05)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(calls, key=lambda call: call.sent)


def watch(made: Lab, stop: threading.Event, seen: Watched) -> None:
    """Look at memory and open files until told to stop."""
    while not stop.wait(SAMPLE):
        seen.memory.append(made.memory())
        seen.descriptors.append(made.descriptors())


def watched_load(made: Lab, seconds: float, seed: int = 0) -> tuple[list[Call], Watched]:
    """Load, and what was seen meanwhile."""
    stop, seen = threading.Event(), Watched()
    watcher = threading.Thread(target=watch, args=(made, stop, seen))
    watcher.start()
    try:
        calls = load(made, seconds, seed=seed)
    finally:
        stop.set()
        watcher.join()
    return calls, seen


def judged(
    calls: Sequence[Call], seen: Watched, budget: int, hold: int, left: Sequence[str]
) -> Iterator[Result]:
    """The figures; `budget` in bytes is room for `hold` models."""
    model = budget / (hold + ROOM)
    failed = Counter(call.error for call in calls if call.error)
    took = sorted(call.answered - call.sent for call in calls)
    rate = len(calls) / (calls[-1].answered - calls[0].sent)
    times = f"{len(calls)}, {rate:.0f}/s, {statistics.median(took):.3f} s, {took[-1]:.1f} s"
    yield Result("requests, rate, median, slowest", times, "", None)
    yield Result("failed requests", str(sum(failed.values())), "0", not failed)
    for text, count in failed.most_common(5):
        yield Result(f"  {count} x", text[:200], "", None)
    over = (max(seen.memory) - budget) / 2**20
    figure = f"{max(seen.memory) / 2**20:.0f} of {budget / 2**20:.0f} MB"
    goal = f"<= one model ({model / 2**20:.0f} MB) over"
    yield Result("memory of the models at most", figure, goal, over <= model / 2**20)
    answered = [call for call in calls if not call.error]
    real = 100 * sum(call.cold is False for call in answered) / len(answered)
    ideal = 100 * ideal_hits([call.target for call in answered], hold) / len(answered)
    figure = f"{real:.1f} against {ideal:.1f} %"
    yield Result("hits against an ideal LRU", figure, f"within {POINTS:g}", real > ideal - POINTS)
    middle, end = seen.descriptors[len(seen.descriptors) // 2], seen.descriptors[-1]
    figure = f"{middle}, {end}"
    met = end <= middle + DESCRIPTORS
    yield Result("open files: middle, end", figure, f"<= {DESCRIPTORS} more", met)
    yield Result("left after the stop", ", ".join(left) or "nothing", "nothing", not left)


def run(seconds: float = SECONDS, models: int = MODELS, hold: int = HOLD) -> Iterator[Result]:
    """Measure on a platform of our own that is gone afterwards."""
    # the memory of replicas is not in the instance's budget: they come and go with the requests
    with lab(models, hold + ROOM, workers=1) as made:
        calls, seen = watched_load(made, seconds)
        budget = (made.memory_mb or 0) << 20
        left = made.stop()
    yield from explained(made, judged(calls, seen, budget, hold, left))


def main(arguments: list[str]) -> int:
    """Print the figures; 1 where a goal was missed."""
    seconds = float(arguments[0]) if arguments else SECONDS
    if "--faults" in arguments:
        from benchmarks import faults

        seed = arguments[arguments.index("--faults") + 1 :]
        lines = list(faults.run(seconds, int(seed[0]) if seed else random.randrange(1000)))
    else:
        lines = list(run(seconds))
    return printed(f"{NAME}, {seconds:g} s", lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

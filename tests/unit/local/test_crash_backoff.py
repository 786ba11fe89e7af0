"""How long a model is refused whose load ended its worker."""

from __future__ import annotations

from pathlib import Path

from mmectl.local.fleet.crash_backoff import CrashBackoff
from mmectl.local.instance.http_client import Answer

A, B = Path("a"), Path("b")
CRASHED = Answer(500)


def test_one_crash_is_nothing_and_each_further_one_counts_twice() -> None:
    loads = CrashBackoff(first=60, most=200)
    pauses = []
    now = 0.0
    for _ in range(5):
        loads.crashed(A, CRASHED, "SIGFPE", now)
        crash = loads.refused(A, now)
        pauses.append(crash.until - now if crash else 0)
        now += pauses[-1]
        assert loads.refused(A, now) is None
    assert pauses == [0, 60, 120, 200, 200]
    assert loads.refused(B, 0) is None


def test_a_load_that_works_clears_it() -> None:
    loads = CrashBackoff(first=60, most=200)
    loads.crashed(A, CRASHED, None, 0)
    loads.loaded(A)
    loads.crashed(A, CRASHED, None, 1)
    assert loads.refused(A, 1) is None


def test_few_are_remembered() -> None:
    loads = CrashBackoff(first=60, most=200)
    for number in range(2000):
        for _ in range(2):
            loads.crashed(Path(str(number)), CRASHED, None, 0)
    assert loads.refused(Path("0"), 0) is None
    assert loads.refused(Path("1999"), 0) is not None

"""Closed and open loops against a fake endpoint with a clock of its own."""

from __future__ import annotations

import itertools
import threading

import pytest

from mmectl.base.errors import InvokeError
from mmectl.invoke import Answer, Request
from mmectl.traffic.driver import Load, drive


class Clock:
    """Time that moves when somebody waits or works."""

    def __init__(self):
        self.now = 0.0
        self.lock = threading.Lock()

    def __call__(self):
        return self.now

    def pass_(self, seconds):
        with self.lock:
            self.now += seconds

    def pause(self, _event, seconds):
        self.pass_(seconds)


class Endpoint:
    """Answers after some time; `says` gives the attributes or an error by the model's name."""

    def __init__(self, clock, takes=0.1, says=None):
        self.clock, self.takes, self.says = clock, takes, says or {}
        self.asked = []

    def invoke(self, request):
        self.asked.append(request.target_model)
        self.clock.pass_(self.takes)
        said = self.says.get(request.target_model, "mmectl-cold=false")
        if isinstance(said, Exception):
            raise said
        return Answer(b"[]", "application/json", "v", said)


def requests(*models):
    return (Request("e", model, b"x") for model in itertools.cycle(models))


def run(endpoint, load, models=("a",), **more):
    clock = endpoint.clock
    return list(drive(endpoint, requests(*models), load, clock=clock, pause=clock.pause, **more))


def test_a_count_is_exact_with_many_threads():
    endpoint = Endpoint(Clock())
    assert len(run(endpoint, Load(8, count=100))) == 100
    assert len(endpoint.asked) == 100


def test_a_duration_ends_it():
    samples = run(Endpoint(Clock(), takes=0.25), Load(1, duration=1.0))
    assert [item.due for item in samples] == [0.0, 0.25, 0.5, 0.75]


def test_kinds_and_errors_are_told_apart():
    says = {"c": "mmectl-cold=true", "u": None, "e": InvokeError("e: no", code="model_error")}
    samples = run(Endpoint(Clock(), says=says), Load(1, count=4), models=("c", "w", "u", "e"))
    assert [item.kind for item in samples] == ["cold", "warm", "unknown", "error"]
    assert (samples[3].error, samples[3].message) == ("model_error", "e: no")


def test_an_open_loop_sends_when_due():
    due = iter([0.0, 1.0, 5.0, 6.0])
    samples = run(Endpoint(Clock(), takes=0.5), Load(1, count=4), due=due)
    assert [item.sent for item in samples] == [0.0, 1.0, 5.0, 6.0]
    assert [item.seconds for item in samples] == [0.5] * 4


def test_an_open_loop_counts_from_when_due_not_from_when_sent():
    samples = run(Endpoint(Clock(), takes=2.0), Load(1, count=3), due=iter([0.0, 1.0, 2.0]))
    assert [item.sent for item in samples] == [0.0, 2.0, 4.0]
    assert [item.seconds for item in samples] == [2.0, 3.0, 4.0]


def test_an_open_loop_ends_with_its_duration():
    samples = run(Endpoint(Clock()), Load(2, duration=3.0), due=itertools.count(0.0, 1.0))
    assert [item.due for item in samples] == [0.0, 1.0, 2.0]


def test_closing_sends_nothing_more():
    endpoint = Endpoint(Clock())
    running = drive(endpoint, requests("a"), Load(1), clock=endpoint.clock)
    next(running)
    running.close()
    threads = [t for t in threading.enumerate() if t.name.startswith("bench-")]
    for thread in threads:
        thread.join(5)
    sent = len(endpoint.asked)
    assert not any(thread.is_alive() for thread in threads)
    assert sent == len(endpoint.asked)


def test_a_bug_is_not_swallowed():
    endpoint = Endpoint(Clock(), says={"a": RuntimeError("bug")})
    with pytest.raises(RuntimeError, match="bug"):
        run(endpoint, Load(2, count=5))


def test_requests_that_end_end_the_run():
    clock = Clock()
    finite = iter([Request("e", "a", b"x")])
    assert len(list(drive(Endpoint(clock), finite, Load(3), clock=clock))) == 1

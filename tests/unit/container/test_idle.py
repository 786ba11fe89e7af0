"""What is done once a worker is idle."""

from __future__ import annotations

import signal

import pytest
from serving.workers import idle
from serving.workers.idle import Idle


@pytest.fixture
def timer(monkeypatch):
    """The timer's settings instead of the timer, and the signal's handler."""
    settings: list[float] = []
    handlers: list = []
    monkeypatch.setattr(signal, "setitimer", lambda _which, seconds: settings.append(seconds))
    monkeypatch.setattr(signal, "signal", lambda _number, handler: handlers.append(handler))
    return settings, handlers


def test_the_action_waits_for_the_end_of_the_work(timer):
    settings, handlers = timer
    done = []

    def rest() -> bool:
        done.append(1)
        return False

    resting = Idle(5, rest)
    with resting.busy():
        assert settings == [0]
        handlers[0]()  # a signal that was on its way
        assert done == []
    assert settings == [0, 5]
    handlers[0]()
    assert done == [1]
    with resting.busy():
        pass
    assert len(handlers) == 1


def test_what_is_not_done_yet_is_tried_again(timer):
    settings, handlers = timer
    said = [True, False]
    with Idle(5, lambda: said.pop(0)).busy():
        pass
    handlers[0]()
    assert settings == [0, 5, 5]
    handlers[0]()
    assert settings == [0, 5, 5]


def test_zero_is_never(timer):
    with Idle(0, lambda: False).busy():
        pass
    assert timer == ([], [])


@pytest.mark.parametrize(
    ("text", "seconds"), [("2.5", 2.5), ("0", 0), ("-1", 0), ("soon", idle.SECONDS)]
)
def test_the_variable(text, seconds):
    assert idle.seconds({"MMECTL_IDLE_SECONDS": text}) == seconds
    assert idle.seconds({}) == idle.SECONDS

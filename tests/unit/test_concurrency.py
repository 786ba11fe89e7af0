"""A few calls at a time: order, width, errors, closing, Ctrl-C."""

from __future__ import annotations

import threading

import pytest

from mmectl.base.concurrency import as_completed, at_once, until_interrupted


class Gauge:
    """Counts the calls that are under way; each ends once `together` of them have met."""

    def __init__(self, together: int) -> None:
        self.most = self._now = 0
        self._lock = threading.Lock()
        self._barrier = threading.Barrier(together)

    def __call__(self, item: int) -> int:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self._barrier.wait(10)
        with self._lock:
            self._now -= 1
        return item * 10


def test_results_are_in_order_and_calls_as_many_as_allowed():
    gauge = Gauge(3)
    assert at_once(gauge, range(9), 3) == [item * 10 for item in range(9)]
    assert gauge.most == 3


def test_one_item_is_called_here():
    assert at_once(lambda _: threading.current_thread(), [1]) == [threading.current_thread()]
    assert at_once(int, []) == []


def test_results_come_as_they_are_there():
    first = threading.Event()

    def call(item: int) -> int:
        if item == 0:
            assert first.wait(10)
        return item

    results = as_completed(call, [0, 1, 2], 2)
    assert [next(results), next(results)] == [1, 2]
    first.set()
    assert list(results) == [0]


def test_an_item_is_taken_when_there_is_room_for_it():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    results = as_completed(lambda item: item, items(), 2)
    next(results)
    results.close()
    assert len(taken) <= 4


def test_the_first_error_is_raised():
    def call(item: int) -> float:
        return 1 / item

    with pytest.raises(ZeroDivisionError):
        list(as_completed(call, [0, 1], 1))
    with pytest.raises(ZeroDivisionError):
        until_interrupted(call, [1, 0], 2, threading.Event())


@pytest.mark.parametrize("leave", [False, True])
def test_closing_waits_for_what_is_under_way_unless_it_is_left(leave):
    begun, release, ended = threading.Event(), threading.Event(), threading.Event()

    def call(item: int) -> int:
        if item == 0:
            assert begun.wait(10)
        else:
            begun.set()
            if not leave:  # closing has to wait for this one
                threading.Timer(0.05, release.set).start()
            release.wait(10)
            ended.set()
        return item

    results = as_completed(call, [0, 1], 2, leave=leave)
    assert next(results) == 0
    results.close()
    assert ended.is_set() is not leave
    release.set()
    assert ended.wait(10)


def test_pairs_are_in_order():
    pairs, interrupted = until_interrupted(lambda item: -item, [3, 1, 2], 2, threading.Event())
    assert (pairs, interrupted) == ([(3, -3), (1, -1), (2, -2)], False)


def test_after_ctrl_c_no_call_goes_on_and_what_has_ended_is_told():
    stop, begun, running = threading.Event(), threading.Event(), []

    def call(item: int) -> int:
        if item == 0:
            return item
        if item == 1:
            assert begun.wait(10)
            raise KeyboardInterrupt
        running.append(item)
        begun.set()
        assert stop.wait(10)
        running.remove(item)
        return item

    pairs, interrupted = until_interrupted(call, [0, 1, 2], 3, stop)
    assert interrupted
    assert stop.is_set()
    assert pairs[0] == (0, 0)
    assert 1 not in dict(pairs)
    assert running == []

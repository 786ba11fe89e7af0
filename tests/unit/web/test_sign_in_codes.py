"""Codes that sign a tab in."""

from __future__ import annotations

import pytest

from mmectl.web import codes
from mmectl.web.codes import Codes


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_code_is_good_once():
    found = Codes()
    code = found.issue()
    assert found.spend(code)
    assert not found.spend(code)


def test_a_code_is_good_for_a_short_time():
    clock = Clock()
    found = Codes(clock)
    one, other = found.issue(), found.issue()
    clock.now = codes.LIFETIME - 1
    assert found.spend(one)
    clock.now = codes.LIFETIME
    assert not found.spend(other)


@pytest.mark.parametrize("code", ["", "x", "\udcff", "a" * 10_000])
def test_others_are_not(code):
    found = Codes()
    found.issue()
    assert not found.spend(code)


def test_after_many_wrong_ones_none_is_heard_for_a_while():
    clock = Clock()
    found = Codes(clock)
    code = found.issue()
    for _ in range(codes.WRONG):
        assert found.wait() == 0
        assert not found.spend("wrong")
    assert not found.spend(code)
    clock.now = codes.WITHIN - 1
    assert found.wait() == 1
    clock.now = codes.WITHIN
    assert found.spend(code)  # it was not lost


def test_wrong_ones_now_and_then_keep_nobody_out():
    clock = Clock()
    found = Codes(clock)
    for n in range(3 * codes.WRONG):
        clock.now = n * codes.WITHIN / (codes.WRONG - 2)
        assert not found.spend("wrong")
        assert found.wait() == 0


def test_the_oldest_of_too_many_goes():
    found = Codes()
    first, *_, last = [found.issue() for _ in range(codes.MOST + 1)]
    assert not found.spend(first)
    assert found.spend(last)


def test_one_that_was_left_elsewhere_is_asked_for_by_its_digest():
    asked = []

    def elsewhere(kept):
        asked.append(kept)
        return kept == codes.digest("a")

    found = Codes(elsewhere=elsewhere)
    assert found.spend("a")
    assert not found.spend("b")
    assert asked == [codes.digest("a"), codes.digest("b")]

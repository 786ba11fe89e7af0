"""One model over time, from what containers counted between two answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmectl.traffic.course import CURVES, curves
from mmectl.traffic.metrics import Span

WITHIN = Span(0, 600, 120)
NOW = 600.0


def step(begun, ended, requests=0, errors=0, buckets=(), known=True, variant="v"):
    """Between two times, which are told as seconds before now."""
    row = {"begun": NOW - begun, "ended": NOW - ended, "known": known, "variant": variant}
    return row | {"requests": requests, "errors": errors, "buckets": list(buckets)}


def found(*steps, moves=()):
    rows = [{"variant": "v", "ago": NOW - at, "loaded": came} for at, came in moves]
    return curves({"steps": steps, "moves": rows}, WITHIN, NOW)


def test_what_was_counted_is_shared_out_among_the_periods():
    shown = found(step(60, 180, requests=10, errors=2), step(180, 240, requests=4))
    assert shown["requests"] == [[0, 5.0], [120, 9.0]]
    assert shown["errors"] == [[0, 1.0], [120, 1.0]]


def test_a_period_without_requests_is_zero_and_one_that_nobody_counted_is_a_gap():
    shown = found(step(0, 120, requests=3), step(120, 240), step(240, 480, known=False))
    assert shown["requests"] == [[0, 3.0], [120, 0.0]]


def test_latencies_are_of_all_instances_together():
    one = step(0, 120, requests=2, buckets=[(0.1, 2), (1.0, 2), (None, 2)])
    other = step(0, 120, requests=2, buckets=[(0.1, 0), (1.0, 2), (None, 2)])
    shown = found(one, other)
    assert shown["p50"] == [[0, 100_000.0]]
    assert shown["p99"] == [[0, pytest.approx(982_000.0)]]


def test_loads_and_evictions_are_where_they_happened():
    moves = [(10, True), (130, False), (140, True), (-5, True), (601, True)]
    shown = found(step(480, 600, known=False), moves=moves)
    # 240 to 480 nobody was there to see
    assert shown["loads"] == [[0, 1], [120, 1], [480, 0]]
    assert shown["evictions"] == [[0, 0], [120, 1], [480, 0]]
    assert shown["p50"] == shown["requests"] == []


def test_one_variant_alone():
    steps = [step(0, 120, requests=3), step(0, 120, requests=4, variant="w")]
    shown = curves({"steps": steps, "moves": []}, WITHIN, NOW, "w")
    assert shown["requests"] == [[0, 4.0]]


_times = st.floats(1, 590)


@given(st.lists(st.tuples(_times, st.floats(0, 300), st.integers(0, 1000)), max_size=8))
def test_no_request_is_lost_that_falls_into_the_span(rows):
    steps = [step(at, min(at + long, 600), requests) for at, long, requests in rows]
    shown = found(*steps)
    total = sum(value for _, value in shown["requests"])
    assert total == pytest.approx(sum(requests for *_, requests in rows), abs=0.1)
    assert set(shown) == set(CURVES)

"""Statistic sets against plain lists."""

from __future__ import annotations

import math
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmectl.local.metrics.statistics import EXACT, Statistics, decode, encode, merged

numbers = st.lists(
    st.floats(min_value=-1e9, max_value=1e9, allow_subnormal=False), min_size=1, max_size=400
)


def of(values):
    found = Statistics()
    for value in values:
        found.add(value)
    return found


@given(numbers, st.sampled_from([0, 1, 50, 90, 99, 99.9, 100]))
def test_statistics_are_those_of_the_values(values, percent):
    found = of(values)
    assert found.of("SampleCount") == len(values)
    assert (found.of("Minimum"), found.of("Maximum")) == (min(values), max(values))
    assert math.isclose(found.of("Sum"), sum(values), rel_tol=1e-9, abs_tol=1e-6)
    exact = sorted(values)[max(math.ceil(len(values) * percent / 100 - 1e-9) - 1, 0)]
    near = found.of(f"p{percent}")
    if len(set(values)) <= EXACT:
        assert near == exact
    assert math.isclose(near, exact, rel_tol=0.0201, abs_tol=1e-300)


@given(numbers, numbers)
def test_merging_is_counting_together(left, right):
    whole, together = merged([of(left), of(right)]), of(left + right)
    assert whole.of("SampleCount") == together.of("SampleCount")
    assert (whole.low, whole.high) == (together.low, together.high)
    assert math.isclose(whole.total, together.total, rel_tol=1e-9, abs_tol=1e-6)


def test_the_values_are_bounded_over_eight_decades():
    found = of(1.0 + 1.0003**n for n in range(60_000))
    assert found.count == 60_000
    assert len(found.values) < 1_200


def test_what_is_written_is_read():
    for found in (of([0.0, 1.5, 1.5, 1e-9, 123456789.123]), of([0.001 * n for n in range(1, 900)])):
        assert decode(encode(found)) == found.values
    assert decode(b"") == {}


@given(numbers)
def test_any_values_are_read_as_written(values):
    found = of(values)
    assert decode(encode(found)) == found.values


@pytest.mark.parametrize("damaged", [b"nonsense", "[[1.0,2.0]]", zlib.compress(b'{"gaps": 1}')])
def test_damaged_values_cost_the_percentiles_only(damaged):
    found = Statistics(2, 3.0, 1.0, 2.0, decode(damaged))
    assert (found.of("Sum"), found.of("p50")) == (3.0, None)


def test_a_busy_minute_takes_little():
    assert len(encode(of(1.0005**n for n in range(20_000)))) < 600


def test_sets_without_values_have_no_percentiles():
    assert Statistics(3, 6.0, 1.0, 3.0).of("p50") is None
    assert Statistics(3, 6.0, 2.0, 2.0).of("p50") == 2.0


def test_an_unknown_statistic():
    with pytest.raises(ValueError, match="tm99"):
        of([1.0]).of("tm99")

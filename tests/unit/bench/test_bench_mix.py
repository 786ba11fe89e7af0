"""The mix of models and the times of arrival."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise

import pytest

from mmectl.traffic.mix import HOT_SHARE, arrivals, chosen, shares


@pytest.mark.parametrize("pattern", ["even", "zipf", "one-hot"])
@pytest.mark.parametrize("models", [1, 2, 60])
def test_shares_sum_to_one_and_never_rise(pattern, models):
    parts = shares(pattern, models)
    assert len(parts) == models
    assert sum(parts) == pytest.approx(1)
    assert all(a >= b - 1e-12 for a, b in pairwise(parts))


def test_zipf_halves_the_second():
    parts = shares("zipf", 10)
    assert parts[0] / parts[1] == pytest.approx(2)
    assert parts[0] / parts[9] == pytest.approx(10)


def test_an_exponent_of_zero_is_even():
    assert shares("zipf", 4, exponent=0) == pytest.approx((0.25,) * 4)


def test_one_hot_is_hot():
    assert shares("one-hot", 11)[0] == HOT_SHARE
    assert shares("one-hot", 11)[1] == pytest.approx((1 - HOT_SHARE) / 10)


def test_no_models_is_refused():
    with pytest.raises(ValueError, match="model"):
        shares("even", 0)


def test_models_are_asked_as_often_as_their_shares_say():
    names = [f"m{n}" for n in range(5)]
    counts = Counter(islice(chosen(names, shares("zipf", 5), 7), 20_000))
    ranked = [count / 20_000 for _, count in counts.most_common()]
    assert ranked == pytest.approx(shares("zipf", 5), abs=0.02)


def test_a_seed_fixes_the_order():
    first = list(islice(chosen("abc", shares("even", 3), 1), 50))
    assert first == list(islice(chosen("abc", shares("even", 3), 1), 50))
    assert first != list(islice(chosen("abc", shares("even", 3), 2), 50))


def test_arrivals_have_the_rate_and_vary():
    times = list(islice(arrivals(50, 3), 5001))
    assert times[0] == 0
    assert times[-1] == pytest.approx(100, rel=0.1)
    gaps = [b - a for a, b in pairwise(times)]
    assert min(gaps) < 0.002 < 0.05 < max(gaps)

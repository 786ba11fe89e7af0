"""The mix of models in a benchmark: shares of the traffic, and a seeded choice. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Literal

Pattern = Literal["even", "zipf", "one-hot"]
HOT_SHARE = 0.9


def shares(pattern: Pattern, models: int, *, exponent: float = 1.0) -> tuple[float, ...]:
    """The share of the traffic that each model gets; they sum to 1.

    `even`: all alike. `zipf`: the k-th model in proportion to ``1 / k ** exponent``, the usual
    model of popularity (Breslau et al., Web Caching and Zipf-like Distributions, 1999).
    `one-hot`: the first gets nine tenths, the others share the rest.
    """
    if models < 1:
        raise ValueError("there must be a model")
    if pattern == "even" or models == 1:
        return (1 / models,) * models
    if pattern == "one-hot":
        return (HOT_SHARE, *[(1 - HOT_SHARE) / (models - 1)] * (models - 1))
    weights = [1 / rank**exponent for rank in range(1, models + 1)]
    total = sum(weights)
    return tuple(weight / total for weight in weights)


def chosen(models: Sequence[str], parts: Sequence[float], seed: int) -> Iterator[str]:
    """Models without end, each as often as its share says; a seed fixes the order.

    Which models are the popular ones is drawn, too: names in order would make version 1 of the
    first name the hot one in every run.
    """
    choose = random.Random(seed)
    ranked = list(models)
    choose.shuffle(ranked)
    bounds = list(accumulate(parts))
    while True:
        yield choose.choices(ranked, cum_weights=bounds)[0]


def arrivals(rate: float, seed: int) -> Iterator[float]:
    """Seconds since the start at which requests are due: a Poisson process of `rate` a second."""
    choose, due = random.Random(seed), 0.0
    while True:
        yield due
        due += choose.expovariate(rate)

"""Whether items of a batch depend on each other, for functions that zeros and ones do not show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from runtimes import apart
from runtimes.values import EngineError

ITEMS, WIDTH = 4, 3
WEIGHTS = np.random.RandomState(1).standard_normal((WIDTH, 2))
TABLE = np.random.RandomState(2).standard_normal((20, 3))
TABLE[:2] = 0  # as padding is embedded


def independent(answer: Any, dtype: Any = np.float32, came: Any = None) -> bool:
    zeros = {"x": np.zeros((ITEMS, WIDTH), dtype)}
    given = None if came is None else {"x": np.array([came] * ITEMS, dtype)}
    return apart.independent(lambda feed: [answer(feed["x"])], zeros, given)


def mean(x: Any) -> Any:
    return x - x.mean(0)


def largest(x: Any) -> Any:
    return x - x.max(0)


def sorted_(x: Any) -> Any:
    return np.sort(x, 0)


def summed(x: Any) -> Any:
    return np.cumsum(x, 0)


SEEN = {
    "negative alone": lambda x: np.maximum(-x, 0),
    "below zero for ones": lambda x: np.maximum(x @ -np.abs(WEIGHTS), 0),
    "a threshold": lambda x: (x > 1.5).astype(float),
    "at least one": lambda x: np.clip(x, 1, 9),
    "steps": lambda x: np.floor(x / 10),
    "place of the largest": lambda x: x.argmax(1)[:, None].astype(float),
}


@pytest.mark.parametrize("among", [mean, largest, sorted_, summed])
@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN)
def test_what_zeros_and_ones_do_not_show_other_numbers_do(seen, among):
    assert independent(seen)
    assert not independent(lambda x: among(seen(x)))


@pytest.mark.parametrize("among", [mean, largest, sorted_, summed])
def test_words_are_tried_with_those_that_came(among):
    embedded = lambda x: TABLE[x].sum(1)  # noqa: E731
    assert independent(embedded, np.int64, [3, 7, 19])
    assert not independent(lambda x: among(embedded(x)), np.int64, [3, 7, 19])


def test_what_only_the_numbers_that_came_are_taken_for_is_tried_with_them():
    def known(x: Any) -> Any:
        if not (np.abs(x) == 5).all():
            raise EngineError("unknown")
        return mean(x)

    assert independent(known)
    assert not independent(known, came=[5, -5, 5])


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float64])
def test_other_types_are_tried(dtype):
    assert independent(lambda x: x * 0.5, dtype)
    assert not independent(lambda x: mean(x > 20.0), dtype)


@pytest.mark.parametrize(
    "came",
    [
        np.full((4, 2), 2**64 - 1, np.uint64),
        np.zeros((4, 0)),
        np.array([True, False] * 2),
        np.ones(4),
    ],
    ids=["large", "of no length", "flags", "bare numbers"],
)
def test_whatever_came_is_tried(came):
    zeros = {"x": np.zeros_like(came)}
    assert apart.independent(lambda feed: [feed["x"]], zeros, {"x": came})


def test_texts_are_tried():
    zeros = {"x": np.full((ITEMS, 1), "0", object)}
    lengths = lambda x: np.array([[float(len(one[0]))] for one in x])  # noqa: E731
    some = {"x": np.array([["a"], ["bbb"], ["a"], ["a"]], object)}
    for answer, apart_ in ((lengths, True), (lambda x: np.array([["".join(x[:, 0])]] * 4), False)):
        run = lambda feed: [answer(feed["x"])]  # noqa: B023,E731
        assert apart.independent(run, zeros, some) is apart_


def test_chance_and_failures_show_nothing():
    rng = np.random.default_rng(0)
    assert independent(lambda x: x + rng.normal(size=x.shape))

    def fail(x: Any) -> Any:
        raise ValueError("no")

    assert independent(fail, came=[1, 2, 3])


def test_slow_models_are_tried_with_fewer_numbers(monkeypatch):
    runs: list[int] = []

    def count(x: Any) -> Any:
        runs.append(1)
        return x

    assert independent(count, came=[1, 2, 3])
    assert len(runs) == 3 * 6
    runs.clear()
    monkeypatch.setattr(apart, "_SECONDS", -1.0)
    assert independent(count, came=[1, 2, 3])
    assert len(runs) == 3 * 3

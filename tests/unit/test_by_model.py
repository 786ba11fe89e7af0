"""Figures by model: put together over instances, sorted, in 80 columns."""

from __future__ import annotations

import pytest

from mmectl.traffic import by_model

INF = float("inf")


def row(model, instance="i-1", requests=10, errors=0, variant="v", fast=10):
    buckets = [[0.01, fast], [0.1, requests], [None, requests]]
    return {
        "variant": variant,
        "instance_id": instance,
        "target_model": model,
        "requests": requests,
        "errors": errors,
        "seconds": 1.0,
        "buckets": buckets,
    }


def move(model, instance="i-1", loads=1, evictions=0, variant="v"):
    found = {"variant": variant, "instance_id": instance, "target_model": model}
    return found | {"loads": loads, "evictions": evictions}


FIGURES = {
    "models": [
        row("a.tar.gz"),
        row("a.tar.gz", "i-2", requests=30, errors=3, fast=0),
        row("b.tar.gz", requests=5, fast=5, variant="w"),
        row("other", requests=2, fast=2),
    ],
    "moves": [move("a.tar.gz"), move("a.tar.gz", "i-2"), move("gone.tar.gz", evictions=1)],
}


def test_instances_are_put_together():
    found = {one.target_model: one for one in by_model.counted(FIGURES)}
    a = found["a.tar.gz"]
    assert (a.requests, a.errors, a.loads, a.evictions, a.instances) == (40, 3, 2, 0, 2)
    assert a.buckets == {0.01: 10, 0.1: 40, INF: 40}
    assert a.p50_ms == pytest.approx(10 + 90 * (20 - 10) / 30, abs=0.001)
    gone = found["gone.tar.gz"]
    assert (gone.requests, gone.p50_ms, gone.loads, gone.evictions) == (0, None, 1, 1)
    assert [one.target_model for one in by_model.counted(FIGURES, "w")] == ["b.tar.gz"]


def test_percentiles_as_prometheus_has_them():
    buckets = {0.1: 50.0, 0.2: 100.0, INF: 100.0}
    assert by_model.percentile(buckets, 50) == 100.0
    assert by_model.percentile(buckets, 75) == 150.0
    assert by_model.percentile({0.1: 1.0, INF: 10.0}, 99) == 100.0  # the last bound that is known
    assert by_model.percentile({0.1: 0.0, INF: 0.0}, 50) is None
    assert by_model.percentile({}, 50) is None


@pytest.mark.parametrize(
    ("by", "first"),
    [("requests", "a.tar.gz"), ("evictions", "gone.tar.gz"), ("name", "a.tar.gz")],
)
def test_the_largest_come_first(by, first):
    rows, _ = by_model.ordered(by_model.counted(FIGURES), by, 1)
    assert [one.target_model for one in rows] == [first]


def test_the_rest_is_summed_up_with_what_has_no_name():
    rows, rest = by_model.ordered(by_model.counted(FIGURES), "requests", 1)
    assert [one.target_model for one in rows] == ["a.tar.gz"]
    assert (rest.requests, rest.loads, rest.evictions) == (7, 1, 1)
    assert rest.p50_ms == pytest.approx(5.0)
    everything, others = by_model.ordered(by_model.counted(FIGURES), "requests", None)
    assert (len(everything), others.requests) == (3, 2)


def test_a_table_is_80_columns_wide():
    long = by_model.Counted("x/" * 200 + "\x1bend", 12345678, 123456, 99_999.0, 1.0, 12345, 1234567)
    (cells,) = by_model.cells([long])
    assert sum(map(len, cells)) + 2 * (len(cells) - 1) <= 80
    assert cells[0].endswith("?end")
    assert cells[0].startswith("…")

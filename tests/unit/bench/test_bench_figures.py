"""From samples to figures, text and a page."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmectl.base.errors import UsageError
from mmectl.console import bench_view
from mmectl.console.bench_page import page, plots_of
from mmectl.console.output import plain_table
from mmectl.traffic import figures
from mmectl.traffic.driver import Sample


def sample(model="a", due=0.0, seconds=0.01, kind="warm", **more):
    return Sample(model, due, due, seconds, kind, **more)


@pytest.fixture
def run():
    samples = [
        sample("a", 0, 0.5, "cold"),
        sample("a", 1, 0.010),
        sample("b", 2, 0.7, "cold"),
        sample("a", 3, 0.6, "cold"),
        sample("c", 4, 0.2, "error", error="model_error", message="c answered 500: <no>"),
        *(sample("a", 5 + n / 100, 0.01 + n / 10_000) for n in range(95)),
    ]
    about = {"started": "2024-01-01T00:00:00+00:00", "endpoint": "demo", "platform": "local"}
    return {"bench_version": 1, "load": "1 at once", **about, **figures.summary(samples, 10.0)}


def test_percentiles_are_nearest_rank():
    row = figures.percentiles([n / 1000 for n in range(1, 101)])
    assert (row["p50"], row["p90"], row["p99"], row["max"]) == (0.05, 0.09, 0.099, 0.1)
    assert (row["count"], row["min"], row["mean"]) == (100, 0.001, pytest.approx(0.0505))
    assert figures.percentiles([]) == {"count": 0}


def test_summary(run):
    assert (run["requests"], run["failed"], run["models"]) == (100, 1, 3)
    assert run["throughput"] == 9.9
    assert run["hit_rate"] == round(96 / 99, 4)
    assert (run["cold"], run["reloads"]) == (3, 1)
    assert run["latency"]["cold"]["count"] == 3
    assert run["latency"]["cold"]["p50"] == 0.6
    assert run["errors"] == [{"code": "model_error", "count": 1, "example": "c answered 500: <no>"}]
    assert run["per_model"][0]["model"] == "a"
    assert run["per_model"][0]["requests"] == 98


def test_every_answer_is_in_the_histogram_and_in_the_course(run):
    assert sum(row["warm"] + row["cold"] for row in run["histogram"]) == 99
    assert sum(row["answered"] + row["failed"] for row in run["per_second"]) == 100


def test_nothing_is_no_division_by_zero():
    empty = figures.summary([], 0.0)
    assert (empty["throughput"], empty["hit_rate"], empty["histogram"]) == (0.0, None, [])
    unknown = figures.summary([sample(kind="unknown")], 1.0)
    assert unknown["hit_rate"] is None


@given(st.floats(1e-7, 1e6))
def test_a_latency_lies_within_its_bucket(seconds):
    index = figures.bucket(seconds)
    if 1e-4 < seconds < 900:
        assert figures.bound(index) <= seconds * 1.000001
        assert seconds <= figures.bound(index + 1) * 1.000001


def test_compare_says_what_is_better(run):
    after = json.loads(json.dumps(run))
    after["throughput"], after["failed"] = 19.8, 0
    after["latency"]["warm"]["p50"] = run["latency"]["warm"]["p50"] * 1.5
    rows = {row["figure"]: row for row in figures.compare(run, after)}
    assert (rows["throughput, 1/s"]["ratio"], rows["throughput, 1/s"]["better"]) == (2.0, True)
    assert rows["warm p50, s"]["better"] is False
    assert rows["failed"]["better"] is True
    assert rows["hit rate"]["better"] is None
    assert "unknown p50, s" not in rows
    table = plain_table(bench_view.comparison(list(rows.values())))
    assert max(map(len, table.splitlines())) <= 80


def test_compare_by_zero_has_no_ratio(run):
    after = {**run, "failed": 0}
    rows = {row["figure"]: row for row in figures.compare({**run, "failed": 0}, {**run})}
    assert rows["failed"]["ratio"] is None
    assert {r["figure"]: r["better"] for r in figures.compare(after, after)}["failed"] is None


@pytest.mark.parametrize("saved", [[], {}, {"data": {}}, {"bench_version": 99}, 3, None])
def test_other_files_are_refused(saved):
    with pytest.raises(UsageError, match=r"x\.json: is not a result"):
        figures.run_of(saved, "x.json")


def test_a_saved_run_and_an_envelope_are_read(run):
    assert figures.run_of(run, "x") is run
    assert figures.run_of({"data": run, "command": "bench run"}, "x") is run


def test_the_terminal_view_fits(run):
    blocks = [b if isinstance(b, str) else plain_table(b) for b in bench_view.view(run)]
    text = "\n".join(blocks)
    assert "100 requests of 3 models in 10.0 s, 1 failed" in text
    assert "hit rate 97.0 %, 3 cold, 1 of them loaded again" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_bars_grow_with_counts_and_show_cold():
    rows = [
        {"from": 0.01, "warm": 40, "cold": 0, "unknown": 0},
        {"from": 0.02, "warm": 10, "cold": 10, "unknown": 0},
        {"from": 0.03, "warm": 0, "cold": 0, "unknown": 0},
    ]
    first, second, third, legend = bench_view.histogram(rows)
    assert first.count("█") == 44
    assert (second.count("█"), second.count("░")) == (11, 11)
    assert third.split() == ["30", "ms", "0"]
    assert "cold" in legend


def test_no_two_bars_are_labelled_alike():
    edges = [10 ** (n / 10 - 3) for n in range(21)]  # ten a decade, as in a run
    rows = [{"from": edge, "warm": 1, "cold": 0, "unknown": 0} for edge in edges]
    labels = [line.split("█")[0].strip() for line in bench_view.histogram(rows)]
    assert labels[:4] == ["1.0 ms", "1.3 ms", "1.6 ms", "2.0 ms"]
    assert labels[10] == "10 ms"
    assert len(set(labels)) == len(edges)


def test_many_buckets_fit_a_screen():
    rows = [{"from": 0.001 * n, "warm": n, "cold": 0, "unknown": 0} for n in range(1, 71)]
    lines = bench_view.histogram(rows)
    assert len(lines) <= 24
    assert sum(int(line.split()[-1]) for line in lines) == sum(range(71))


def test_late_requests_are_said():
    late = [Sample("a", 0.0, 2.0, 2.5, "warm")]
    about = {"requests": 1, "models": 1}
    text = bench_view.view({**figures.summary(late, 3.0), **about})[0]
    assert "sent late by 2.00 s" in str(text)


def test_the_page_needs_nothing_else(run):
    text = page(run)
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", text)
    assert "c answered 500: &lt;no&gt;" in text
    assert text.count('class="plotly-graph-div"') == 3


def test_the_plots_hold_the_figures(run):
    latency, course, models = plots_of(run)
    assert sum(sum(bar["y"]) for bar in latency["data"]) == 99
    assert sum(sum(bar["y"]) for bar in course["data"] if bar["type"] == "bar") == 100
    assert sum(sum(bar["y"]) for bar in models["data"]) == 100

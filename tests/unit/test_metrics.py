"""Metrics for people: spans, curves, units."""

from __future__ import annotations

from datetime import datetime

import pytest

from mmectl.base.errors import UsageError
from mmectl.traffic.metrics import CURVE, Span, curve, moment, seconds, shown, span


def test_spans_are_whole_minutes_with_the_running_one():
    assert span(1_000_019, 60) == Span(999_960, 1_000_020, 60)
    hour = span(1_000_000, 3600)
    assert (hour.seconds, hour.period) == (3600, 60 * (60 // CURVE))
    assert span(1_000_000, 3600, 60).period == 60
    assert span(1_000_000, 90, 300).seconds == 300


@pytest.mark.parametrize(
    ("since", "unit"), [(1_296_000, 60), (1_386_060, 300), (5_360_460, 300), (8_643_660, 3600)]
)
def test_periods_of_long_ago_are_those_that_cloudwatch_keeps(since, unit):
    within = span(1_700_000_000, since)
    assert within.period % unit == within.seconds % unit == 0
    assert within.seconds >= since


def test_curves():
    within = Span(0, 300, 60)
    assert curve([(0, 0.0), (60, 4.0), (180, 8.0)], within) == "▁▅ █ "
    assert curve([(0, 0.0), (240, 0.0)], within) == "▁   ▁"
    assert curve([], within) == " " * 5
    assert curve([(-60, 9.0), (0, 1.0), (999, 9.0)], within) == "█    "


@pytest.mark.parametrize(
    ("value", "unit", "statistic", "text"),
    [
        (None, "Count", "Sum", ""),
        (160.0, "Count", "Sum", "160"),
        (0.5, "Count", "Sum", "0.5"),
        (1234567.5, "Count", "Sum", "1234568"),
        (0.744, "Ratio", "Average", "74.4 %"),
        (119.0, "Ratio", "Sum", "119"),
        (12.34, "Percent", "Maximum", "12.3 %"),
        (47.0, "Microseconds", "p50", "47 us"),
        (2_800.0, "Microseconds", "p50", "2.8 ms"),
        (16_400.0, "Microseconds", "p50", "16 ms"),
        (999_600.0, "Microseconds", "p50", "1.00 s"),
        (360_000_000.0, "Microseconds", "p50", "360 s"),
    ],
)
def test_values(value, unit, statistic, text):
    assert shown(value, unit, statistic) == text
    assert len(text) <= 8


@pytest.mark.parametrize(
    ("text", "found"), [("90s", 90), ("15m", 900), ("2h", 7200), ("1.5h", 5400), ("3d", 259_200)]
)
def test_spans_of_time(text, found):
    assert seconds(text, "--since") == found


@pytest.mark.parametrize("text", ["", "5", "h", "-1h", "0m", "1w", "999999d", "1h30m"])
def test_what_is_no_span_of_time(text):
    with pytest.raises(UsageError, match="must be a span of time"):
        seconds(text, "--since")


def test_a_span_that_ended_has_no_running_minute():
    assert span(1_000_020, 3600, 60, back=7200) == Span(996_420, 1_000_020, 60)
    assert span(1_000_021, 3600, 60, back=7200).end == 1_000_080
    assert span(1_000_020, 3600, back=20 * 86_400).period == 300
    assert span(1_000_020, 3600, 60, back=3600) == span(1_000_020, 3600, 60)


@pytest.mark.parametrize("text", ["", "now", "2026", "2026-13-01", "1969-01-01T00:00Z", "x" * 99])
def test_what_is_no_time(text):
    with pytest.raises(UsageError):
        moment(text, "--until", 2e9)


def test_a_time_is_of_this_machine_unless_it_names_a_zone():
    assert moment("2026-01-01T00:00Z", "--until", 2e9) == 1_767_225_600
    assert moment("2026-01-01T01:00+01:00", "--until", 2e9) == 1_767_225_600
    here = datetime(2026, 1, 1).timestamp()
    assert moment("2026-01-01", "--until", 2e9) == here
    with pytest.raises(UsageError, match="has not come yet"):
        moment("2026-01-01", "--until", 1e9)

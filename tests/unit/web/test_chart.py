"""Charts as numbers."""

from __future__ import annotations

import pytest

from mmectl.web.chart import HEIGHT, WIDTH, Span, chart, shown

SPAN = Span(0, 600, 60)


def test_a_gap_parts_the_line():
    found = chart("T", "None", {"a": [(0, 1.0), (60, 2.0), (300, 1.0)]}, SPAN)
    (line,) = found["lines"]
    assert [len(path.split()) for path in line["paths"]] == [2, 1]
    assert [dot["text"].split()[-1] for dot in line["dots"]] == ["1", "2", "1"]
    assert line["last"] == "1"


def test_everything_lies_within_the_picture():
    points = [(at, at * 17.0) for at in range(0, 601, 60)]
    found = chart("T", "Microseconds", {"a": points, "b": []}, SPAN)
    for dot in found["lines"][0]["dots"]:
        assert found["left"] <= dot["x"] <= found["right"] < WIDTH
        assert 0 <= dot["y"] <= HEIGHT
    assert found["lines"][1]["last"] == "-"
    tops = [mark["y"] for mark in found["marks"]]
    assert tops == sorted(tops, reverse=True)


def test_nothing_is_an_empty_chart():
    assert chart("T", "None", {"a": []}, SPAN)["empty"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (18_100.0, "Microseconds", "18.1 ms"),
        (2_500_000.0, "Microseconds", "2.5 s"),
        (0.000746, "Percent", "0.0 %"),
        (71.3, "Percent", "71 %"),
        (12_345.0, "Count", "12,345"),
        (0.5, "None", "0.5"),
    ],
)
def test_values_are_short(value, unit, text):
    assert shown(value, unit) == text

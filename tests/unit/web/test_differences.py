"""Where two answers differ."""

from __future__ import annotations

import json
import math

import pytest

from mmectl.web import differences
from mmectl.web.differences import compare


def marked(found):
    """The marked text of both, without blanks."""
    return tuple(
        "".join("".join(part.text.split()) for part in parts if part.differs)
        for parts in found.parts
    )


@pytest.mark.parametrize(
    ("one", "other", "marks"),
    [
        ("[0.1, 0.2]", "[0.1,0.2004]", ("", "")),  # blanks, and what is near
        ("[0.1, 0.2]", "[0.1, 0.25]", ("0.2", "0.25")),
        ("1,-2\n3,4", "1,2\n3,4", ("-2", "2")),
        ("1e-3", "0.001", ("", "")),
        ("[1e400]", "[1e401]", ("", "")),  # both are infinite to a float
        ('"probability=0.98, class=cat"', '"probability=0.9, class=cat"', ("0.98", "0.9")),
        ('"class=n0123 cat"', '"class=n0124 dog"', ("n0123cat", "n0124dog")),
        ("[9007199254740993]", "[9007199254740992]", ("9007199254740993", "9007199254740992")),
        ("[9007199254740993]", "[+9007199254740993]", ("", "")),
        ("1" * 5000, "1" * 4999 + "2", ("1" * 5000, "1" * 4999 + "2")),
        ("[NaN]", "[NaN]", ("", "")),
        ("[NaN]", "[1]", ("NaN", "1")),
        ("[1, 2, 3]", "[1, 2]", (",3", "")),
        ("[1, 2]", "[1, 2, 3]", ("", ",3")),
        ("", "[1]", ("", "[1]")),
        ("", "", ("", "")),
    ],
)
def test_what_differs_is_marked(one, other, marks):
    found = compare(one, other, 1e-3)
    assert marked(found) == marks
    assert found.same is not any(marks)
    for text, parts in zip((one, other), found.parts, strict=True):
        assert "".join(part.text for part in parts) == text


def test_numbers_are_counted():
    one, other = [[0.0, 1.0], [2.0, 3.0]], [[0.0, 1.5], [2.0, 2.0]]
    found = compare(json.dumps(one), json.dumps(other), 0.7)
    assert (found.numbers, found.differing, found.largest, found.others) == (4, 1, 1.0, 0)
    assert compare(json.dumps(one), json.dumps(other), math.inf).same
    assert compare("[1, a]", "[1, b]", 0).others == 1


def test_very_long_ones_are_not_compared():
    assert compare("1" * differences.MOST, "1", 0) is None

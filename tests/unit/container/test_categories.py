"""Categories of a DataFrame to codes, and what is said of those that are refused."""

from __future__ import annotations

import math

import pytest
from runtimes.categories import Categories
from runtimes.values import RequestError
from runtimes.xgboost.runtime import _note


def test_categories_that_xgboost_cut_wrongly_are_refused_with_the_reason():
    # of "Bonn", "Köln" and "Ulm" a file has bytes of as many letters as each has
    values = ["Bonn", "Köl", "nUl"]
    town = Categories(values, 1, "town", strict=True, note=_note(values))
    assert town.codes(["Bonn"]) == [0.0]
    with pytest.raises(RequestError, match=r"Köln was not there .* train it with names in ASCII"):
        town.codes(["Köln"])


def test_nothing_is_said_of_names_in_ascii():
    assert _note(["Bonn", 3, "Ulm"]) == ""


def test_flags_may_come_as_numbers():
    """As an array of numbers has them; a number that is no flag stays refused."""
    flag = Categories([False, True], 1, "flag")
    assert flag.codes([1, "0", True, "False", 0.0]) == [1, 0, 1, 0, 0]
    with pytest.raises(RequestError, match="2 is not a category"):
        flag.codes([2])


def test_a_whole_number_beyond_float64_is_no_category():
    size = Categories([10, 300], 0, "size")
    assert math.isnan(size.codes([10**400])[0])
    with pytest.raises(RequestError, match="was not there in training"):
        Categories([10, 300], 0, "size", strict=True).codes([10**400])

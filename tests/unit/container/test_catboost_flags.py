"""Which columns of a CatBoost model are flags or whole numbers, told by what a model answers."""

from __future__ import annotations

import numpy as np
import pytest
from runtimes.catboost import flags


def model(*known: str):
    """Raw answers of a model whose column 1 has those categories, and a number in column 0."""

    def ask(rows):
        return np.array([float(row[0] > 0.5) + 3 * (row[1] in known) for row in rows])

    return ask


@pytest.mark.parametrize(
    ("known", "is_flag"),
    [
        (["1"], True),
        (["0"], True),
        (["True"], False),
        (["true", "1"], False),
        (["FALSE"], False),
        (["Ulm"], False),
        ([], False),
    ],
)
def test_a_column_is_one_where_the_model_knows_1_or_0_and_no_word(known, is_flag):
    assert flags.are(1, 2, {1}, {0: [0.5]}, model(*known)) is is_flag


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3.0", "3"), ("-12.000", "-12"), ("0.0", "0"), ("-0.0", "0"), ("007.0", "7"),
        ("3", None), ("3.5", None), ("3.", None), (".0", None), ("1e3.0", None), ("v3.0", None),
        ("3.0 ", None), ("", None), ("9" * 19 + ".0", None),
    ],
)  # fmt: skip
def test_a_whole_number_may_be_written_with_a_point(text, number):
    assert flags.whole(text) == number


@pytest.mark.parametrize(
    ("known", "are_whole"),
    [(["3"], True), (["3.0"], False), (["3", "3.0"], False), (["4"], None), ([], None)],
)
def test_a_column_has_whole_numbers_where_the_model_knows_one_and_not_its_text(known, are_whole):
    assert flags.are_whole(1, "3.0", 2, {1}, {0: [0.5]}, model(*known)) is are_whole

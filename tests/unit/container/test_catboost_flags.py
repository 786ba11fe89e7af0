"""Which columns of a CatBoost model are flags, told by what a model answers."""

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

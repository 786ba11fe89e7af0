"""How many threads compute."""

from __future__ import annotations

import pytest
from crowd import limit, threads


@pytest.mark.parametrize(
    ("limit", "cores", "load", "wanted"),
    [
        (2, 2, "0.10 0.20 0.30 1/300 4711\n", 2),
        (2, 2, "0.10 0.20 0.30 2/300 4711\n", 1),
        (2, 2, "9.10 0.20 0.30 9/300 4711\n", 1),
        (4, 8, "1.10 0.20 0.30 4/300 4711\n", 4),
        (4, 8, "1.10 0.20 0.30 7/300 4711\n", 2),
        (2, 2, "0.10 0.20 0.30 0/0 0\n", 2),
        (2, 2, "", 2),
        (2, 2, "0.10 0.20 0.30 ?/? ?", 2),
    ],
)
def test_processors_that_others_use_are_left_to_them(limit, cores, load, wanted):
    assert threads(limit, cores, load) == wanted


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("4", 4), ("2,1", 2), (" 3 ", 3), ("0", 1), ("many", 1), ("", 1), (None, 1)],
)
def test_the_first_number_of_omp_num_threads_counts(given, wanted):
    assert limit({} if given is None else {"OMP_NUM_THREADS": given}) == wanted

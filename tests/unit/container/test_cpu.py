"""How many threads compute."""

from __future__ import annotations

import pytest
from serving.workers.cpu import LOOKS, Budget, fewer, limit, threads


@pytest.mark.parametrize(
    ("limit", "cores", "load", "wanted"),
    [
        (2, 2, "0.10 0.20 0.30 1/300 4711\n", 2),
        (2, 2, "0.10 0.20 0.30 2/300 4711\n", 1),
        (2, 2, "9.10 0.20 0.30 9/300 4711\n", 1),
        (4, 8, "1.10 0.20 0.30 4/300 4711\n", 4),
        (4, 8, "1.10 0.20 0.30 7/300 4711\n", 2),
        (4, 8, "1.10 0.20 0.30 6/300 4711\n", 2),
        (3, 4, "1.10 0.20 0.30 2/300 4711\n", 3),
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


@pytest.mark.parametrize(
    ("limit", "wanted"), [(1, []), (2, [1]), (3, [1, 2]), (4, [1, 2]), (5, [1, 2, 4])]
)
def test_there_are_kernels_for_few_numbers_of_threads(limit, wanted):
    assert fewer(limit) == wanted


def test_only_who_is_there_at_each_of_the_last_looks_counts(tmp_path):
    load = tmp_path / "loadavg"
    budget = Budget(2, load)

    def look(running):
        load.write_text(f"0.10 0.20 0.30 {running}/300 4711\n")
        return budget.look()

    assert [look(99) for _ in range(LOOKS)] == [2] * (LOOKS - 1) + [1]
    assert look(1) == 2
    assert [look(99) for _ in range(LOOKS)] == [2] * (LOOKS - 1) + [1]


def test_who_may_take_one_thread_need_not_look(tmp_path):
    budget = Budget(1, tmp_path / "missing")
    assert [budget.look() for _ in range(LOOKS)] == [1] * LOOKS


def test_where_nothing_is_said_of_others_all_threads_compute(tmp_path):
    budget = Budget(2, tmp_path / "missing")
    assert [budget.look() for _ in range(LOOKS)] == [2] * LOOKS

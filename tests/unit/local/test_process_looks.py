"""Looks at the machine's processes, which many loads share."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mmectl.local.instance import procfs
from mmectl.local.instance.procfs import Looks

HERE = (1, 2)


class Slow:
    """A look that ends when it may; each finds one process more."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.count = 0

    def __call__(self) -> dict[procfs.Place, list[int]]:
        self.count += 1
        found = list(range(self.count, 0, -1))
        assert self.may_end.wait(30)
        return {HERE: found}


class Told(contextlib.AbstractContextManager[object]):
    """A lock that says how many have come to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.came = threading.Semaphore(0)

    def __enter__(self) -> None:
        self.came.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_who_asks_during_a_look_shares_the_next_one():
    look, lock = Slow(), Told()
    looks = Looks(look, lock)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(looks.at, HERE)
        lock.came.acquire(timeout=30)
        while not look.count:
            threading.Event().wait(0.001)
        later = [pool.submit(looks.at, HERE) for _ in range(8)]
        came = [lock.came.acquire(timeout=30) for _ in later]
        look.may_end.set()
        answers = [one.result(30) for one in later]
    assert all(came)
    assert first.result() == [1]
    assert answers == [[1, 2]] * 8  # not what began before they asked
    assert look.count == 2


def test_who_asks_later_gets_a_look_of_its_own():
    looks = Looks(iter([{HERE: [3]}, {}, {HERE: [9, 4]}]).__next__)
    assert [looks.at(HERE), looks.at(HERE), looks.at(HERE)] == [[3], [], [4, 9]]


def test_a_look_that_failed_is_nobody_elses_answer():
    def looked() -> Iterator[dict[procfs.Place, list[int]]]:
        yield {HERE: [3]}
        yield {HERE: [4]}

    answers = looked()
    failing = [OSError(24, "Too many open files")]

    def look() -> dict[procfs.Place, list[int]]:
        if failing:
            raise failing.pop()
        return next(answers)

    looks = Looks(look)
    with pytest.raises(OSError, match="Too many"):
        looks.at(HERE)
    assert looks.at(HERE) == [3]


def test_processes_are_known_by_their_folder(tmp_path, monkeypatch):
    assert procfs.working_in(tmp_path) == []
    monkeypatch.chdir(tmp_path)
    assert procfs.working_in(tmp_path) == [os.getpid()]
    (tmp_path.parent / "link").symlink_to(tmp_path)
    assert procfs.working_in(tmp_path.parent / "link") == [os.getpid()]
    assert procfs.working_in(Path("gone")) == []

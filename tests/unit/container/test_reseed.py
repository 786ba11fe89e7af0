"""Random numbers of a process that was forked."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
from runtimes import process


def test_a_fork_draws_numbers_of_its_own(monkeypatch):
    seeds: list[int] = []
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(manual_seed=seeds.append))
    state = np.random.get_state()
    drawn = []
    for _ in range(2):
        np.random.set_state(state)
        process.reseed()
        drawn.append(np.random.random())
    assert len(set(drawn)) == len(set(seeds)) == 2
    assert all(0 <= seed < 2**63 for seed in seeds)

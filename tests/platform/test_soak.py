"""Load and faults for a short while; the long versions are `make soak`."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from benchmarks import faults, host_soak, soak
from benchmarks.report import Result, Unavailable

MODELS, HOLD = 20, 5
LOAD, STORM = 8, 15  # seconds
SEED, PAUSE = 7, 1.2


def judged(lines: Iterable[Result]) -> dict[str, Result]:
    """Every figure by name; none may miss its goal."""
    try:
        found = list(lines)
    except Unavailable as error:
        pytest.skip(str(error))
    missed = [str(line) for line in found if line.met is False]
    assert not missed, "\n".join(map(str, found))
    return {line.what: line for line in found}


@pytest.mark.alone
def test_more_models_than_fit():
    found = judged(soak.run(LOAD, MODELS, HOLD))
    assert found["failed requests"].met
    assert found["hits against an ideal LRU"].met


@pytest.mark.alone
def test_faults_at_random_under_load():
    found = judged(faults.run(STORM, SEED, models=MODELS, hold=HOLD, pause=PAUSE))
    assert found["acknowledged and lost"].met
    assert len(found["faults"].figure.split(",")) > 2
    assert found["hostile requests let in"].met


def test_small_models_in_hosts_that_are_killed():
    found = judged(host_soak.run(5, models=40, asked=30, memory_mb=40, pause=1))
    assert found["requests without an answer"].met
    assert found["wrong answers"].met
    assert int(found["loads, hosts killed"].figure.split(", ")[1]) > 2


def test_an_ideal_cache():
    assert soak.ideal_hits("abcabc", 3) == 3
    assert soak.ideal_hits("abcabc", 2) == 0
    assert soak.ideal_hits("aabaca", 2) == 3


def test_only_answers_that_sagemaker_gives_are_allowed():
    assert faults.kind_of("ModelNotReadyException Model x is not ready") == "not ready"
    assert faults.kind_of("ConnectionClosedError Connection was closed") == "lost"
    assert faults.kind_of("InternalFailure a bug") is None
    assert faults.kind_of("ValidationError Endpoint x of account y not found.") is None

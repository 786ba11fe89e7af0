"""Passes with kernels for the number of threads that they take, in the workers' environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from serving_fixtures import serving_image  # noqa: F401 - a fixture

from mmectl.frameworks.mxnet import untrained
from mmectl.local.values import Image

Rows = dict[str, list[tuple[int, list[float]]]]


@pytest.fixture(scope="module")
def rows(serving_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Rows:  # noqa: F811
    name = "squeezenet_v1.1"
    model = untrained.write_model(tmp_path_factory.mktemp("models") / name, name)
    container = str(Path(serving_image.entrypoint[1]).parent)
    environment = {**os.environ, **serving_image.environment, "PYTHONPATH": container}
    environment |= {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"}
    environment |= {"MXNET_ENGINE_TYPE": "NaiveEngine"}
    script = Path(__file__).with_name("kernels_in_worker.py")
    command = [serving_image.entrypoint[0], str(script), str(model)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: Rows = json.loads(done.stdout)
    return found


def test_as_many_threads_compute_as_nobody_else_uses(rows: Rows) -> None:
    # alone; with others for a moment; alone; with others to stay; alone; alone after a rest
    assert [threads for threads, _ in rows["alone first"]] == [2, 2, 2, 1, 2, 2]


def test_a_model_first_asked_beside_others_computes_with_all_threads_later(rows: Rows) -> None:
    assert [threads for threads, _ in rows["busy first"]] == [1, 2]


def test_the_answers_are_the_same_with_any_number_of_threads(rows: Rows) -> None:
    wanted = rows["alone first"][0][1]
    assert max(wanted) > min(wanted) > 0
    for row in rows.values():
        for _, answer in row:
            assert answer == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("case", ["wrong", "none", "no memory"])
def test_kernels_that_answer_otherwise_are_not_used(rows: Rows, case: str) -> None:
    assert [threads for threads, _ in rows[case]] == [2, 2, 2]

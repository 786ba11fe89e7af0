"""Random networks of common operators answer as MXNet's Module does, to 1e-5 of the largest number.

MXNet's fusing of layers is off on its side as on ours. With it, as a package has it by default, a
convolution that is added to what is made from it answers otherwise (seeds 18, 23, 42 and 43), and
the same Module without it does not.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from random_networks import TYPES
from serving_fixtures import serving_image  # noqa: F401 - a fixture

from mmectl.local.values import Image

SCRIPT = Path(__file__).with_name("random_networks.py")
SEEDS = range(50)
TOLERANCE = {"float16": 1e-3, "float32": 1e-5, "float64": 1e-7}  # of the largest number


@pytest.fixture(scope="module")
def answers(serving_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp("random")
    environment = {**os.environ, **serving_image.environment, "MXNET_SUBGRAPH_BACKEND": "NONE"}
    environment["PYTHONPATH"] = str(Path(serving_image.entrypoint[1]).parent)
    for side, threads in (("mxnet", "1"), ("ours", "2")):
        command = [serving_image.entrypoint[0], str(SCRIPT), side, str(folder)]
        done = subprocess.run(
            [*command, str(SEEDS.start), str(SEEDS.stop)],
            env={**environment, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("seed", SEEDS)
def test_the_answers_are_mxnets(answers: Path, seed: int) -> None:
    said = {path.name: path.read_text() for path in answers.glob(f"*-{seed}")}
    if f"mxnet-{seed}" in said:  # some operators take no float16
        assert f"ours-{seed}" in said
        assert TYPES.get(seed % 10) == "float16"
        return
    assert said == {}
    for number in range(2):
        folder = answers / str(seed)
        with (
            np.load(folder / f"mxnet{number}.npz") as theirs,
            np.load(folder / f"ours{number}.npz") as ours,
        ):
            assert len(theirs.files) == len(ours.files) > 0
            for name in theirs.files:
                assert ours[name].shape == theirs[name].shape
                assert ours[name].dtype == theirs[name].dtype
                most = float(np.nanmax(np.abs(theirs[name])))
                np.testing.assert_allclose(
                    ours[name],
                    theirs[name],
                    rtol=0,
                    atol=TOLERANCE[ours[name].dtype.name] * most,
                    equal_nan=True,
                )

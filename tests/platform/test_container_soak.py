"""The soak of benchmarks/container_soak.py, some seconds of it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from benchmarks import serving
from benchmarks.container_soak import settled, soak
from mmectl.frameworks.mxnet.sample import write_model


@pytest.mark.alone
def test_nothing_is_left_of_killed_workers_and_fork_servers():
    soon = {"MMECTL_IDLE_SECONDS": "0.1"}  # a network's process ends after thirty times that
    with (
        tempfile.TemporaryDirectory(prefix="mme") as name,
        serving.ours(serving.built(), **soon) as server,
    ):
        folder = Path(name) / "model"
        write_model(folder)
        before = settled(server, folder, None)
        found = soak(server, folder, 25, seed=3)
        after = settled(server, folder, before)
    assert found.cycles == 25
    assert not found.wrong
    assert sum(found.kills.values()) > 0
    assert (after.processes, after.files) == (before.processes, before.files)
    assert after.sockets <= before.sockets

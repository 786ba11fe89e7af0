"""`GET /health`: what is ready, and how often it looks."""

from __future__ import annotations

import json

import pytest

from mmectl.local.server.health import FRESH, Health

SERVING = {"status": "InService", "instances": [{}]}


class Lab:
    def __init__(self, folder, *rows):
        self.rows, self.now, self.looks = rows, 0.0, 0
        self.ready = folder / "ready"
        self.health = Health(self.ready, self.endpoints, lambda: self.now)

    async def endpoints(self):
        self.looks += 1
        return self.rows

    async def ask(self):
        answer = await self.health()
        return answer.status, json.loads(str(answer.text))["status"]


async def test_it_is_not_ready_until_it_is_said_to_be(tmp_path):
    lab = Lab(tmp_path, SERVING)
    assert await lab.ask() == (503, "starting")
    assert lab.looks == 0
    lab.ready.touch()
    assert await lab.ask() == (200, "ready")


@pytest.mark.parametrize(
    "row",
    [
        {"status": "Creating", "instances": []},
        {"status": "Failed", "instances": [{}]},
        {"status": "Unknown", "instances": []},
        {"status": "InService", "instances": []},  # it comes back after a restart
    ],
)
async def test_an_endpoint_that_does_not_serve_is_waited_for(tmp_path, row):
    lab = Lab(tmp_path, SERVING, row)
    lab.ready.touch()
    assert (await lab.ask())[0] == 503


@pytest.mark.parametrize("status", ["Updating", "RollingBack", "SystemUpdating"])
async def test_an_endpoint_that_changes_serves(tmp_path, status):
    lab = Lab(tmp_path, {**SERVING, "status": status})
    lab.ready.touch()
    assert (await lab.ask())[0] == 200


async def test_it_looks_once_a_second_at_most(tmp_path):
    lab = Lab(tmp_path, {"status": "Creating", "instances": []})
    lab.ready.touch()
    assert [(await lab.ask())[0] for _ in range(50)] == [503] * 50
    assert lab.looks == 1
    lab.rows, lab.now = (SERVING,), FRESH
    assert (await lab.ask())[0] == 200

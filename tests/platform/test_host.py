"""Many small models in one process, with the real server and XGBoost; hosts are killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from data_plane import kill
from serving_fixtures import Server, image_of, started

from mmectl.local.values import Image

CSV = "text/csv"
ROW = b"0.25,0.25"


@pytest.fixture(scope="module")
def image(root: Path) -> Image:
    """An image of XGBoost alone."""
    return image_of(root, "mmectl-trees", "xgboost")


@pytest.fixture
def short() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="mme"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def model(root: Path) -> Path:
    return root / "examples" / "xgboost" / "ring"


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def hosts(server: Server) -> list[int]:
    return [pid for pid, line in server.members().items() if "serving.workers.host" in line]


def own(server: Server) -> list[str]:
    """The models with processes of their own."""
    lines = [line for line in server.members().values() if "--model-name" in line]
    return [line.split("--model-name ")[1].split()[0] for line in lines]


def asked(server: Server, name: str, body: bytes = ROW) -> bytes:
    status, _, answer = server.invoke(name, body, CSV)
    assert status == 200, (answer, server.text())
    return answer


def test_small_models_share_a_process(image, short, model):
    with started(image, short) as server:
        names = [f"m{number}" for number in range(12)]
        for name in names:
            assert server.load(name, model)[0] == 200, server.text()
        assert len(hosts(server)) == min(len(os.sched_getaffinity(0)), 2)
        assert own(server) == []
        assert len({asked(server, name) for name in names}) == 1
        # one thread of Java's a model
        assert server.ask("DELETE", "/models/m3")[0] == 200
        assert server.invoke("m3", ROW, CSV)[0] == 404
        assert server.load("m3", model)[0] == 200
        assert asked(server, "m3")
        left = list((short / "run" / "tmp").glob("*-std*"))
        until(lambda: not list((short / "run" / "tmp").glob("*-std*")) or not left, 60)


def test_each_has_its_own_where_that_is_asked_for(image, short, model):
    with started(image, short, MMECTL_ISOLATION="model") as server:
        for name in ("a", "b"):
            assert server.load(name, model)[0] == 200, server.text()
            assert asked(server, name)
        assert hosts(server) == []
        assert sorted(own(server)) == ["a", "b"]


def test_a_killed_host_costs_nobody_else_an_answer(image, short, model):
    with started(image, short) as server:
        names = [f"m{number}" for number in range(8)]
        for name in names:
            assert server.load(name, model)[0] == 200
        right = asked(server, names[0])
        kills = 0

        def ask(number: int) -> tuple[int, bytes]:
            status, _, answer = server.invoke(names[number % len(names)], ROW, CSV)
            return status, answer

        chance = random.Random(5)
        with ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(ask, number) for number in range(400)]
            while not all(one.done() for one in waiting):
                time.sleep(chance.uniform(0.05, 0.3))
                found = hosts(server)
                kill(*found)
                kills += len(found)
        answers = [one.result() for one in waiting]
        assert kills
        assert {answer for status, answer in answers if status == 200} == {right}
        # what a host was computing when it was killed
        refused = [answer for status, answer in answers if status != 200]
        assert len(refused) <= kills
        assert all(b"Worker died." in answer for answer in refused)
        until(lambda: {asked(server, name) for name in names} == {right}, 60)


def test_a_file_that_ends_the_process_harms_nobody(image, short, model):
    with started(image, short) as server:
        assert server.load("good", model)[0] == 200
        host = hosts(server)
        right = asked(server, "good")
        content = next(model.glob("*.ubj")).read_bytes()
        chance = random.Random(7)
        for number in range(6):
            bad = bytearray(content)
            for _ in range(8):
                bad[chance.randrange(100, len(bad))] = chance.randrange(256)
            folder = short / f"bad{number}"
            folder.mkdir()
            (folder / "model.ubj").write_bytes(bad)
            server.load(folder.name, folder)
            assert asked(server, "good") == right
        assert hosts(server) == host


def test_a_large_payload_does_not_keep_the_others_waiting(image, short, model):
    with started(image, short) as server:
        for name in ("a", "b"):
            assert server.load(name, model)[0] == 200
        one = json.loads(asked(server, "a"))
        many = json.loads(asked(server, "a", (ROW + b"\n") * 60_000))
        assert many == one * 60_000
        # who waited for the large one would never see more than two; a busy machine may, once
        assert any(answered_beside(server, one) > 2 for _ in range(5))


def answered_beside(server: Server, one: list[float]) -> int:
    """How many requests of one row are answered while one of many is."""
    answered = 0
    with ThreadPoolExecutor(1) as pool:
        large = pool.submit(asked, server, "a", (ROW + b"\n") * 300_000)
        while not large.done():
            assert json.loads(asked(server, "b")) == one
            answered += 1
        assert json.loads(large.result()) == one * 300_000
    return answered
